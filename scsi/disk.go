package scsi

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/holdfast-storage/holdfast/block"
)

// Disk is a LogicalUnit that serves a block.Device as a direct access block device. It is safe for
// use by many goroutines and holds no lock across I/O.
type Disk struct {
	device  block.Device
	limits  block.Limits
	options Options
	table   operationTable
	modes   modePages

	blockBytes int64
	blocks     uint64 // capacity in logical blocks
	scratch    scratchPool
	attention  attentions
	reserver   reserver

	gate      gate
	ungated   block.Device    // the device behind the gate, for atomic commands
	allocator block.Allocator // noAllocator if the device does not tell
	protect   atomic.Bool     // software write protect
	state     condition
	sanitizer sanitizer
	removal   removal
	copies    copyResults
}

// New makes a Disk of a device. It does not take the device over: the caller closes it once no
// command runs any more. It fails if the options are wrong, with all faults at once.
func New(device block.Device, options Options) (*Disk, error) {
	limits := device.Limits()
	options = options.withDefaults(limits)
	if err := options.validate(limits); err != nil {
		return nil, fmt.Errorf("logical unit %q: %w", options.Serial, err)
	}
	d := &Disk{
		ungated:    device,
		allocator:  noAllocator{},
		limits:     limits,
		options:    options,
		blockBytes: options.BlockBytes,
		blocks:     uint64(limits.SizeBytes / options.BlockBytes),
		modes:      newModePages(limits),
	}
	d.device = &gated{Device: device, gate: &d.gate}
	if a, ok := device.(block.Allocator); ok {
		d.allocator = a
	} else if options.Volume {
		d.allocator = unknownAllocator{limits.SizeBytes}
	}
	d.table = newOperationTable(d.has)
	d.reserver.store = options.ReservationStore
	if err := d.restoreReservations(); err != nil {
		return nil, fmt.Errorf("logical unit %q: %w", options.Serial, err)
	}
	if options.CopyGroup != nil {
		options.CopyGroup.add(d)
	}
	d.options.MaxTransferBytes -= d.options.MaxTransferBytes % d.blockBytes
	return d, nil
}

// cdbBytes is what every handler may index without looking: the longest CDB of the table.
const cdbBytes = 16

// firstVendorOpcode is where the vendor-specific operation codes begin (SPC-4 §4.2.5.1).
const firstVendorOpcode = 0xc0

// Execute implements LogicalUnit.
func (d *Disk) Execute(ctx context.Context, cmd *Command, res *Response) {
	if len(cmd.CDB) < cdbBytes {
		res.refuse(senseInvalidFieldInCDB)
		return
	}
	if cmd.CDB[0] >= firstVendorOpcode {
		if d.options.Vendor == nil || !d.options.Vendor(ctx, cmd, res) {
			res.refuse(senseInvalidOpcode)
		}
		return
	}
	op, sense := d.table.find(cmd.CDB)
	if op == nil || !op.ignoresAttention {
		if attention := d.attention.take(cmd.Nexus); attention != 0 {
			res.attention = attention
			res.refuse(attention)
			return
		}
	}
	if op == nil {
		res.refuse(sense)
		return
	}
	if op.naca(cmd.CDB) {
		res.refuse(senseInvalidFieldInCDB)
		return
	}
	if d.conflicts(op, cmd) {
		res.Status = ReservationConflict
		return
	}
	if sense := d.state.refuses(op); sense != 0 {
		res.refuse(sense)
		return
	}
	op.run(d, ctx, cmd, res)
}

// has reports whether this unit has an operation: some depend on what the device can do.
func (d *Disk) has(op *operation) bool {
	if d.options.Leg && !servesLegs(op.opcode()) {
		return false
	}
	switch op.opcode() {
	case opUnmap:
		return d.limits.CanUnmap
	case opSanitize:
		return d.limits.CanUnmap && !d.options.Volume
	case opServiceActionIn16:
		_, unknown := d.allocator.(noAllocator)
		return op.action() != saGetLBAStatus || !unknown
	case opPreventAllow:
		return d.options.Removable
	case opWriteAtomic16:
		return !d.options.Volume
	case opReserve6, opRelease6, opPersistentReserveIn, opPersistentReserveOut:
		return d.options.Reservations
	}
	return true
}

// servesLegs reports whether legs have a command: those that ask, and those by which an engine reads and writes.
func servesLegs(opcode byte) bool {
	switch opcode {
	case opTestUnitReady, opRequestSense, opInquiry, opModeSense6, opModeSense10, opReadCapacity10, opReportLUNs,
		opMaintenanceIn, opServiceActionIn16, opStartStopUnit,
		opRead6, opRead10, opRead12, opRead16, opWrite6, opWrite10, opWrite12, opWrite16,
		opVerify10, opVerify12, opVerify16, opSynchronizeCache10, opSynchronizeCache16,
		opWriteSame10, opWriteSame16, opUnmap:
		return true
	}
	return false
}

// writeProtected reports whether commands that change data are refused: the device is read-only, or
// an initiator has set SWP in the control mode page.
func (d *Disk) writeProtected() bool { return d.limits.ReadOnly || d.protect.Load() }

// DataOutLen implements LogicalUnit.
func (d *Disk) DataOutLen(cdb []byte) int64 {
	if len(cdb) < cdbBytes {
		return 0
	}
	if cdb[0] >= firstVendorOpcode {
		if d.options.Vendor == nil || d.options.VendorDataOutLen == nil {
			return 0
		}
		if n := d.options.VendorDataOutLen(cdb); n <= d.options.MaxTransferBytes {
			return max(n, 0)
		}
		return 0
	}
	if op, _ := d.table.find(cdb); op != nil && op.dataOut != nil {
		return op.dataOut(d, cdb)
	}
	return 0
}

// DataInLen implements LogicalUnit.
func (d *Disk) DataInLen(cdb []byte) int64 {
	if len(cdb) < cdbBytes {
		return 0
	}
	if cdb[0] >= firstVendorOpcode {
		if d.options.Vendor == nil {
			return 0
		}
		return d.options.MaxTransferBytes
	}
	if op, _ := d.table.find(cdb); op != nil && op.dataIn != nil {
		return op.dataIn(d, cdb)
	}
	return 0
}
