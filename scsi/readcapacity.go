package scsi

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
)

const readCapacity10Bytes = 8

func readCapacity10Len(*Disk, []byte) int64 { return readCapacity10Bytes }

// readCapacity10 is READ CAPACITY (10). A last LBA that does not fit says so with all ones.
func readCapacity10(d *Disk, _ context.Context, cmd *Command, res *Response) {
	data := binary.BigEndian.AppendUint32(nil, uint32(min(d.blocks-1, math.MaxUint32)))
	data = binary.BigEndian.AppendUint32(data, uint32(d.blockBytes))
	res.Reply(cmd, data, readCapacity10Bytes)
}

// readCapacity16 is READ CAPACITY (16).
func readCapacity16(d *Disk, _ context.Context, cmd *Command, res *Response) {
	c := Capacity{
		Blocks:     d.blocks,
		BlockBytes: d.blockBytes,
		Physical:   d.options.PhysicalBlockBytes,
		CanUnmap:   d.limits.CanUnmap,
		ReadsZero:  d.limits.CanUnmap,
	}
	res.Reply(cmd, c.append(nil), int64(binary.BigEndian.Uint32(cmd.CDB[10:])))
}

// physicalBlockBytes is what the storage below writes without reading first.
const physicalBlockBytes = 4096

// Capacity is what READ CAPACITY (16) answers.
type Capacity struct {
	Blocks     uint64 // how many there are
	BlockBytes int64  // bytes of one
	Physical   int64  // bytes of a physical block; 0 = not known, one block
	CanUnmap   bool   // LBPME: thin provisioned
	ReadsZero  bool   // LBPRZ: unmapped blocks read as zeroes
}

const (
	readCapacity16Bytes = 32
	bitLBPME            = 0x80
	bitLBPRZ            = 0x40
)

func (c Capacity) append(b []byte) []byte {
	var data [readCapacity16Bytes]byte
	binary.BigEndian.PutUint64(data[0:], c.Blocks-1)
	binary.BigEndian.PutUint32(data[8:], uint32(c.BlockBytes))
	for size := c.BlockBytes; size < c.Physical; size *= 2 {
		data[13]++ // LOGICAL BLOCKS PER PHYSICAL BLOCK EXPONENT
	}
	if c.CanUnmap {
		data[14] |= bitLBPME
	}
	if c.ReadsZero {
		data[14] |= bitLBPRZ
	}
	return append(b, data[:]...)
}

var errBadCapacity = errors.New("read capacity (16): malformed answer")

// ParseCapacity decodes the answer to READ CAPACITY (16). It refuses sizes whose bytes do not fit
// into an int64 and block sizes that are no power of two from 512 up.
func ParseCapacity(data []byte) (Capacity, error) {
	if len(data) < 16 {
		return Capacity{}, errBadCapacity
	}
	last, size := binary.BigEndian.Uint64(data), int64(binary.BigEndian.Uint32(data[8:]))
	if size < 512 || size&(size-1) != 0 || last >= uint64(math.MaxInt64/size) {
		return Capacity{}, errBadCapacity
	}
	return Capacity{
		Blocks:     last + 1,
		BlockBytes: size,
		CanUnmap:   data[14]&bitLBPME != 0,
		ReadsZero:  data[14]&bitLBPRZ != 0,
	}, nil
}
