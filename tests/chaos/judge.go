package chaos

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Loss is a moment at which the cluster declared that a volume goes on without what was not flushed, since every leg
// in sync had lost its cache (protocol-flush C, contract iii).
type Loss struct{ At time.Duration }

// Circumstances are what a history is judged by, beside what stands in it.
type Circumstances struct {
	Losses []Loss // in order
	// PowerCuts are when nodes lost their power that had a leg of the volume (Legs.Cuts): what was on its way to it
	// may be there in part, by sector.
	PowerCuts []time.Duration
}

// Violation is a promise that a history shows to be broken.
type Violation struct {
	What  string
	Block int64    // -1: of no single one
	Near  []string // the operations around it, a line each
}

// Error tells all of it.
func (v *Violation) Error() string {
	return v.What + "\n" + strings.Join(v.Near, "\n")
}

// placed is an operation with the place of its run in the history.
type placed struct {
	Op
	run int
}

// Judge returns the first promise that a volume's history shows to be broken, nil if it shows none:
//
//   - What a block holds is what somebody wrote there, or zero.
//   - Nothing that an older guest asked for, after a newer one had its first answer, is answered.
//   - No guest goes on behind a loss.
//   - Each block is linearizable over all guests, as a disk with a write cache that loses what was not flushed when a
//     Loss was declared, and only then.
func Judge(h History, c Circumstances) *Violation {
	for _, check := range []func(History, Circumstances) *Violation{strangers, rivals, survivors, disorder} {
		if v := check(h, c); v != nil {
			return v
		}
	}
	return nil
}

// byBlock returns the reads and writes of each block, in the order of their calls.
func (h History) byBlock() map[int64][]placed {
	all := map[int64][]placed{}
	for i, r := range h {
		for _, op := range r.Ops {
			if op.Kind != Flush {
				all[op.Block] = append(all[op.Block], placed{op, i})
			}
		}
	}
	for _, ops := range all {
		slices.SortStableFunc(ops, func(a, b placed) int { return cmp.Compare(a.Call, b.Call) })
	}
	return all
}

// blocksOf returns the blocks in order, so that the same history gives the same answer.
func blocksOf(all map[int64][]placed) []int64 {
	blocks := make([]int64, 0, len(all))
	for b := range all {
		blocks = append(blocks, b)
	}
	slices.Sort(blocks)
	return blocks
}

// strangers finds a value that nobody wrote there, and one that was written twice, of which nothing could be said.
func strangers(h History, c Circumstances) *Violation {
	all := h.byBlock()
	for _, b := range blocksOf(all) {
		written := map[uint64]time.Duration{0: 0} // when each value was called
		for _, op := range all[b] {
			if !op.writes() {
				continue
			}
			if _, twice := written[op.Value]; twice {
				return h.violation(b, op, "the writers wrote the value %d twice: nothing can be said", op.Value)
			}
			written[op.Value] = op.Call
		}
		for _, op := range all[b] {
			if op.Kind != Read || !op.Done {
				continue
			}
			var newest time.Duration // of the writes of what it holds
			for s, v := range op.Got {
				called, known := written[v]
				if !known {
					return h.violation(b, op, "sector %d holds what nobody wrote there", s)
				}
				newest = max(newest, called)
			}
			if !op.Got.uniform() && !c.tears(newest, op.Return) {
				return h.violation(b, op, "the block is torn, and no leg lost its power between the writes of what it "+
					"holds and this")
			}
		}
	}
	return nil
}

// tears reports whether a loss of power can have torn a block: it came after the last write of what the block holds
// was called, since only then all of it was on its way to one leg, and before the block was read.
func (c Circumstances) tears(newest, read time.Duration) bool {
	return slices.ContainsFunc(c.PowerCuts, func(cut time.Duration) bool { return newest <= cut && cut <= read })
}

// rivals finds an answer to an older guest that was asked for when a newer one was served already. Guests are ordered
// by their epochs; of one epoch, by their beginning, since the writers of a volume follow each other.
func rivals(h History, _ Circumstances) *Violation {
	for newer, n := range h {
		first, served := n.firstAnswer()
		if !served {
			continue
		}
		for older, o := range h {
			if older == newer || o.Epoch > n.Epoch || o.Epoch == n.Epoch && o.Began > n.Began {
				continue
			}
			for _, op := range o.Ops {
				if op.Done && op.Call > first {
					return h.violation(op.Block, placed{op, older}, "two guests are served: this was asked for, %s "+
						"after %s (epoch %d) had its first answer, and answered", op.Call-first, n.Writer, n.Epoch)
				}
			}
		}
	}
	return nil
}

func (r Run) firstAnswer() (at time.Duration, ok bool) {
	for _, op := range r.Ops {
		if op.Done && (!ok || op.Return < at) {
			at, ok = op.Return, true
		}
	}
	return at, ok
}

// survivors finds a guest that lived through a loss: it must not go on as if nothing had been.
func survivors(h History, c Circumstances) *Violation {
	for i, r := range h {
		for _, l := range c.Losses {
			for _, op := range r.Ops {
				if r.Began < l.At && op.Call > l.At && op.Done {
					return h.violation(op.Block, placed{op, i},
						"the guest goes on %s after the volume lost what was not flushed", op.Call-l.At)
				}
			}
		}
	}
	return nil
}

// nearby is how many operations before and after the one in question a Violation shows.
const nearby = 12

func (h History) violation(b int64, at placed, format string, args ...any) *Violation {
	v := &Violation{Block: b, What: fmt.Sprintf("block %d: ", b) + fmt.Sprintf(format, args...)}
	ops := h.byBlock()[b]
	i := slices.IndexFunc(ops, func(op placed) bool { return op.run == at.run && op.Op == at.Op })
	if i < 0 { // a flush, which is of no block
		v.Block, v.Near = -1, []string{h.describe(at)}
		return v
	}
	for _, op := range ops[max(0, i-nearby):min(len(ops), i+nearby+1)] {
		mark := "  "
		if op == ops[i] {
			mark = "> "
		}
		v.Near = append(v.Near, mark+h.describe(op))
	}
	return v
}

func (h History) describe(op placed) string {
	text := fmt.Sprintf("%.6f", op.Call.Seconds())
	if op.Done {
		text += fmt.Sprintf(" to %.6f", op.Return.Seconds())
	}
	text += " " + string(op.Kind)
	switch {
	case op.writes():
		text += fmt.Sprintf(" %d", op.Value)
	case op.Kind == Read && op.Done && op.Got.uniform():
		text += fmt.Sprintf(" = %d", op.Got[0])
	case op.Kind == Read && op.Done:
		text += fmt.Sprintf(" = %d", op.Got)
	}
	if !op.Done {
		text += " (not answered)"
	}
	return text + fmt.Sprintf(", epoch %d, %s", h[op.run].Epoch, h[op.run].Writer)
}

func (c Content) uniform() bool {
	for _, v := range c {
		if v != c[0] {
			return false
		}
	}
	return true
}
