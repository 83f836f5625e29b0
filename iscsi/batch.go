package iscsi

import (
	"io"
	"net"
)

// batchKeepBytes is how large a buffer a Batch keeps when it is reset.
const batchKeepBytes = 256 << 10

// Batch collects PDUs that are then written with one system call. It is for one goroutine at a
// time. A batch that is reset and used again allocates nothing.
type Batch struct {
	digests Digests
	buf     []byte   // headers, copied data, padding and digests
	pins    []pinned // in the order of their place in buf
	bytes   int      // all that WriteTo will write
	vec     [][]byte // reused by WriteTo
	out     net.Buffers
}

// pinned is data that is written from where it lies, before byte at of buf.
type pinned struct {
	at   int
	data []byte
}

// SetDigests says which digests the following PDUs carry.
func (b *Batch) SetDigests(d Digests) { b.digests = d }

// Len returns how many bytes the batch holds.
func (b *Batch) Len() int { return b.bytes }

// Append adds a PDU and copies its data. The lengths in h are set.
func (b *Batch) Append(h *BHS, data []byte) { b.add(h, nil, data, false) }

// AppendAHS adds a PDU with Additional Header Segments, a multiple of four bytes long, and copies
// its data. The lengths in h are set.
func (b *Batch) AppendAHS(h *BHS, ahs, data []byte) { b.add(h, ahs, data, false) }

// AppendPinned adds a PDU without copying its data, which must not change until the batch has been
// written. It pays for data of some KiB and more. The lengths in h are set.
func (b *Batch) AppendPinned(h *BHS, data []byte) { b.add(h, nil, data, true) }

func (b *Batch) add(h *BHS, ahs, data []byte, pin bool) {
	h.setLengths(len(ahs), len(data))
	before, start := len(b.buf), len(b.buf)
	b.buf = append(b.buf, h[:]...)
	b.buf = append(b.buf, ahs...)
	if b.digests.Header {
		b.digest(digestOf(0, b.buf[start:]))
	}
	if len(data) == 0 {
		b.bytes += len(b.buf) - before
		return
	}
	if pin {
		b.pins = append(b.pins, pinned{at: len(b.buf), data: data})
		b.bytes += len(data)
	} else {
		b.buf = append(b.buf, data...)
	}
	pad := padLen(len(data))
	b.buf = append(b.buf, padding[:pad]...)
	if b.digests.Data {
		b.digest(digestOf(digestOf(0, data), b.buf[len(b.buf)-pad:]))
	}
	b.bytes += len(b.buf) - before
}

func (b *Batch) digest(crc uint32) {
	var d [DigestLen]byte
	putDigest(d[:], crc)
	b.buf = append(b.buf, d[:]...)
}

// Vectors returns all PDUs, in pieces that are valid until the next Append or Reset.
func (b *Batch) Vectors() [][]byte {
	b.vec = b.vec[:0]
	from := 0
	for _, p := range b.pins {
		if p.at > from {
			b.vec = append(b.vec, b.buf[from:p.at])
		}
		b.vec = append(b.vec, p.data)
		from = p.at
	}
	if from < len(b.buf) {
		b.vec = append(b.vec, b.buf[from:])
	}
	return b.vec
}

// WriteTo writes all PDUs. On a TCP connection that is one writev.
func (b *Batch) WriteTo(w io.Writer) (int64, error) {
	if len(b.pins) == 0 {
		n, err := w.Write(b.buf)
		return int64(n), err
	}
	b.out = b.Vectors()
	return b.out.WriteTo(w)
}

// Reset empties the batch and forgets the pinned data.
func (b *Batch) Reset() {
	clear(b.pins)
	clear(b.vec)
	b.pins, b.vec, b.bytes = b.pins[:0], b.vec[:0], 0
	b.buf = b.buf[:0]
	if cap(b.buf) > batchKeepBytes {
		b.buf = nil
	}
}
