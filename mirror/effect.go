package mirror

import (
	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/volume"
)

// EffectKind says what is to be done, and which fields of the Effect are set.
type EffectKind uint8

// The effects. The driver carries them out in order, after the Step that returned them; effects of
// different Steps may be carried out side by side and in any order: whatever must come after an
// effect waits for the event that answers it.
const (
	// EffectSubmit sends a request to a leg: Leg, Req, Op, Flags, Range; for a write Data is the
	// payload, which begins where Range begins. With Stage the write is a record of chunk Chunk, by its plan.
	// EventDone answers it exactly once.
	EffectSubmit EffectKind = iota + 1
	// EffectPing asks a leg for a sign of life: Leg, Req.Sess. EventPong answers it exactly once.
	EffectPing
	// EffectCall sends a command to a leg or a question to the coordinators: Call, Command; for a
	// leg, Leg and Req.Sess. EventAnswer answers it exactly once.
	EffectCall
	// EffectDeliver copies the guest's range out of Data, which holds Range, completes Guest
	// without error, and releases Data.
	EffectDeliver
	// EffectComplete completes Guest with Err.
	EffectComplete
	// EffectRelease says that Data is not needed any more.
	EffectRelease
	// EffectFill copies those bytes of Source, which holds Range, that lie outside of Keep, into
	// Data at Offset: the unaligned edge of a write takes over what stands there.
	EffectFill
	// EffectChange adds to Data what parity gets of it: the change from Source, where it begins at Begin, to the
	// payload, for data chunk Chunk.
	EffectChange
	// EffectEncode adds to Data, which is the data of a whole stripe, the stripe's parity.
	EffectEncode
	// EffectTrim takes away again what EffectChange added to Data: it is only read from now on.
	EffectTrim
	// EffectDecode makes chunk Chunk of a stripe, some rows of it, from those in Parts, and puts it into Data, which
	// is one of them. The others are released.
	EffectDecode
	// EffectVerify finds the blocks of a stripe, some rows of it, that are not what the others make of them, and
	// releases what is in Parts. EventVerified answers it exactly once: Req.
	EffectVerify
	// EffectStart begins to connect to Leg.
	EffectStart
	// EffectReset ends the session of Leg if it still is Req.Sess; Text says why.
	EffectReset
	// EffectStop ends the connection to Leg for good; its index may be used again.
	EffectStop
	// EffectState says that the engine's state or its reason changed: State, Text.
	EffectState
	// EffectLeg says that Leg went From one state To another: Text says why.
	EffectLeg
	// EffectStage says that a milestone of the attach was reached: Text names it.
	EffectStage
	// EffectDetached says that the epoch was given back: Clean.
	EffectDetached
	// EffectScrubbed says that a scrub ended: Scrub.
	EffectScrubbed
	// EffectStopped says that the attachment is over: Err. No further effect follows, ever.
	EffectStopped
)

// Effect is something to be done. Which fields count depends on Kind.
type Effect struct {
	Kind   EffectKind
	Leg    LegIndex
	Op     block.Op
	Flags  block.Flags
	Req    Req
	Range  block.Range
	Keep   block.Range
	Offset int64
	Guest  Handle
	Data   Handle
	Source Handle
	Begin  int64 // where in Source the range begins
	Err    error

	Stage *StagePlan // of EffectSubmit: the write is a record, and Data is what its plan says
	Chunk int        // of the stripe
	Parts []Handle   // by chunk of the stripe; nil = it is not there

	Call    CallID
	Command *Command
	State   State
	From    LegState
	To      LegState
	Clean   bool
	Text    string
	Scrub   *ScrubReport // belongs to whoever gets it
}

// CommandKind names a command to a leg or a question to the coordinators.
type CommandKind uint8

// The commands. Those up to CommandDetachLeg go to a leg, bound to its session; the others to the
// coordinators.
const (
	CommandConfig      CommandKind = iota + 1 // Config
	CommandRotate                             //
	CommandStable                             // Generation
	CommandMarks                              // Since
	CommandSums                               // Range, Medium
	CommandAdopt                              // Range
	CommandVersions                           // Since
	CommandStamp                              // Versions
	CommandCommit                             // UpTo
	CommandFree                               // UpTo
	CommandRecords                            //
	CommandRollback                           // List
	CommandDrop                               // UpTo, the leg's floor
	CommandDetachLeg                          // Clean
	CommandRecordFence                        // Report, SetBack
	CommandActivate                           //
	CommandRemoveLeg                          // LegID, CfgVer, Reason, SetBack, Seqs
	CommandAddLeg                             // LegID, CfgVer, Store, Instance
	CommandDetach                             // Clean, Seqs
	CommandConfirm                            // CfgVer, Seqs
	CommandConfirmCopy                        // LegID, CfgVer, Store, Instance, Copied, Seqs
)

// ToLeg reports whether the command goes to a leg.
func (k CommandKind) ToLeg() bool { return k <= CommandDetachLeg }

var commandNames = [...]string{
	CommandConfig: "CONFIG", CommandRotate: "ROTATE", CommandStable: "STABLE", CommandMarks: "MARKS",
	CommandSums: "CHECKSUMS", CommandAdopt: "ADOPT", CommandVersions: "VERSIONS", CommandStamp: "STAMP",
	CommandCommit: "COMMIT", CommandFree: "FREE", CommandRecords: "RECORDS", CommandRollback: "ROLLBACK",
	CommandDrop: "DROP", CommandDetachLeg: "DETACH", CommandRecordFence: "RecordFence",
	CommandActivate: "Activate", CommandRemoveLeg: "RemoveLeg", CommandAddLeg: "AddLeg",
	CommandDetach: "Detach", CommandConfirm: "Confirm",
	CommandConfirmCopy: "ConfirmCopy",
}

// String returns the command's name in the protocol.
func (k CommandKind) String() string {
	if int(k) < len(commandNames) && k > 0 {
		return commandNames[k]
	}
	return "unknown command"
}

// Command is one command or question with its parameters.
type Command struct {
	Kind       CommandKind
	Config     volume.Config
	Generation uint64
	Since      volume.CfgVer
	Range      block.Range
	Medium     bool // Sums are of what the medium holds, not of the leg's page cache
	Versions   []volume.VersionRun
	UpTo       volume.Transaction
	List       []volume.Transaction
	Seqs       []volume.LegSeq
	Clean      bool
	Report     volume.LegReport
	SetBack    bool // the leg shows an older state than it had in this epoch
	LegID      volume.LegID
	CfgVer     volume.CfgVer
	Reason     string
	Store      volume.StoreID
	Instance   uint64
	Copied     Copied
}
