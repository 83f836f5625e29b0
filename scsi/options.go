package scsi

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/holdfast-storage/holdfast/block"
)

// Options describe a Disk to its initiators. Serial and NAA are required: initiators tell disks
// apart by nothing else, so both must be unique and must stay the same for the life of the data.
type Options struct {
	VendorID  string // T10 VENDOR IDENTIFICATION, at most 8 printable ASCII; "" = HOLDFAST
	ProductID string // PRODUCT IDENTIFICATION, at most 16 printable ASCII; "" = DISK
	Revision  string // PRODUCT REVISION LEVEL, at most 4 printable ASCII; "" = 1
	Serial    string // UNIT SERIAL NUMBER, 1 to 252 printable ASCII
	NAA       []byte // NAA designator: 8 bytes (NAA 2, 3 or 5) or 16 bytes (NAA 6); see LocalNAA

	// BlockBytes is the logical block size to present: 512 or 4096, a multiple of the device's
	// own; 0 = the device's own.
	BlockBytes int64
	// PhysicalBlockBytes is what the unit calls its physical blocks: 4096, or BlockBytes for guests
	// that take no other; 0 = 4096. It changes nothing but what READ CAPACITY (16) says.
	PhysicalBlockBytes int64
	// MaxTransferBytes bounds one READ or WRITE, and with it the memory that one command needs;
	// 0 = 4 MiB. The device's own limit counts if it is lower.
	MaxTransferBytes int64

	// Leg says that the unit is a leg of a volume: it has the commands that an engine and its tools send, and none
	// that would work on data behind the engine's back.
	Leg bool
	// Removable says that initiators may eject and load the medium. Ejecting only makes the unit say
	// that there is none: the data stays.
	Removable bool
	// Volume says that the unit is a volume, whose data lies on several machines: a write that is cut off may be
	// stored in part, and what was erased may be left on a machine that is away. So there is no WRITE ATOMIC and no
	// SANITIZE, which initiators take for promises against the one and the other.
	Volume bool
	// Reservations says that initiators may reserve the unit: RESERVE (6), and persistent reservations.
	Reservations bool
	// ReservationStore keeps persistent reservations of initiators that ask for it through a loss of
	// power; nil = they may not ask.
	ReservationStore ReservationStore
	// CopyGroup holds the units that EXTENDED COPY of this one may copy from and to, and gets this
	// one too; nil = only within this one.
	CopyGroup *CopyGroup

	// Vendor executes the opcodes 0xC0 to 0xFF and reports whether it knew the command; nil knows
	// none. It is called without regard to unit attentions.
	Vendor func(ctx context.Context, cmd *Command, res *Response) (handled bool)
	// VendorDataOutLen is LogicalUnit.DataOutLen for those opcodes; nil = they take no data-out.
	// More than MaxTransferBytes counts as none.
	VendorDataOutLen func(cdb []byte) int64
}

const (
	defaultMaxTransferBytes = 4 << 20
	// maxWriteSameBytes bounds one WRITE SAME, which may have to write it all, and with it the time
	// that one command takes.
	maxWriteSameBytes = 16 << 20
	// maxUnmapBytes bounds all ranges of one UNMAP, which only frees.
	maxUnmapBytes = 512 << 20
	// maxUnmapDescriptors bounds the parameter list of UNMAP.
	maxUnmapDescriptors = 256
	// maxParameterBytes is more than any parameter data that a Disk makes.
	maxParameterBytes = 4096
	// maxModeSelectBytes is more than any parameter list that a sane MODE SELECT brings.
	maxModeSelectBytes = 4096
)

// LocalNAA derives a locally assigned NAA designator (type 3) from an identity that is unique
// already, such as the bytes of a UUID. 60 bits of a hash: two of a million disks collide with a
// probability of 4·10⁻⁷.
func LocalNAA(identity []byte) []byte {
	sum := sha256.Sum256(identity)
	naa := append([]byte(nil), sum[:8]...)
	naa[0] = naa[0]&0x0f | 0x30
	return naa
}

func (o Options) withDefaults(l block.Limits) Options {
	if o.VendorID == "" {
		o.VendorID = "HOLDFAST"
	}
	if o.ProductID == "" {
		o.ProductID = "DISK"
	}
	if o.Revision == "" {
		o.Revision = "1"
	}
	if o.BlockBytes == 0 {
		o.BlockBytes = l.BlockBytes
	}
	if o.PhysicalBlockBytes == 0 {
		o.PhysicalBlockBytes = physicalBlockBytes
	}
	if o.MaxTransferBytes == 0 {
		o.MaxTransferBytes = defaultMaxTransferBytes
	}
	if l.MaxBytes > 0 {
		o.MaxTransferBytes = min(o.MaxTransferBytes, l.MaxBytes)
	}
	return o
}

// validate returns every fault of the options, joined.
func (o Options) validate(l block.Limits) error {
	var faults []error
	bad := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	for _, field := range []struct {
		name, value string
		most        int
	}{
		{"vendor id", o.VendorID, 8}, {"product id", o.ProductID, 16},
		{"revision", o.Revision, 4}, {"serial", o.Serial, 252},
	} {
		if len(field.value) > field.most || !printable(field.value) {
			bad("%s %q: want at most %d printable ASCII characters", field.name, field.value, field.most)
		}
	}
	if o.Serial == "" {
		bad("serial is empty: initiators tell disks apart by it")
	}
	if !validNAA(o.NAA) {
		bad("naa %x: want 8 bytes of type 2, 3 or 5, or 16 bytes of type 6", o.NAA)
	}
	if o.PhysicalBlockBytes != physicalBlockBytes && o.PhysicalBlockBytes != o.BlockBytes {
		bad("physical block size %d: want 4096 or the block size %d", o.PhysicalBlockBytes, o.BlockBytes)
	}
	switch {
	case o.BlockBytes != 512 && o.BlockBytes != 4096:
		bad("block size %d: want 512 or 4096", o.BlockBytes)
	case l.BlockBytes <= 0 || o.BlockBytes%l.BlockBytes != 0:
		bad("block size %d is no multiple of the device's block size %d", o.BlockBytes, l.BlockBytes)
	case l.SizeBytes < o.BlockBytes || l.SizeBytes%o.BlockBytes != 0:
		bad("device size %d is not one or more whole blocks of %d", l.SizeBytes, o.BlockBytes)
	case o.MaxTransferBytes < o.BlockBytes:
		bad("longest transfer %d is less than a block of %d", o.MaxTransferBytes, o.BlockBytes)
	}
	return errors.Join(faults...)
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return true
}

func validNAA(naa []byte) bool {
	switch len(naa) {
	case 8:
		kind := naa[0] >> 4
		return kind == 2 || kind == 3 || kind == 5
	case 16:
		return naa[0]>>4 == 6
	}
	return false
}
