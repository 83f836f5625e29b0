package scsi

import (
	"context"
	"encoding/binary"
	"math"

	"github.com/holdfast-storage/holdfast/block"
)

const (
	lbaStatusHeaderBytes     = 8
	lbaStatusDescriptorBytes = 16

	provisioningMapped      = 0 // or not known
	provisioningDeallocated = 1
)

// lbaStatus is GET LBA STATUS (16): runs of blocks that take up space and runs that do not, from an
// LBA on, as many as fit (SBC-3 §5.4).
func lbaStatus(d *Disk, ctx context.Context, cmd *Command, res *Response) {
	lba := binary.BigEndian.Uint64(cmd.CDB[2:])
	allocation := min(int64(binary.BigEndian.Uint32(cmd.CDB[10:])), maxParameterBytes)
	if lba >= d.blocks {
		res.refuse(senseLBAOutOfRange)
		return
	}
	data := make([]byte, lbaStatusHeaderBytes)
	most := max(1, int(allocation-lbaStatusHeaderBytes)/lbaStatusDescriptorBytes)
	for n := 0; n < most && lba < d.blocks; n++ {
		mapped, blocks, err := d.mapped(ctx, lba)
		if err != nil {
			res.Fail(err)
			return
		}
		data = binary.BigEndian.AppendUint64(data, lba)
		data = binary.BigEndian.AppendUint32(data, uint32(blocks))
		status := byte(provisioningDeallocated)
		if mapped {
			status = provisioningMapped
		}
		data = append(data, status, 0, 0, 0)
		lba += blocks
	}
	binary.BigEndian.PutUint32(data, uint32(len(data)-4))
	res.Reply(cmd, data, allocation)
}

// mapped tells whether the block at lba takes up space and for how many blocks that stays so. A
// logical block of which only a part takes up space is mapped.
func (d *Disk) mapped(ctx context.Context, lba uint64) (mapped bool, blocks uint64, err error) {
	for lba+blocks < d.blocks && blocks < math.MaxUint32 {
		off := int64(lba+blocks) * d.blockBytes
		allocated, bytes, err := d.allocator.Allocated(ctx, off)
		if err != nil {
			return false, 0, err
		}
		whole := uint64(bytes / d.blockBytes)
		if allocated && bytes%d.blockBytes != 0 {
			whole++
		}
		if whole == 0 { // the device's blocks are smaller, and data begins inside this one
			allocated, whole = true, 1
		}
		if blocks > 0 && allocated != mapped {
			return mapped, blocks, nil
		}
		mapped = allocated
		blocks += min(whole, math.MaxUint32-blocks, d.blocks-lba-blocks)
	}
	return mapped, blocks, nil
}

// noAllocator stands in for a device that does not say what takes up space. Nothing calls it: the
// table of such a unit lacks the command.
type noAllocator struct{}

// Allocated implements block.Allocator.
func (noAllocator) Allocated(context.Context, int64) (bool, int64, error) {
	return false, 0, block.ErrUnsupported
}

// unknownAllocator stands in for a volume that does not say what takes up space. QEMU asks every thinly provisioned
// unit, before each long read, and complains of one that does not answer.
type unknownAllocator struct{ sizeBytes int64 }

// Allocated implements block.Allocator: all of it may.
func (a unknownAllocator) Allocated(_ context.Context, off int64) (bool, int64, error) {
	return true, a.sizeBytes - off, nil
}
