package scsi

import (
	"encoding/binary"

	"github.com/holdfast-storage/holdfast/block"
)

// The operation codes of the commands that this package knows (SPC-4, SBC-3).
const (
	opTestUnitReady        = 0x00
	opRequestSense         = 0x03
	opRead6                = 0x08
	opWrite6               = 0x0a
	opInquiry              = 0x12
	opModeSelect6          = 0x15
	opReserve6             = 0x16
	opRelease6             = 0x17
	opModeSense6           = 0x1a
	opStartStopUnit        = 0x1b
	opReadCapacity10       = 0x25
	opRead10               = 0x28
	opWrite10              = 0x2a
	opWriteAndVerify10     = 0x2e
	opVerify10             = 0x2f
	opPreventAllow         = 0x1e
	opPreFetch10           = 0x34
	opSynchronizeCache10   = 0x35
	opReadDefectData10     = 0x37
	opWriteSame10          = 0x41
	opUnmap                = 0x42
	opSanitize             = 0x48
	opModeSelect10         = 0x55
	opModeSense10          = 0x5a
	opPersistentReserveIn  = 0x5e
	opPersistentReserveOut = 0x5f
	opExtendedCopy         = 0x83
	opReceiveCopyResults   = 0x84
	opRead16               = 0x88
	opCompareAndWrite      = 0x89
	opWrite16              = 0x8a
	opORWrite16            = 0x8b
	opWriteAndVerify16     = 0x8e
	opVerify16             = 0x8f
	opPreFetch16           = 0x90
	opSynchronizeCache16   = 0x91
	opWriteSame16          = 0x93
	opWriteAtomic16        = 0x9c
	opServiceActionIn16    = 0x9e
	opReportLUNs           = 0xa0
	opMaintenanceIn        = 0xa3
	opRead12               = 0xa8
	opWrite12              = 0xaa
	opWriteAndVerify12     = 0xae
	opVerify12             = 0xaf
	opReadDefectData12     = 0xb7

	saReadCapacity16         = 0x10
	saGetLBAStatus           = 0x12
	saReportSupportedOpcodes = 0x0c
	saReportTaskFunctions    = 0x0d
	saBlockErase             = 0x02
	saExitFailureMode        = 0x1f
	saCopyStatus             = 0x00
	saOperatingParameters    = 0x03
)

// The bits of byte 1 of the commands that name an LBA.
const (
	bitFUA    = 0x08
	bitDPO    = 0x10
	bitUnmap  = 0x08 // WRITE SAME
	bitAnchor = 0x10 // WRITE SAME; in UNMAP it is bit 0
	bitNDOB   = 0x01 // WRITE SAME (16)

	maskProtect = 0xe0 // RDPROTECT, WRPROTECT, VRPROTECT
)

// extent is what the commands that name an LBA and a count have in common.
type extent struct {
	lba    uint64
	blocks uint64
	byte1  byte // protection, DPO, FUA and the like; zero for six-byte CDBs
}

// decodeExtent reads LBA and count from where the CDB's group code puts them (SPC-4 §4.2.5.1).
func decodeExtent(cdb []byte) extent {
	switch cdb[0] >> 5 {
	case 0:
		e := extent{lba: uint64(binary.BigEndian.Uint32(cdb)) & 0x1fffff, blocks: uint64(cdb[4])}
		if e.blocks == 0 {
			e.blocks = 256 // SBC-3 READ (6)
		}
		return e
	case 1, 2:
		lba, blocks := binary.BigEndian.Uint32(cdb[2:]), binary.BigEndian.Uint16(cdb[7:])
		return extent{uint64(lba), uint64(blocks), cdb[1]}
	case 5:
		lba, blocks := binary.BigEndian.Uint32(cdb[2:]), binary.BigEndian.Uint32(cdb[6:])
		return extent{uint64(lba), uint64(blocks), cdb[1]}
	}
	return extent{binary.BigEndian.Uint64(cdb[2:]), uint64(binary.BigEndian.Uint32(cdb[10:])), cdb[1]}
}

// locate turns an extent into bytes of the device, or says why it is refused. No protection
// information is kept, so a command that asks for it is refused (SBC-3 §4.22).
func (d *Disk) locate(e extent) (block.Range, senseCode) {
	if e.byte1&maskProtect != 0 {
		return block.Range{}, senseInvalidFieldInCDB
	}
	if e.lba > d.blocks || e.blocks > d.blocks-e.lba {
		return block.Range{}, senseLBAOutOfRange
	}
	return block.Range{Off: int64(e.lba) * d.blockBytes, Len: int64(e.blocks) * d.blockBytes}, 0
}

// transfer is locate for a command that moves the data of the whole extent at once.
func (d *Disk) transfer(e extent) (block.Range, senseCode) {
	r, sense := d.locate(e)
	if sense == 0 && r.Len > d.options.MaxTransferBytes {
		return block.Range{}, senseInvalidFieldInCDB
	}
	return r, sense
}

// Allocation lengths by where they stand in the CDB, bounded by what a Disk ever answers.
func allocation8(_ *Disk, cdb []byte) int64 { return int64(cdb[4]) }

func allocation16(_ *Disk, cdb []byte) int64 {
	return min(int64(binary.BigEndian.Uint16(cdb[7:])), maxParameterBytes)
}

func allocation32At6(_ *Disk, cdb []byte) int64 {
	return min(int64(binary.BigEndian.Uint32(cdb[6:])), maxParameterBytes)
}

func allocation32At10(_ *Disk, cdb []byte) int64 {
	return min(int64(binary.BigEndian.Uint32(cdb[10:])), maxParameterBytes)
}
