package scsi

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
)

var cdbLengths = map[byte]int{0: 6, 1: 10, 2: 10, 4: 16, 5: 12}

func TestOperations_tableIsSound(t *testing.T) {
	last := -1
	for _, op := range allOperations() {
		require.Lenf(t, op.usage, cdbLengths[op.opcode()>>5], "opcode %#x", op.opcode())
		require.NotNil(t, op.run)
		require.Less(t, op.opcode(), byte(firstVendorOpcode))
		require.False(t, op.dataIn != nil && op.dataOut != nil, "no command is bidirectional")
		key := int(op.opcode()) << 5
		if op.hasAction {
			key |= int(op.action())
		}
		require.Greater(t, key, last, "ascending, each pair once")
		last = key
		require.True(t, op.naca(op.usage), "NACA is evaluated and refused")
	}
}

// REPORT SUPPORTED OPERATION CODES, asked in every way, says what the unit really does.
func TestReportOpcodes_isTheTruth(t *testing.T) {
	for _, canUnmap := range []bool{true, false} {
		b := newBench(t, func(l *block.Limits) { l.CanUnmap = canUnmap }, nil)
		all := CDB{opMaintenanceIn, saReportSupportedOpcodes, 0, 0, 0, 0, 0, 0, 0x10, 0}
		listed := listedOpcodes(b.good(all, nil, 4096))
		for opcode := range firstVendorOpcode {
			for action := range 32 {
				cdb := CDB{byte(opcode), byte(action)}
				sense := b.do(cdb, nil, 4096).Sense
				_, one := listed[opcode<<8|0xff]
				_, withAction := listed[opcode<<8|action]
				known := one || anyAction(listed, opcode)
				require.Equalf(t, !known, sense.code() == senseInvalidOpcode,
					"%#x action %#x: %v", opcode, action, sense)

				ask := CDB{opMaintenanceIn, saReportSupportedOpcodes, reportOneWayOrOther,
					byte(opcode), 0, byte(action), 0, 0, 0x10, 0}
				data := b.good(ask, nil, 4096)
				supported := one && action == 0 || withAction
				require.Equalf(t, supported, data[1]&7 == supportAsStandard, "%#x action %#x", opcode, action)
				if supported {
					require.Equal(t, byte(opcode), data[4])
					require.Len(t, data, 4+int(data[3]))
				}
			}
		}
		require.Equal(t, canUnmap, hasKey(listed, opUnmap<<8|0xff))
	}
}

func hasKey(m map[int]bool, k int) bool { _, ok := m[k]; return ok }

func anyAction(listed map[int]bool, opcode int) bool {
	for action := range 32 {
		if hasKey(listed, opcode<<8|action) {
			return true
		}
	}
	return false
}

// listedOpcodes decodes all command descriptors to opcode<<8 | service action, 0xff for none.
func listedOpcodes(data []byte) map[int]bool {
	listed := map[int]bool{}
	for rest := data[4:]; len(rest) >= 8; rest = rest[8:] {
		action := 0xff
		if rest[5]&1 != 0 {
			action = int(binary.BigEndian.Uint16(rest[2:]))
		}
		listed[int(rest[0])<<8|action] = true
	}
	return listed
}

func TestReportOpcodes_forms(t *testing.T) {
	b := newBench(t, nil, nil)
	ask := func(options, opcode, action, allocation byte) CDB {
		return CDB{opMaintenanceIn, saReportSupportedOpcodes, options, opcode, 0, action, 0, 0, 0, allocation}
	}
	all := b.good(ask(0x80, 0, 0, 0xff), nil, 4096)
	require.Equal(t, uint32(20*len(b.disk.table.operations)), binary.BigEndian.Uint32(all))
	require.Len(t, all, 255, "cut to the allocation length")

	require.Equal(t, []byte{0, 3, 0, 6, 0, 0, 0, 0, 0, 4}, b.good(ask(1, 0, 0, 255), nil, 255))
	require.Equal(t, []byte{0, 0x83, 0, 6, 0, 0, 0, 0, 0, 4, 0, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		b.good(ask(0x81, 0, 0, 255), nil, 255))
	require.Equal(t, []byte{0, 1, 0, 0}, b.good(ask(1, 0x5e, 0, 255), nil, 255), "persistent reservations")
	require.Equal(t, byte(3), b.good(ask(2, opServiceActionIn16, saReadCapacity16, 255), nil, 255)[1])
	require.Equal(t, byte(1), b.good(ask(2, opServiceActionIn16, 0x12, 255), nil, 255)[1])
	pointed := senseInvalidFieldInCDB.sense().atCDBByte(2)
	require.Equal(t, pointed, b.do(ask(1, opServiceActionIn16, 0, 255), nil, 255).Sense)
	require.Equal(t, pointed, b.do(ask(2, opRead10, 0, 255), nil, 255).Sense)
	require.Equal(t, pointed, b.do(ask(4, opRead10, 0, 255), nil, 255).Sense)
}

func TestExecute_unknown(t *testing.T) {
	b := newBench(t, nil, nil)
	for _, opcode := range []byte{0x5e, 0x5f, 0x8d, 0x9d, 0xff} {
		b.refused(senseInvalidOpcode, CDB{opcode}, nil)
	}
	b.refused(senseInvalidFieldInCDB, CDB{opServiceActionIn16, 0x13}, nil)
	nacaRead := extentOf(opRead10, 0, 0, 1)
	nacaRead[9] = 4
	b.refused(senseInvalidFieldInCDB, nacaRead, nil)
	for n := range cdbBytes {
		var res Response
		b.disk.Execute(t.Context(), &Command{CDB: make([]byte, n)}, &res)
		require.Equal(t, senseInvalidFieldInCDB.sense(), res.Sense)
		require.Zero(t, b.disk.DataInLen(make([]byte, n))+b.disk.DataOutLen(make([]byte, n)))
	}
}

// A leg has what an engine sends and what tools ask, and nothing that changes data or settings otherwise.
func TestLeg_hasFewCommands(t *testing.T) {
	b := newBench(t, nil, func(o *Options) { o.Leg, o.Removable, o.Reservations = true, true, true })
	var have []byte
	for _, op := range b.disk.table.operations {
		if len(have) == 0 || have[len(have)-1] != op.opcode() {
			have = append(have, op.opcode())
		}
	}
	require.Equal(t, []byte{opTestUnitReady, opRequestSense, opRead6, opWrite6, opInquiry, opModeSense6,
		opStartStopUnit, opReadCapacity10, opRead10, opWrite10, opVerify10, opSynchronizeCache10, opWriteSame10,
		opUnmap, opModeSense10, opRead16, opWrite16, opVerify16, opSynchronizeCache16, opWriteSame16,
		opServiceActionIn16, opReportLUNs, opMaintenanceIn, opRead12, opWrite12, opVerify12}, have)
}
