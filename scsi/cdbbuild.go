package scsi

import "encoding/binary"

// CDB is a command descriptor block as an initiator sends it: up to 16 bytes, the rest zero.
type CDB [16]byte

// TestUnitReadyCDB asks whether the unit accepts media access commands.
func TestUnitReadyCDB() CDB { return CDB{opTestUnitReady} }

// InquiryCDB asks for standard inquiry data.
func InquiryCDB(allocation uint16) CDB {
	return CDB{opInquiry, 0, 0, byte(allocation >> 8), byte(allocation)}
}

// VPDCDB asks for a page of vital product data.
func VPDCDB(page byte, allocation uint16) CDB {
	return CDB{opInquiry, 1, page, byte(allocation >> 8), byte(allocation)}
}

// ModeSense10CDB asks for the current values of a mode page, without block descriptors.
func ModeSense10CDB(page byte, allocation uint16) CDB {
	return CDB{opModeSense10, 0x08, page & 0x3f, 0, 0, 0, 0, byte(allocation >> 8), byte(allocation)}
}

// ReportLUNsCDB asks for all logical units of the target.
func ReportLUNsCDB(allocation uint32) CDB {
	cdb := CDB{opReportLUNs}
	binary.BigEndian.PutUint32(cdb[6:], allocation)
	return cdb
}

// ReadCapacity16CDB asks for size, block size and provisioning of the unit.
func ReadCapacity16CDB(allocation uint32) CDB {
	cdb := CDB{opServiceActionIn16, saReadCapacity16}
	binary.BigEndian.PutUint32(cdb[10:], allocation)
	return cdb
}

// Read16CDB reads blocks from lba on.
func Read16CDB(lba uint64, blocks uint32) CDB { return extentCDB(opRead16, 0, lba, blocks) }

// Write16CDB writes blocks from lba on; with fua they are on stable storage when it completes.
func Write16CDB(lba uint64, blocks uint32, fua bool) CDB {
	if fua {
		return extentCDB(opWrite16, bitFUA, lba, blocks)
	}
	return extentCDB(opWrite16, 0, lba, blocks)
}

// WriteSame16CDB writes the one block of data-out to all of the blocks from lba on. With unmap the
// unit may free them instead, if that block is all zeroes.
func WriteSame16CDB(lba uint64, blocks uint32, unmap bool) CDB {
	if unmap {
		return extentCDB(opWriteSame16, bitUnmap, lba, blocks)
	}
	return extentCDB(opWriteSame16, 0, lba, blocks)
}

// SynchronizeCache16CDB puts all blocks from lba on, to the end with blocks zero, on stable storage.
func SynchronizeCache16CDB(lba uint64, blocks uint32) CDB {
	return extentCDB(opSynchronizeCache16, 0, lba, blocks)
}

func extentCDB(opcode, byte1 byte, lba uint64, blocks uint32) CDB {
	cdb := CDB{opcode, byte1}
	binary.BigEndian.PutUint64(cdb[2:], lba)
	binary.BigEndian.PutUint32(cdb[10:], blocks)
	return cdb
}
