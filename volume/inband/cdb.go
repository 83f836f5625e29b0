package inband

import (
	"encoding/binary"

	"github.com/holdfast-storage/holdfast/volume"
)

// OpCode is the vendor-specific operation code of every in-band command.
const OpCode = 0xC0

// CDBBytes is the length of every in-band CDB.
const CDBBytes = 16

// ServiceAction says what an in-band command does; it stands in bits 4-0 of byte 1.
type ServiceAction uint8

// The service actions of legs of every layout. Those of parity legs begin at 0x10; a number is never given a second
// meaning.
const (
	ActionReadLabel ServiceAction = 0x01
	ActionConfig    ServiceAction = 0x02
	ActionRotate    ServiceAction = 0x03
	ActionStable    ServiceAction = 0x04
	ActionMarks     ServiceAction = 0x05
	ActionChecksums ServiceAction = 0x06
	ActionDetach    ServiceAction = 0x07
	ActionVersions  ServiceAction = 0x08
	ActionStamp     ServiceAction = 0x09
	ActionAdopt     ServiceAction = 0x0A
)

// String returns the action's name as docs/protocol.md writes it.
func (a ServiceAction) String() string {
	switch a {
	case ActionReadLabel:
		return "READ LABEL"
	case ActionConfig:
		return "CONFIG"
	case ActionRotate:
		return "ROTATE"
	case ActionStable:
		return "STABLE"
	case ActionMarks:
		return "MARKS"
	case ActionChecksums:
		return "CHECKSUMS"
	case ActionDetach:
		return "DETACH"
	case ActionVersions:
		return "VERSIONS"
	case ActionStamp:
		return "STAMP"
	case ActionAdopt:
		return "ADOPT"
	}
	return a.journalActionName()
}

// The places of a CDB's fields, those of SERVICE ACTION IN(16).
const (
	cdbArgument = 2  // 8 bytes
	cdbLength   = 10 // 4 bytes
	cdbReserved = 14
	cdbControl  = 15
)

// MaxChecksumBlocks is the largest Checksums.Blocks: 16 MiB of data, a tenth of a second of a
// slow disk, so that no in-band command stays in the gate for long.
const MaxChecksumBlocks = 4096

// Command is one in-band command as its CDB states it: ReadLabel, Config, Rotate, Stable, Marks,
// Checksums, Versions, Stamp, Adopt or Detach; of legs of parity also Stage, Commit, Free, Records, Rollback or Drop.
type Command interface {
	// Action returns the command's service action.
	Action() ServiceAction
	// CDB returns the command's bytes.
	CDB() [CDBBytes]byte
	// DataInBytes is the most data-in that the command answers with, zero when there is none. An
	// initiator offers a buffer of this length.
	DataInBytes() int
}

// ReadLabel asks for the leg's label and what the leg knows of its cache; the answer is read by
// ParseReport. It is answered before CONFIG too.
type ReadLabel struct{}

// Config carries a parameter list of ParamBytes bytes, made by AppendConfig.
type Config struct{ ParamBytes uint32 }

// Rotate starts a new window of marks; the answer, read by ParseRotation, is the generation of
// the window that ended.
type Rotate struct{}

// Stable clears the marks of generations up to Generation.
type Stable struct{ Generation uint64 }

// Marks asks for the regions that are marked or whose version is newer than Since, from
// FirstRegion on; the answer is read by ParseMarks.
type Marks struct {
	Since       volume.CfgVer
	FirstRegion uint32 // in units of volume.RegionBytes
}

// Checksums asks for one CRC32C per block, and which blocks are not what was written last; the
// answer is read by ParseChecksums.
type Checksums struct {
	FirstBlock uint64 // in units of volume.BlockBytes; below 2^63
	Blocks     uint32 // 1 to MaxChecksumBlocks
	Medium     bool   // the bytes are to be read from the medium, not from the page cache
}

// Versions asks for the regions whose version is newer than Since, from FirstRegion on; the answer
// is read by ParseVersions.
type Versions struct {
	Since       volume.CfgVer
	FirstRegion uint32 // in units of volume.RegionBytes
}

// Stamp carries a parameter list of ParamBytes bytes, made by AppendVersions: versions that the leg
// makes its own, durably, where they are newer.
type Stamp struct{ ParamBytes uint32 }

// Adopt makes what the bad blocks of a range hold now count as what was written.
type Adopt struct {
	FirstBlock uint64 // in units of volume.BlockBytes
	Blocks     uint32 // 1 to MaxChecksumBlocks
}

// Detach spends the epoch. Clean says that the host flushed and made stable every leg.
type Detach struct{ Clean bool }

// Action returns ActionReadLabel.
func (ReadLabel) Action() ServiceAction { return ActionReadLabel }

// Action returns ActionConfig.
func (Config) Action() ServiceAction { return ActionConfig }

// Action returns ActionRotate.
func (Rotate) Action() ServiceAction { return ActionRotate }

// Action returns ActionStable.
func (Stable) Action() ServiceAction { return ActionStable }

// Action returns ActionMarks.
func (Marks) Action() ServiceAction { return ActionMarks }

// Action returns ActionChecksums.
func (Checksums) Action() ServiceAction { return ActionChecksums }

// Action returns ActionVersions.
func (Versions) Action() ServiceAction { return ActionVersions }

// Action returns ActionStamp.
func (Stamp) Action() ServiceAction { return ActionStamp }

// Action returns ActionAdopt.
func (Adopt) Action() ServiceAction { return ActionAdopt }

// Action returns ActionDetach.
func (Detach) Action() ServiceAction { return ActionDetach }

// DataInBytes is the size of a report.
func (ReadLabel) DataInBytes() int { return ReportBytes }

// DataInBytes is zero.
func (Config) DataInBytes() int { return 0 }

// DataInBytes is the size of a rotation.
func (Rotate) DataInBytes() int { return RotationBytes }

// DataInBytes is the size of a progress.
func (Stable) DataInBytes() int { return ProgressBytes }

// DataInBytes is the size of the longest page of marks.
func (Marks) DataInBytes() int { return MarksMaxBytes }

// DataInBytes is the size of the asked checksums.
func (c Checksums) DataInBytes() int { return checksumsBytes(int(c.Blocks)) }

// DataInBytes is the size of the longest page of versions.
func (Versions) DataInBytes() int { return VersionsMaxBytes }

// DataInBytes is zero.
func (Stamp) DataInBytes() int { return 0 }

// DataInBytes is zero.
func (Adopt) DataInBytes() int { return 0 }

// DataInBytes is the size of a progress.
func (Detach) DataInBytes() int { return ProgressBytes }

// CDB returns the command's bytes.
func (c ReadLabel) CDB() [CDBBytes]byte { return cdb(c.Action(), 0, ReportBytes) }

// CDB returns the command's bytes.
func (c Config) CDB() [CDBBytes]byte { return cdb(c.Action(), 0, c.ParamBytes) }

// CDB returns the command's bytes.
func (c Rotate) CDB() [CDBBytes]byte { return cdb(c.Action(), 0, RotationBytes) }

// CDB returns the command's bytes.
func (c Stable) CDB() [CDBBytes]byte { return cdb(c.Action(), c.Generation, ProgressBytes) }

// CDB returns the command's bytes.
func (c Marks) CDB() [CDBBytes]byte { return cdb(c.Action(), uint64(c.Since), c.FirstRegion) }

// CDB returns the command's bytes.
func (c Checksums) CDB() [CDBBytes]byte {
	if c.Medium {
		return cdb(c.Action(), c.FirstBlock|checksumsMedium, c.Blocks)
	}
	return cdb(c.Action(), c.FirstBlock, c.Blocks)
}

// CDB returns the command's bytes.
func (c Versions) CDB() [CDBBytes]byte { return cdb(c.Action(), uint64(c.Since), c.FirstRegion) }

// CDB returns the command's bytes.
func (c Stamp) CDB() [CDBBytes]byte { return cdb(c.Action(), 0, c.ParamBytes) }

// CDB returns the command's bytes.
func (c Adopt) CDB() [CDBBytes]byte { return cdb(c.Action(), c.FirstBlock, c.Blocks) }

// CDB returns the command's bytes.
func (c Detach) CDB() [CDBBytes]byte {
	if c.Clean {
		return cdb(c.Action(), detachClean, ProgressBytes)
	}
	return cdb(c.Action(), 0, ProgressBytes)
}

const (
	// detachClean is the CLEAN bit of DETACH's argument.
	detachClean = 1
	// checksumsMedium is the MEDIUM bit of CHECKSUMS' argument; the rest is the first block.
	checksumsMedium = 1 << 63
)

func cdb(a ServiceAction, argument uint64, length uint32) [CDBBytes]byte {
	b := [CDBBytes]byte{OpCode, byte(a)}
	binary.BigEndian.PutUint64(b[cdbArgument:], argument)
	binary.BigEndian.PutUint32(b[cdbLength:], length)
	return b
}
