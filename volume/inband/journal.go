package inband

import "github.com/holdfast-storage/holdfast/volume"

// The service actions of legs of parity (docs/safety/journal.md). 0x11 was kept for deltas, which STAGE carries.
const (
	ActionStage    ServiceAction = 0x10
	ActionCommit   ServiceAction = 0x12
	ActionFree     ServiceAction = 0x13
	ActionRecords  ServiceAction = 0x14
	ActionRollback ServiceAction = 0x15
	ActionDrop     ServiceAction = 0x16
)

// journalActionName is ServiceAction.String of these.
func (a ServiceAction) journalActionName() string {
	switch a {
	case ActionStage:
		return "STAGE"
	case ActionCommit:
		return "COMMIT"
	case ActionFree:
		return "FREE"
	case ActionRecords:
		return "RECORDS"
	case ActionRollback:
		return "ROLLBACK"
	case ActionDrop:
		return "DROP"
	}
	return "unknown service action"
}

// Stage carries a parameter list of ParamBytes bytes, made by AppendStage, and behind it the record's payload.
type Stage struct {
	ParamBytes uint32
	Blocks     uint32 // of the payload, in units of volume.BlockBytes; 1 to volume.MaxRecordBlocks
}

// Commit carries a parameter list of TransactionBytes bytes, made by AppendTransaction: commit everything up to it.
type Commit struct{}

// Free carries a parameter list like Commit's: free everything up to it.
type Free struct{}

// Drop carries a parameter list like Commit's: drop all records, and keep it as the floor.
type Drop struct{}

// Rollback carries a parameter list of ParamBytes bytes, made by AppendRollback: take these records back.
type Rollback struct{ ParamBytes uint32 }

// Records asks for the records that are not freed, from a place that a page before named, 0 for the first; the answer
// is read by ParseRecords.
type Records struct{ From uint64 }

// Action returns ActionStage.
func (Stage) Action() ServiceAction { return ActionStage }

// Action returns ActionCommit.
func (Commit) Action() ServiceAction { return ActionCommit }

// Action returns ActionFree.
func (Free) Action() ServiceAction { return ActionFree }

// Action returns ActionDrop.
func (Drop) Action() ServiceAction { return ActionDrop }

// Action returns ActionRollback.
func (Rollback) Action() ServiceAction { return ActionRollback }

// Action returns ActionRecords.
func (Records) Action() ServiceAction { return ActionRecords }

// DataInBytes is zero.
func (Stage) DataInBytes() int { return 0 }

// DataInBytes is zero.
func (Commit) DataInBytes() int { return 0 }

// DataInBytes is zero.
func (Free) DataInBytes() int { return 0 }

// DataInBytes is zero.
func (Drop) DataInBytes() int { return 0 }

// DataInBytes is zero.
func (Rollback) DataInBytes() int { return 0 }

// DataInBytes is the size of the longest page of records.
func (Records) DataInBytes() int { return RecordsMaxBytes }

// CDB returns the command's bytes.
func (c Stage) CDB() [CDBBytes]byte { return cdb(c.Action(), uint64(c.Blocks), c.ParamBytes) }

// CDB returns the command's bytes.
func (c Commit) CDB() [CDBBytes]byte { return cdb(c.Action(), 0, TransactionBytes) }

// CDB returns the command's bytes.
func (c Free) CDB() [CDBBytes]byte { return cdb(c.Action(), 0, TransactionBytes) }

// CDB returns the command's bytes.
func (c Drop) CDB() [CDBBytes]byte { return cdb(c.Action(), 0, TransactionBytes) }

// CDB returns the command's bytes.
func (c Rollback) CDB() [CDBBytes]byte { return cdb(c.Action(), 0, c.ParamBytes) }

// CDB returns the command's bytes.
func (c Records) CDB() [CDBBytes]byte { return cdb(c.Action(), c.From, RecordsMaxBytes) }

// parseJournalAction is parseAction for legs of parity.
func parseJournalAction(a ServiceAction, argument uint64, length uint32) (Command, error) {
	switch a {
	case ActionStage:
		if argument == 0 || argument > volume.MaxRecordBlocks {
			return nil, badField(a, cdbArgument, "argument")
		}
		if length <= stageFixedBytes || length > StageMaxBytes || (length-stageFixedBytes)%legIDBytes != 0 {
			return nil, badField(a, cdbLength, "length")
		}
		return Stage{ParamBytes: length, Blocks: uint32(argument)}, nil
	case ActionRecords:
		if length != RecordsMaxBytes {
			return nil, badField(a, cdbLength, "length")
		}
		return Records{From: argument}, nil
	}
	if argument != 0 {
		return nil, badField(a, cdbArgument, "argument")
	}
	switch a {
	case ActionRollback:
		if length <= headerBytes || length > RollbackMaxBytes || (length-headerBytes)%transactionBytes != 0 {
			return nil, badField(a, cdbLength, "length")
		}
		return Rollback{ParamBytes: length}, nil
	case ActionCommit, ActionFree, ActionDrop:
		if length != TransactionBytes {
			return nil, badField(a, cdbLength, "length")
		}
	}
	switch a {
	case ActionCommit:
		return Commit{}, nil
	case ActionFree:
		return Free{}, nil
	}
	return Drop{}, nil
}
