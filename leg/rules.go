package leg

// Rules is a set of safety rules that a Core breaks on purpose. It exists for tests alone: the
// simulation must find every one of them. The names are those of the protocol's ablations, and of a
// few rules of the leg's own.
type Rules uint32

// The rules that a leg holds. Each stands in one place, which names it.
const (
	BreakNoFence        Rules = 1 << iota // a login with a newer epoch leaves older sessions admitted
	BreakNoDrain                          // a login completes before older requests in flight have ended
	BreakVolFence                         // a login does not make the fence durable
	BreakOldLogin                         // a login with an older epoch is let in like a newer one
	BreakNoKillSess                       // a login leaves the older session of its ISID alive
	BreakAba                              // identity is the machine, taken to be the epoch modulo 2
	BreakForgetLossy                      // a login overwrites the boot that the marks are of
	BreakNoRestamp                        // CONFIG does not stamp marked regions
	BreakLateMark                         // a write does not wait for its mark to be durable
	BreakUnmarkedCopy                     // a write needs no mark
	BreakClearUnsynced                    // marks are cleared before the data is on stable storage here
	BreakClearUnstamped                   // marks are cleared before the versions of their regions are durable
	BreakAdmitLossy                       // a leg that lost its cache admits requests before the CONFIG of this boot
	BreakMergeLate                        // a commit is written home before it is durable in the journal
	BreakLogHoles                         // a replay goes on behind an entry that is not whole
	BreakFreeUnflushed                    // records are freed before their blocks are durable at home
	BreakForgetFloor                      // a drop does not keep the floor

	breakEnd
)

// JournalRules are those that only a leg of parity shows when they are broken.
const JournalRules = breakEnd - BreakMergeLate

// ruleNames holds the name of each rule, lowest bit first.
var ruleNames = [...]string{
	"noFence", "noDrain", "volFence", "oldLogin", "noKillSess", "aba", "forgetLossy", "noRestamp",
	"lateMark", "unmarkedCopy", "clearUnsynced", "clearUnstamped",
	"admitLossy",
	"mergeLate", "logHoles", "freeUnflushed", "forgetFloor",
}

// RuleByName returns the rule with this name, false if the leg has none of that name.
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

func (r Rules) breaks(rule Rules) bool { return r&rule != 0 }
