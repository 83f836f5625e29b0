package leg

import "github.com/holdfast-storage/holdfast/volume"

// ISID is the initiator's part of a session's identity (RFC 7143 §11.12.5).
type ISID [6]byte

// Login is a login whose initiator has proved itself.
type Login struct {
	Epoch  volume.Epoch
	Attach volume.AttachID
	ISID   ISID
}

// Decision is what becomes of a login.
type Decision uint8

// The decisions on a login (protocol-flush B.2).
const (
	RefuseFailed Decision = iota + 1 // the leg failed: it refuses everything
	RefuseOlder                      // the login's epoch is below the label's: it is fenced
	Fence                            // the login's epoch is above the label's: fence all others
	RefuseAttach                     // the epoch belongs to another attachment
	RefuseSpent                      // DETACH has spent the epoch
	Reinstate                        // a session of this ISID is there or draining: end it first
	Coexist                          // another session of the same attachment
)

// String says the decision as it stands in errors and logs.
func (d Decision) String() string {
	switch d {
	case RefuseFailed:
		return "the leg has failed"
	case RefuseOlder:
		return "a newer epoch holds the leg"
	case Fence:
		return "fence"
	case RefuseAttach:
		return "the epoch belongs to another attachment"
	case RefuseSpent:
		return "the epoch is spent: it was detached"
	case Reinstate:
		return "session reinstatement"
	case Coexist:
		return "one more session"
	}
	return "unknown decision"
}

// Refuses reports whether the decision is a refusal.
func (d Decision) Refuses() bool {
	return d == RefuseFailed || d == RefuseOlder || d == RefuseAttach || d == RefuseSpent
}

// answer is a condition of a row: yes, no, or both.
type answer uint8

const (
	either answer = iota
	yes
	no
)

func (a answer) matches(b bool) bool { return a == either || (a == yes) == b }

// situation is all that a login's decision depends on.
type situation struct {
	failed     bool // the leg failed
	older      bool // login's epoch < label's
	newer      bool // login's epoch > label's
	sameAttach bool // the label's attachment is the login's
	closed     bool // the label's epoch was detached, or is being detached
	sameISID   bool // a session of this epoch and ISID lives or has commands in flight
}

// loginRow is one row of the decision table.
type loginRow struct {
	failed, older, newer, sameAttach, closed, sameISID answer
	decision                                           Decision
}

// loginTable is the whole decision.
//
// Invariant: every possible situation matches exactly one row (a test proves it).
func loginTable() []loginRow {
	return []loginRow{
		// failed, older, newer, same attach, closed, same ISID
		{yes, either, either, either, either, either, RefuseFailed},
		{no, yes, no, either, either, either, RefuseOlder},
		{no, no, yes, either, either, either, Fence},
		{no, no, no, no, either, either, RefuseAttach},
		{no, no, no, yes, yes, either, RefuseSpent},
		{no, no, no, yes, no, yes, Reinstate},
		{no, no, no, yes, no, no, Coexist},
	}
}

func (r loginRow) matches(s situation) bool {
	return r.failed.matches(s.failed) && r.older.matches(s.older) && r.newer.matches(s.newer) &&
		r.sameAttach.matches(s.sameAttach) && r.closed.matches(s.closed) && r.sameISID.matches(s.sameISID)
}

// decideLogin looks the situation up. A situation without a row would be a bug; it refuses.
func decideLogin(s situation) Decision {
	for _, row := range loginTable() {
		if row.matches(s) {
			return row.decision
		}
	}
	return RefuseFailed
}
