package scsi

import (
	"bytes"
	"context"
	"sync"

	"github.com/holdfast-storage/holdfast/block"
)

// What VERIFY compares the medium with (the BYTCHK field, SBC-3 VERIFY (10)).
const (
	compareNothing  = 0 // the medium is only read
	compareAll      = 1 // data-out holds as many blocks as are verified
	compareReserved = 2
	compareOneBlock = 3 // data-out holds one block that each must equal
)

func bytchk(e extent) byte { return e.byte1 >> 1 & 3 }

// isWriteAndVerify tells WRITE AND VERIFY from VERIFY: in each CDB length the one is the other
// minus one.
func isWriteAndVerify(cdb []byte) bool { return cdb[0]&1 == 0 }

// verifyLen is the data-out of VERIFY and WRITE AND VERIFY (10/12/16).
func verifyLen(d *Disk, cdb []byte) int64 {
	e := decodeExtent(cdb)
	if isWriteAndVerify(cdb) {
		r, _ := d.writable(e)
		return r.Len
	}
	r, sense := d.transfer(e)
	switch {
	case sense != 0 || r.Empty():
		return 0
	case bytchk(e) == compareAll:
		return r.Len
	case bytchk(e) == compareOneBlock:
		return d.blockBytes
	}
	return 0
}

// verify is VERIFY (10/12/16).
func verify(d *Disk, ctx context.Context, cmd *Command, res *Response) {
	e := decodeExtent(cmd.CDB)
	r, sense := d.transfer(e)
	if sense == 0 && bytchk(e) == compareReserved {
		sense = senseInvalidFieldInCDB
	}
	if sense != 0 {
		res.refuse(sense)
		return
	}
	if int64(len(cmd.DataOut)) < verifyLen(d, cmd.CDB) {
		// Nothing may be called verified that there was nothing to compare with.
		res.refuse(senseInvalidFieldInIU)
		return
	}
	var want []byte
	if bytchk(e) != compareNothing {
		want = cmd.DataOut
	}
	d.compare(ctx, r, want, bytchk(e) == compareOneBlock, res)
}

// writeAndVerify is WRITE AND VERIFY (10/12/16).
func writeAndVerify(d *Disk, ctx context.Context, cmd *Command, res *Response) {
	e := decodeExtent(cmd.CDB)
	r, sense := d.writable(e)
	if sense == 0 && bytchk(e) > compareAll {
		sense = senseInvalidFieldInCDB
	}
	if sense != 0 {
		res.refuse(sense)
		return
	}
	data := d.cutToBlocks(cmd.DataOut, r)
	// The medium is what is verified, so the data must have reached it.
	if err := d.writeFrom(ctx, data, r.Off, block.FUA); err != nil {
		res.Fail(err)
		return
	}
	written := block.Range{Off: r.Off, Len: int64(len(data))}
	if bytchk(e) == compareNothing {
		data = nil
	}
	d.compare(ctx, written, data, false, res)
}

// compare reads r and compares it with want: block for block, or each block with the only one of
// want if oneBlock. A nil want only reads. It ends with MISCOMPARE and the offset of the first
// byte that differs if one does.
func (d *Disk) compare(ctx context.Context, r block.Range, want []byte, oneBlock bool, res *Response) {
	buffer := d.scratch.get()
	defer d.scratch.put(buffer)
	step := min(int64(len(*buffer)), d.options.MaxTransferBytes)
	if oneBlock {
		step = d.blockBytes
	}
	for done := int64(0); done < r.Len; done += step {
		chunk := (*buffer)[:min(step, r.Len-done)]
		if err := d.device.Read(ctx, chunk, r.Off+done); err != nil {
			res.Fail(err)
			return
		}
		if want == nil {
			continue
		}
		expected := want[:len(chunk)]
		if !oneBlock {
			expected = want[done:][:len(chunk)]
		}
		if !bytes.Equal(chunk, expected) {
			sense := senseMiscompare.sense()
			sense.Valid, sense.Information = true, uint64(done)+firstDifference(chunk, expected)
			res.CheckCondition(sense)
			return
		}
	}
}

func firstDifference(a, b []byte) uint64 {
	for i := range a {
		if a[i] != b[i] {
			return uint64(i)
		}
	}
	return uint64(len(a))
}

// scratchBytes is a multiple of every logical block size.
const scratchBytes = 64 << 10

// scratchPool lends buffers to the few commands that need one of their own.
type scratchPool struct{ pool sync.Pool }

func (s *scratchPool) get() *[]byte {
	if b, ok := s.pool.Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, scratchBytes)
	return &b
}

func (s *scratchPool) put(b *[]byte) { s.pool.Put(b) }
