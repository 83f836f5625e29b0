package scsi

import (
	"context"
	"encoding/binary"
	"iter"

	"github.com/holdfast-storage/holdfast/block"
)

const (
	unmapHeaderBytes     = 8
	unmapDescriptorBytes = 16
)

// unmapLen is the data-out of UNMAP: its parameter list.
func unmapLen(d *Disk, cdb []byte) int64 {
	if d.writeProtected() || cdb[1]&1 != 0 {
		return 0
	}
	return min(int64(binary.BigEndian.Uint16(cdb[7:])), d.options.MaxTransferBytes)
}

// unmap is UNMAP. Every descriptor is checked before the first one is executed.
func unmap(d *Disk, ctx context.Context, cmd *Command, res *Response) {
	list, sense := d.unmapDescriptors(cmd)
	if sense != 0 {
		res.refuse(sense)
		return
	}
	left := int64(maxUnmapBytes)
	for e := range extentsOf(list) {
		r, sense := d.provision(e, left)
		if sense == senseInvalidFieldInCDB {
			sense = senseInvalidFieldInList
		}
		if sense != 0 {
			res.refuse(sense)
			return
		}
		left -= r.Len
	}
	for e := range extentsOf(list) {
		r, _ := d.provision(e, maxUnmapBytes)
		if err := d.zero(ctx, r, block.Unmap); err != nil {
			res.Fail(err)
			return
		}
	}
}

// unmapDescriptors returns the block descriptors of the parameter list (SBC-3 UNMAP parameter
// list), or why it is refused.
func (d *Disk) unmapDescriptors(cmd *Command) ([]byte, senseCode) {
	length := int(binary.BigEndian.Uint16(cmd.CDB[7:]))
	switch {
	case cmd.CDB[1]&1 != 0: // ANCHOR
		return nil, senseInvalidFieldInCDB
	case d.writeProtected():
		return nil, senseWriteProtected
	case length == 0:
		return nil, 0
	case length < unmapHeaderBytes || len(cmd.DataOut) < length:
		return nil, senseListLength
	}
	list := cmd.DataOut[unmapHeaderBytes:length]
	size := int(binary.BigEndian.Uint16(cmd.DataOut[2:]))
	if size > len(list) {
		return nil, senseListLength
	}
	list = list[:size-size%unmapDescriptorBytes]
	if len(list) > maxUnmapDescriptors*unmapDescriptorBytes {
		return nil, senseInvalidFieldInList
	}
	return list, 0
}

func extentsOf(list []byte) iter.Seq[extent] {
	return func(yield func(extent) bool) {
		for ; len(list) >= unmapDescriptorBytes; list = list[unmapDescriptorBytes:] {
			e := extent{
				lba:    binary.BigEndian.Uint64(list),
				blocks: uint64(binary.BigEndian.Uint32(list[8:])),
			}
			if !yield(e) {
				return
			}
		}
	}
}
