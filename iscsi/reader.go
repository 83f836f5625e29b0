package iscsi

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
)

// Reader takes PDUs off a stream. It is for one goroutine.
//
// A PDU is read in two steps, so that data goes straight to where it belongs: Next returns the
// header, ReadData fills the caller's buffer. Nothing is allocated after NewReader.
type Reader struct {
	src     *bufio.Reader
	digests Digests
	maxData int
	pending int // bytes of the current data segment, without padding, that ReadData has not taken
	ahs     [255 * 4]byte
}

// minReaderBytes holds the longest header with its digest.
const minReaderBytes = 2048

// NewReader returns a reader with a buffer of bufBytes (2048 at least) that accepts data segments of
// 8192 bytes, the default of MaxRecvDataSegmentLength, and no digests.
func NewReader(src io.Reader, bufBytes int) *Reader {
	return &Reader{src: bufio.NewReaderSize(src, max(bufBytes, minReaderBytes)), maxData: 8192}
}

// SetDigests says which digests the following PDUs carry.
func (r *Reader) SetDigests(d Digests) { r.digests = d }

// SetMaxData sets the longest data segment to accept, in bytes.
func (r *Reader) SetMaxData(n int) { r.maxData = n }

// Next reads the header of the next PDU into h and returns its Additional Header Segments, which
// stay valid until the following call. Data of the PDU before that was not read is skipped.
//
// It returns io.EOF at the end of the stream between two PDUs, io.ErrUnexpectedEOF within one,
// ErrHeaderDigest, or an error wrapping ErrDataTooLong. After an error the stream is of no use.
func (r *Reader) Next(h *BHS) (ahs []byte, err error) {
	if err := r.skip(); err != nil {
		return nil, err
	}
	head, err := r.src.Peek(HeaderLen)
	if err != nil {
		if err == io.EOF && len(head) > 0 {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	*h = BHS(head)
	size := HeaderLen + h.AHSLen()
	total := size
	if r.digests.Header {
		total += DigestLen
	}
	if head, err = r.src.Peek(total); err != nil {
		return nil, unexpected(err)
	}
	if r.digests.Header && binary.LittleEndian.Uint32(head[size:]) != digestOf(0, head[:size]) {
		return nil, ErrHeaderDigest
	}
	n := copy(r.ahs[:], head[HeaderLen:size])
	if _, err := r.src.Discard(total); err != nil {
		return nil, unexpected(err)
	}
	if h.DataLen() > r.maxData {
		return nil, fmt.Errorf("%w: %d bytes where %d are allowed", ErrDataTooLong, h.DataLen(), r.maxData)
	}
	r.pending = h.DataLen()
	return r.ahs[:n], nil
}

// ReadData fills p with the data segment of the current PDU. len(p) must be its DataLen. It returns
// ErrDataDigest when all was read but does not match; the next PDU can be read after that.
func (r *Reader) ReadData(p []byte) error {
	if len(p) != r.pending {
		return fmt.Errorf("read data segment: buffer of %d bytes for %d", len(p), r.pending)
	}
	if len(p) == 0 {
		return nil
	}
	if _, err := io.ReadFull(r.src, p); err != nil {
		return unexpected(err)
	}
	r.pending = 0
	pad := padLen(len(p))
	tail, err := r.src.Peek(pad + r.dataDigestLen())
	if err != nil {
		return unexpected(err)
	}
	bad := r.digests.Data &&
		binary.LittleEndian.Uint32(tail[pad:]) != digestOf(digestOf(0, p), tail[:pad])
	if _, err := r.src.Discard(len(tail)); err != nil {
		return unexpected(err)
	}
	if bad {
		return ErrDataDigest
	}
	return nil
}

// Ready reports whether the whole next PDU is buffered, so that Next and ReadData will not wait.
// It is false for one that is longer than the buffer. The data of the current PDU must have been
// read.
func (r *Reader) Ready() bool {
	if r.pending != 0 || r.src.Buffered() < HeaderLen {
		return false
	}
	head, err := r.src.Peek(HeaderLen)
	if err != nil {
		return false
	}
	h := (*BHS)(head)
	total := HeaderLen + h.AHSLen()
	if r.digests.Header {
		total += DigestLen
	}
	if n := h.DataLen(); n > 0 {
		total += n + padLen(n) + r.dataDigestLen()
	}
	return r.src.Buffered() >= total
}

// skip drops what is left of the current data segment.
func (r *Reader) skip() error {
	if r.pending == 0 {
		return nil
	}
	n := r.pending + padLen(r.pending) + r.dataDigestLen()
	r.pending = 0
	_, err := r.src.Discard(n)
	return unexpected(err)
}

func (r *Reader) dataDigestLen() int {
	if r.digests.Data {
		return DigestLen
	}
	return 0
}

// unexpected turns the end of the stream inside a PDU into what it is.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
