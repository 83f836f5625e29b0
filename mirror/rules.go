package mirror

// Rules is a set of safety rules that a Core breaks on purpose. It exists for tests alone: the
// simulation must find every one of them. The names are those of the protocol's ablations.
type Rules uint64

// The rules that the engine holds. Each stands in one place, which names it.
const (
	BreakAckEarly       Rules = 1 << iota // a failed leg is dropped before its removal is committed
	BreakReleaseEarly                     // held acks go before CONFIG is on every leg that receives writes
	BreakServeEarly                       // serves before CONFIG of Activate is on every leg of S'
	BreakPushISROnly                      // CONFIG goes to in-sync legs only, not to joining ones
	BreakCommitFirst                      // AddLeg is asked before acks need the leg
	BreakNoRecon                          // marked regions are served before they are reconciled
	BreakNoResync                         // a leg is added without a copy
	BreakNoOwnMarks                       // the copy set leaves out the joining leg's own marks
	BreakClearEarly                       // STABLE does not wait for the writes it covers
	BreakClearUnflushed                   // STABLE does not wait for a flush of what it covers
	BreakStableJoining                    // STABLE goes to a joining leg too
	BreakNoWODrain                        // promotion does not wait for the joining leg's older writes
	BreakReadDuringW                      // reads overlap writes in flight
	BreakOldEvidence                      // Activate's answer makes the host forget a lost cache
	BreakBlindRelogin                     // a leg that lost its cache is used as if nothing happened
	BreakRemoveGood                       // the last leg that kept its cache may be removed
	BreakFlushEarly                       // a flush is answered when one leg answered
	BreakNoJoinFlush                      // AddLeg is asked without a flush of the joining leg
	BreakJoinReboot                       // a joining leg that restarted keeps its copied state
	BreakReadSuspect                      // a leg is read while its removal is asked for
	BreakReadUncommit                     // a leg is read before AddLeg is known to be committed
	BreakNoConfirm                        // a read does not need fresh confirmations (T_read)
	BreakNoSetBack                        // a leg that was set back in the epoch is used on
	BreakLagLast                          // the last good leg is removed for being slow
	BreakNoStampTake                      // a leg joins without the source's versions
	BreakPromoteUnread                    // a leg joins without blocks that no leg in sync can read
	BreakBadEqual                         // a bad block counts by the checksum of what it holds
	BreakAdoptFirst                       // a bad block is adopted although another leg has a whole one
	BreakHealStale                        // a heal does not keep writers away
	BreakScrubGuess                       // a scrub picks one of several whole blocks that differ
	BreakSaveEarly                        // how far a copy has come is saved while older writes are under way
	BreakLockToAck                        // a range is given back while a joining leg has not answered the write
	BreakLoseStaged                       // a write is acknowledged when its data leg has staged it
	BreakCommitLocal                      // records are committed before they are durable on all legs
	BreakFreeEarly                        // a leg frees records as soon as it has committed them itself
	BreakAnyStaged                        // recovery goes forward with what any leg has staged
	BreakRecUndurable                     // recovery decides records that are not durable on all legs
	BreakRecNoFlush                       // recovery serves before what it decided is durable
	BreakRecStale                         // recovery decides while a leg of S' has lost its cache since its login
	BreakListQ                            // recovery asks the legs that a write would go to, not those of its records
	BreakNoFloor                          // a leg that joined is asked for records that it dropped
	BreakDecodeFlying                     // a chunk is decoded while another of the stripe is being written
	BreakCopyUnlocked                     // a stripe is copied while it is being written
	BreakJoinRecords                      // a joining leg keeps its records, and gets more for what is not copied
	BreakJoinUndurable                    // AddLeg without a flush of the legs that were copied from
	BreakBackAlone                        // recovery takes a stripe's write back without what was built on it

	breakEnd
)

// ParityRules are those that only a set of parity shows when they are broken: tests of mirrors leave them out.
const ParityRules = breakEnd - BreakLockToAck

// ruleNames holds the protocol's name of each rule, lowest bit first.
var ruleNames = [...]string{
	"ackEarly", "releaseEarly", "serveEarly", "pushISROnly", "commitFirst", "noRecon", "noResync",
	"noOwnMarks", "clearEarly", "clearUnflushed", "stableJoining", "noWODrain", "readDuringW",
	"oldEvidence", "blindRelogin", "removeGood", "flushEarly", "noJoinFlush", "joinReboot",
	"readSuspect", "readUncommit", "noConfirm", "noSetBack", "lagLast",
	"noStampTake", "promoteUnread", "badEqual", "adoptFirst", "healStale", "scrubGuess",
	"saveEarly", "lockToAck", "loseStaged", "commitLocal", "freeEarly", "anyStaged", "recUndurable", "recNoFlush",
	"recStale", "listQ", "noFloor", "decodeFlying", "copyUnlocked", "joinRecords", "joinUndurable",
	"backAlone",
}

// RuleByName returns the rule with the protocol's name, false if the engine has none of that name.
func RuleByName(name string) (Rules, bool) {
	for i, n := range ruleNames {
		if n == name {
			return 1 << i, true
		}
	}
	return 0, false
}

// RuleNames returns the names of all rules that RuleByName knows.
func RuleNames() []string { return append([]string(nil), ruleNames[:]...) }
