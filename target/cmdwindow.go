package target

import "github.com/holdfast-storage/holdfast/iscsi"

// window is the command window of a session (RFC 7143 §4.2.2.1): which CmdSN comes next and how many
// commands more the session takes. Its owner guards it.
//
// Invariant: last never goes back.
// Invariant: 0 <= used <= depth.
type window struct {
	exp   iscsi.Serial // ExpCmdSN
	depth int          // commands at once
	used  int          // of them, those that were taken and have not ended
}

// verdict says what is to happen to a command with some CmdSN.
type verdict byte

const (
	take   verdict = iota // it is the next one
	ignore                // outside the window: a duplicate, or sent against MaxCmdSN
	broken                // inside, but not the next: on one connection nothing can fill the gap
)

// start sets the first CmdSN.
func (w *window) start(first iscsi.Serial) { w.exp = first }

// expected returns ExpCmdSN.
func (w *window) expected() iscsi.Serial { return w.exp }

// last returns MaxCmdSN. It equals ExpCmdSN-1 when the window is closed.
func (w *window) last() iscsi.Serial { return w.exp + iscsi.Serial(w.depth-w.used) - 1 }

// accept judges the CmdSN of a PDU that is not immediate and, if it is the next one, moves on.
func (w *window) accept(sn iscsi.Serial) verdict {
	switch {
	case w.used >= w.depth || !sn.Within(w.exp, w.last()):
		return ignore
	case sn != w.exp:
		return broken
	}
	w.exp = w.exp.Next()
	return take
}

// occupy keeps the place of an accepted command until vacate.
func (w *window) occupy() { w.used++ }

func (w *window) vacate() { w.used-- }
