package raft

// Rules is a set of safety rules that a State breaks on purpose. It exists for tests alone: the
// simulation must find every one of them. The names are those of the protocol's ablations.
type Rules uint32

// The rules that the coordinators hold. Each stands in one place, which names it.
const (
	BreakStaleOK      Rules = 1 << iota // Activate uses fenced legs that are not in sync, too
	BreakNoLease                        // Activate does not wait until an older host has stopped reading
	BreakIsrOnly                        // the wait is skipped when the in-sync legs, not all granted ones, are fenced
	BreakNoBump                         // RemoveLeg of a leg that is not in sync makes no new configuration
	BreakNoCAS                          // AddLeg needs not name the newest configuration
	BreakIgnoreLossy                    // Activate treats a leg that lost its cache like any other
	BreakAnyLossy                       // Activate goes on with such legs although a better one is only out of reach
	BreakNoLabelCheck                   // a label is believed whatever the coordinators know
	BreakTrustSetBack                   // a leg that shows an older state than before is trusted
	BreakAnyInstance                    // AddLeg need not name the process of the leg that the copy went to
	// BreakEpochReuse: a host that asks again goes on with its epoch and its attachment, see Volume.Attach.
	BreakEpochReuse
	// BreakCopySinceNow: what is newer than a saved copy is what is newer than the saving, although the leg
	// may have missed writes of before.
	BreakCopySinceNow
	BreakLateRemove // RemoveLeg need not name the newest configuration

	breakEnd
)

// ruleNames holds the protocol's name of each rule, lowest bit first.
var ruleNames = [...]string{
	"staleOK", "noLease", "isrOnly", "noBump", "noCAS", "ignoreLossy", "anyLossy", "noLabelCheck",
	"trustSetBack", "anyInstance", "epochReuse", "copySinceNow", "lateRemove",
}

// RuleByName returns the rule with the protocol's name, false if the coordinators have none of that
// name.
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

// Break makes the state, and every Fork of it, break rules from now on. It is for tests: what is
// broken is no part of the serialised state.
func (s *State) Break(r Rules) { s.broken = r }

// breaks reports whether a rule is broken on purpose.
func (t *txn) breaks(r Rules) bool { return t.state.broken&r != 0 }
