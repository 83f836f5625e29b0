package scsi

import (
	"bytes"
	"context"
	"slices"
)

// operation is one command that a Disk knows.
type operation struct {
	// usage is the CDB usage data (SPC-4 §6.35.3): the operation code, then a one in every bit that
	// is evaluated, and the service action in its field. Its length is the CDB's.
	usage []byte
	// hasAction says that the low five bits of byte 1 are a service action.
	hasAction bool
	// ignoresAttention says that the command runs although a unit attention is pending, and does
	// not clear it (SAM-5 §5.14).
	ignoresAttention bool

	// access is what reservations of others say about the command; see accessOf. allOperations sets it.
	access accessClass

	run     func(d *Disk, ctx context.Context, cmd *Command, res *Response)
	dataOut func(d *Disk, cdb []byte) int64 // bytes of data-out it needs; nil = none
	dataIn  func(d *Disk, cdb []byte) int64 // most bytes of data-in it makes; nil = none
}

func (op *operation) opcode() byte { return op.usage[0] }

// action returns the service action; it is meaningful with hasAction.
func (op *operation) action() byte { return op.usage[1] & 0x1f }

// naca reports whether the CDB asks for auto contingent allegiance, which this unit has not
// (NORMACA is zero): SAM-5 §5.2 wants INVALID FIELD IN CDB then.
func (op *operation) naca(cdb []byte) bool { return cdb[len(op.usage)-1]&0x04 != 0 }

// operationTable finds the operation of a CDB.
//
// Invariant: operations are in ascending order of (opcode, action), each pair once.
type operationTable struct {
	operations []operation
	first      [256]uint8 // by opcode: index of its first operation plus one; 0 = unknown
}

// newOperationTable returns the table of a unit: all operations but those that exists says no to.
func newOperationTable(exists func(*operation) bool) operationTable {
	var t operationTable
	for _, op := range allOperations() {
		if !exists(&op) {
			continue
		}
		t.operations = append(t.operations, op)
		if t.first[op.opcode()] == 0 {
			t.first[op.opcode()] = uint8(len(t.operations))
		}
	}
	return t
}

// find returns the operation of a CDB, or nil and the sense that says what is unknown: the
// operation code, or the service action of a known one.
func (t *operationTable) find(cdb []byte) (*operation, senseCode) {
	first := int(t.first[cdb[0]])
	if first == 0 {
		return nil, senseInvalidOpcode
	}
	for i := first - 1; i < len(t.operations) && t.operations[i].opcode() == cdb[0]; i++ {
		if op := &t.operations[i]; !op.hasAction || op.action() == cdb[1]&0x1f {
			return op, 0
		}
	}
	return nil, senseInvalidFieldInCDB
}

// allOperations is the one place that says which commands there are, by what reservations of others say
// about them. The comments to the right of a row name what the bits of byte 1 mean where it is not plain.
func allOperations() []operation {
	var all []operation
	for _, group := range []struct {
		access     accessClass
		operations []operation
	}{
		{accessInform, informingOperations()},
		{accessProbe, probingOperations()},
		{accessRead, readingOperations()},
		{accessWrite, changingOperations()},
		{accessReserve, reservingOperations()},
	} {
		for _, op := range group.operations {
			op.access = group.access
			all = append(all, op)
		}
	}
	slices.SortFunc(all, func(a, b operation) int { return bytes.Compare(a.usage[:2], b.usage[:2]) })
	return all
}

// informingOperations ask about the unit.
func informingOperations() []operation {
	return []operation{
		{usage: []byte{opRequestSense, 1, 0, 0, 0xff, 4}, run: requestSense,
			dataIn: allocation8, ignoresAttention: true}, // DESC
		{usage: []byte{opInquiry, 1, 0xff, 0xff, 0xff, 4}, run: inquiry,
			dataIn: inquiryLen, ignoresAttention: true}, // EVPD
		{usage: []byte{opReadCapacity10, 0, 0, 0, 0, 0, 0, 0, 0, 4}, run: readCapacity10,
			dataIn: readCapacity10Len},
		{usage: []byte{opServiceActionIn16, saReadCapacity16, 0, 0, 0, 0, 0, 0, 0, 0,
			0xff, 0xff, 0xff, 0xff, 0, 4}, hasAction: true, run: readCapacity16, dataIn: allocation32At10},
		{usage: []byte{opReportLUNs, 0, 0xff, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 4},
			run: reportLoneLUN, dataIn: allocation32At6, ignoresAttention: true},
	}
}

// probingOperations ask whether and by whom the unit may be used.
func probingOperations() []operation {
	return []operation{
		{usage: []byte{opTestUnitReady, 0, 0, 0, 0, 4}, run: testUnitReady},
		{usage: usageReserveIn(saReadKeys), hasAction: true,
			run: persistentReserveIn, dataIn: reserveInLen},
		{usage: usageReserveIn(saReadReservation), hasAction: true,
			run: persistentReserveIn, dataIn: reserveInLen},
		{usage: usageReserveIn(saReportCapabilities), hasAction: true,
			run: persistentReserveIn, dataIn: reserveInLen},
		{usage: usageReserveIn(saReadFullStatus), hasAction: true,
			run: persistentReserveIn, dataIn: reserveInLen},
	}
}

// readingOperations read the medium, or parameters.
func readingOperations() []operation {
	return []operation{
		{usage: usage6(opRead6), run: read, dataIn: readLen},
		{usage: []byte{opModeSense6, 8, 0xff, 0xff, 0xff, 4}, run: modeSense,
			dataIn: allocation8}, // DBD
		{usage: usage10(opRead10, 0xf8), run: read, dataIn: readLen},        // DPO FUA
		{usage: usage10(opVerify10, 0xf6), run: verify, dataOut: verifyLen}, // BYTCHK
		{usage: usage10(opPreFetch10, 0x02), run: prefetch},                 // IMMED
		{usage: []byte{opReadDefectData10, 0, 0x1f, 0, 0, 0, 0, 0xff, 0xff, 4}, run: readDefects,
			dataIn: allocation16},
		{usage: []byte{opModeSense10, 0x18, 0xff, 0xff, 0, 0, 0, 0xff, 0xff, 4}, run: modeSense,
			dataIn: allocation16}, // LLBAA, DBD
		{usage: usage16(opRead16, 0xf8), run: read, dataIn: readLen},
		{usage: usage16(opVerify16, 0xf6), run: verify, dataOut: verifyLen},
		{usage: usage16(opPreFetch16, 0x02), run: prefetch},
		{usage: []byte{opServiceActionIn16, saGetLBAStatus, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
			0xff, 0xff, 0xff, 0xff, 0, 4}, hasAction: true, run: lbaStatus, dataIn: allocation32At10},
		{usage: []byte{opMaintenanceIn, saReportSupportedOpcodes, 0x87, 0xff, 0xff, 0xff,
			0xff, 0xff, 0xff, 0xff, 0, 4}, hasAction: true, run: reportOpcodes, dataIn: allocation32At6},
		{usage: []byte{opMaintenanceIn, saReportTaskFunctions, 0x80, 0, 0, 0,
			0xff, 0xff, 0xff, 0xff, 0, 4}, hasAction: true, run: taskFunctions, dataIn: allocation32At6},
		{usage: usage12(opRead12, 0xf8), run: read, dataIn: readLen},
		{usage: usage12(opVerify12, 0xf6), run: verify, dataOut: verifyLen},
		{usage: []byte{opReadDefectData12, 0x1f, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 4},
			run: readDefects, dataIn: allocation32At6},
	}
}

// changingOperations change the medium or parameters, or make what was written durable.
func changingOperations() []operation {
	return []operation{
		{usage: usage6(opWrite6), run: write, dataOut: writeLen},
		{usage: []byte{opModeSelect6, 0x11, 0, 0, 0xff, 4}, run: modeSelect,
			dataOut: modeSelectLen}, // PF, SP
		{usage: []byte{opStartStopUnit, 1, 0, 0x0f, 0xf7, 4}, run: startStopUnit},
		{usage: []byte{opPreventAllow, 0, 0, 0, 3, 4}, run: preventAllow},
		{usage: usage10(opWrite10, 0xf8), run: write, dataOut: writeLen},                    // DPO FUA
		{usage: usage10(opWriteAndVerify10, 0xf6), run: writeAndVerify, dataOut: verifyLen}, // BYTCHK
		{usage: usage10(opSynchronizeCache10, 0x02), run: synchronizeCache},                 // IMMED
		{usage: usage10(opWriteSame10, 0xfe), run: writeSame, dataOut: writeSameLen},        // ANCHOR UNMAP
		{usage: []byte{opUnmap, 1, 0, 0, 0, 0, 0, 0xff, 0xff, 4}, run: unmap,
			dataOut: unmapLen}, // ANCHOR
		{usage: usageSanitize(saBlockErase), hasAction: true, run: blockErase},
		{usage: usageSanitize(saExitFailureMode), hasAction: true, run: exitFailureMode},
		{usage: []byte{opModeSelect10, 0x11, 0, 0, 0, 0, 0, 0xff, 0xff, 4}, run: modeSelect,
			dataOut: modeSelectLen}, // PF, SP
		{usage: []byte{opExtendedCopy, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 4},
			hasAction: true, run: extendedCopy, dataOut: extendedCopyLen},
		{usage: usageCopyResults(saCopyStatus), hasAction: true, run: copyStatus,
			dataIn: allocation32At10},
		{usage: usageCopyResults(saOperatingParameters), hasAction: true, run: copyParameters,
			dataIn: allocation32At10},
		{usage: []byte{opCompareAndWrite, 0xf8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
			0, 0, 0, 0xff, 0, 4}, run: compareAndWrite, dataOut: compareAndWriteLen},
		{usage: usage16(opWrite16, 0xf8), run: write, dataOut: writeLen},
		{usage: usage16(opORWrite16, 0xf8), run: orWrite, dataOut: writeLen},
		{usage: usage16(opWriteAndVerify16, 0xf6), run: writeAndVerify, dataOut: verifyLen},
		{usage: usage16(opSynchronizeCache16, 0x02), run: synchronizeCache},
		{usage: usage16(opWriteSame16, 0xff), run: writeSame, dataOut: writeSameLen}, // … NDOB
		{usage: usage16(opWriteAtomic16, 0xf8), run: writeAtomic, dataOut: writeAtomicLen},
		{usage: usage12(opWrite12, 0xf8), run: write, dataOut: writeLen},
		{usage: usage12(opWriteAndVerify12, 0xf6), run: writeAndVerify, dataOut: verifyLen},
	}
}

// reservingOperations take or give up a reservation.
func reservingOperations() []operation {
	return []operation{
		{usage: []byte{opReserve6, 0x11, 0, 0, 0, 4}, run: reserve6}, // 3RDPTY, EXTENT
		{usage: []byte{opRelease6, 0x11, 0, 0, 0, 4}, run: release6},
		{usage: usageReserveOut(saRegister), hasAction: true,
			run: persistentReserveOut, dataOut: reserveOutLen},
		{usage: usageReserveOut(saReserve), hasAction: true,
			run: persistentReserveOut, dataOut: reserveOutLen},
		{usage: usageReserveOut(saRelease), hasAction: true,
			run: persistentReserveOut, dataOut: reserveOutLen},
		{usage: usageReserveOut(saClear), hasAction: true,
			run: persistentReserveOut, dataOut: reserveOutLen},
		{usage: usageReserveOut(saPreempt), hasAction: true,
			run: persistentReserveOut, dataOut: reserveOutLen},
		{usage: usageReserveOut(saPreemptAndAbort), hasAction: true,
			run: persistentReserveOut, dataOut: reserveOutLen},
		{usage: usageReserveOut(saRegisterAndIgnore), hasAction: true,
			run: persistentReserveOut, dataOut: reserveOutLen},
		{usage: usageReserveOut(saRegisterAndMove), hasAction: true,
			run: persistentReserveOut, dataOut: reserveOutLen},
	}
}

// The usage data of the commands that name an LBA and a count, by CDB length. Byte 1 is given.
func usage6(opcode byte) []byte {
	return []byte{opcode, 0x1f, 0xff, 0xff, 0xff, 4}
}

func usage10(opcode, byte1 byte) []byte {
	return []byte{opcode, byte1, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff, 4}
}

func usage12(opcode, byte1 byte) []byte {
	return []byte{opcode, byte1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 4}
}

func usage16(opcode, byte1 byte) []byte {
	return []byte{opcode, byte1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0xff, 0xff, 0xff, 0xff, 0, 4}
}

func usageSanitize(action byte) []byte {
	return []byte{opSanitize, 0xa0 | action, 0, 0, 0, 0, 0, 0xff, 0xff, 4} // IMMED, AUSE
}

func usageCopyResults(action byte) []byte {
	return []byte{opReceiveCopyResults, action, 0xff, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 4}
}

func usageReserveIn(action byte) []byte {
	return []byte{opPersistentReserveIn, action, 0, 0, 0, 0, 0, 0xff, 0xff, 4}
}

func usageReserveOut(action byte) []byte {
	usage := []byte{opPersistentReserveOut, action, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 4}
	switch action {
	case saReserve, saRelease, saPreempt, saPreemptAndAbort:
		usage[2] = 0xff // SCOPE, TYPE
	}
	return usage
}
