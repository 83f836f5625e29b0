package scsi

import (
	"context"
	"encoding/binary"
)

// What REPORT SUPPORTED OPERATION CODES is asked for (REPORTING OPTIONS, SPC-4 §6.35).
const (
	reportAll            = 0
	reportOpcode         = 1 // one without service actions
	reportOpcodeAction   = 2 // one with
	reportOneWayOrOther  = 3 // either, and no complaint about what is unknown
	supportNo            = 1
	supportAsStandard    = 3
	timeoutsDescriptorLn = 12
)

// reportOpcodes is REPORT SUPPORTED OPERATION CODES, made from the table that also dispatches.
// Vendor-specific commands are not listed: the hook that executes them knows them, not the table.
func reportOpcodes(d *Disk, _ context.Context, cmd *Command, res *Response) {
	timeouts := cmd.CDB[2]&0x80 != 0 // RCTD
	allocation := int64(binary.BigEndian.Uint32(cmd.CDB[6:]))
	options := cmd.CDB[2] & 7
	if options == reportAll {
		res.Reply(cmd, d.table.appendAll(nil, timeouts), allocation)
		return
	}
	opcode, action := cmd.CDB[3], binary.BigEndian.Uint16(cmd.CDB[4:])
	op, known := d.table.lookup(opcode, action)
	invalid := options > reportOneWayOrOther ||
		options == reportOpcode && known && op.hasAction ||
		options == reportOpcodeAction && known && !op.hasAction
	if invalid {
		// Some initiators take a refusal that does not point at the options for a command that is not
		// there.
		res.CheckCondition(senseInvalidFieldInCDB.sense().atCDBByte(2))
		return
	}
	if known && op.hasAction && uint16(op.action()) != action {
		known = false
	}
	if known && !op.hasAction && options == reportOneWayOrOther && action != 0 {
		known = false
	}
	data := []byte{0, supportNo, 0, 0}
	if known {
		data = []byte{0, supportAsStandard, 0, byte(len(op.usage))}
		data = append(data, op.usage...)
		if timeouts {
			data[1] |= 0x80 // CTDP
			data = appendTimeouts(data)
		}
	}
	res.Reply(cmd, data, allocation)
}

// lookup returns the operation with this opcode and service action; if no action matches, the
// first with the opcode.
func (t *operationTable) lookup(opcode byte, action uint16) (*operation, bool) {
	first := int(t.first[opcode])
	if first == 0 {
		return nil, false
	}
	for i := first - 1; i < len(t.operations) && t.operations[i].opcode() == opcode; i++ {
		if uint16(t.operations[i].action()) == action {
			return &t.operations[i], true
		}
	}
	return &t.operations[first-1], true
}

// appendAll appends one command descriptor for each operation (SPC-4 §6.35.2).
func (t *operationTable) appendAll(b []byte, timeouts bool) []byte {
	b = append(b, 0, 0, 0, 0)
	for i := range t.operations {
		op := &t.operations[i]
		descriptor := [8]byte{op.opcode()}
		if op.hasAction {
			descriptor[3] = op.action()
			descriptor[5] |= 1 // SERVACTV
		}
		descriptor[7] = byte(len(op.usage))
		if timeouts {
			descriptor[5] |= 2 // CTDP
		}
		b = append(b, descriptor[:]...)
		if timeouts {
			b = appendTimeouts(b)
		}
	}
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

// appendTimeouts appends a command timeouts descriptor that makes no statement: how long a command
// takes is up to the block device.
func appendTimeouts(b []byte) []byte {
	var descriptor [timeoutsDescriptorLn]byte
	descriptor[1] = timeoutsDescriptorLn - 2
	return append(b, descriptor[:]...)
}
