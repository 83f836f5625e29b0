package inband

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/holdfast-storage/holdfast/volume"
)

// ErrOpCode means that a CDB is no in-band command at all: INVALID COMMAND OPERATION CODE.
var ErrOpCode = errors.New("not an in-band command")

// FieldError refuses a CDB or a parameter list for one field: INVALID FIELD IN CDB, or INVALID
// FIELD IN PARAMETER LIST.
type FieldError struct {
	Byte        int  // the field's first byte: the field pointer of the sense data
	InParameter bool // the field is in the parameter list, not in the CDB
	Reason      string
}

// Error names the field and the reason.
func (e *FieldError) Error() string {
	where := "CDB"
	if e.InParameter {
		where = "parameter list"
	}
	return fmt.Sprintf("in-band command: %s byte %d: %s", where, e.Byte, e.Reason)
}

// ErrLength means that a parameter list, or an answer, is not as long as it says or must be:
// PARAMETER LIST LENGTH ERROR.
var ErrLength = errors.New("in-band command: wrong length")

// Parse reads a CDB. The error is ErrOpCode, ErrLength for a CDB that is cut short, or a
// *FieldError.
func Parse(b []byte) (Command, error) {
	if len(b) == 0 || b[0] != OpCode {
		return nil, ErrOpCode
	}
	if len(b) < CDBBytes {
		return nil, fmt.Errorf("%w: a CDB of %d bytes", ErrLength, len(b))
	}
	switch {
	case b[cdbReserved] != 0:
		return nil, &FieldError{Byte: cdbReserved, Reason: "reserved"}
	case b[cdbControl] != 0:
		return nil, &FieldError{Byte: cdbControl, Reason: "no CONTROL bit is supported"}
	}
	return parseAction(ServiceAction(b[1]),
		binary.BigEndian.Uint64(b[cdbArgument:]), binary.BigEndian.Uint32(b[cdbLength:]))
}

// parseAction makes the command from the three fields. What an action does not use must be zero,
// so that a later version can give it a meaning.
func parseAction(a ServiceAction, argument uint64, length uint32) (Command, error) {
	switch a {
	case ActionReadLabel, ActionRotate:
		var c Command = ReadLabel{}
		if a == ActionRotate {
			c = Rotate{}
		}
		if argument != 0 {
			return nil, badField(a, cdbArgument, "argument")
		}
		if length != uint32(c.DataInBytes()) {
			return nil, badField(a, cdbLength, "length")
		}
		return c, nil
	case ActionConfig:
		if argument != 0 {
			return nil, badField(a, cdbArgument, "argument")
		}
		if length < configFixedBytes || length > ConfigMaxBytes {
			return nil, badField(a, cdbLength, "length")
		}
		return Config{ParamBytes: length}, nil
	case ActionStable:
		if length != ProgressBytes {
			return nil, badField(a, cdbLength, "length")
		}
		return Stable{Generation: argument}, nil
	case ActionMarks:
		return Marks{Since: volume.CfgVer(argument), FirstRegion: length}, nil
	case ActionChecksums:
		if length == 0 || length > MaxChecksumBlocks {
			return nil, badField(a, cdbLength, "length")
		}
		return Checksums{FirstBlock: argument &^ checksumsMedium, Blocks: length,
			Medium: argument&checksumsMedium != 0}, nil
	case ActionVersions:
		return Versions{Since: volume.CfgVer(argument), FirstRegion: length}, nil
	case ActionStamp:
		if argument != 0 {
			return nil, badField(a, cdbArgument, "argument")
		}
		if length < headerBytes+versionsFixedBytes || length > VersionsMaxBytes {
			return nil, badField(a, cdbLength, "length")
		}
		return Stamp{ParamBytes: length}, nil
	case ActionAdopt:
		if length == 0 || length > MaxChecksumBlocks {
			return nil, badField(a, cdbLength, "length")
		}
		return Adopt{FirstBlock: argument, Blocks: length}, nil
	case ActionDetach:
		if argument&^detachClean != 0 {
			return nil, badField(a, cdbArgument, "argument")
		}
		if length != ProgressBytes {
			return nil, badField(a, cdbLength, "length")
		}
		return Detach{Clean: argument&detachClean != 0}, nil
	case ActionStage, ActionCommit, ActionFree, ActionRecords, ActionRollback, ActionDrop:
		return parseJournalAction(a, argument, length)
	}
	return nil, &FieldError{Byte: 1, Reason: fmt.Sprintf("service action %#02x is unknown", uint8(a))}
}

// badField is the error of a field of a CDB. It is made where it is needed only: each command is parsed more than once.
func badField(a ServiceAction, at int, name string) error {
	return &FieldError{Byte: at, Reason: a.String() + ": bad " + name}
}

// DataOutBytes returns how many bytes of data-out a CDB asks for: those of a valid command with a parameter list,
// else none.
func DataOutBytes(b []byte) int64 {
	c, err := Parse(b)
	if err != nil {
		return 0
	}
	switch c := c.(type) {
	case Config:
		return int64(c.ParamBytes)
	case Stamp:
		return int64(c.ParamBytes)
	case Stage:
		return int64(c.ParamBytes) + int64(c.Blocks)*volume.BlockBytes
	case Commit, Free, Drop:
		return TransactionBytes
	case Rollback:
		return int64(c.ParamBytes)
	}
	return 0
}
