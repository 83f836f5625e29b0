package chaos

import "time"

// lossSlack covers what the clocks of a cut and of an answer may be apart: an answer is noted when the writer's process
// gets to it, and a cut before the node is stopped for good.
const lossSlack = 5 * time.Second

// Unexplained returns the first loss of what was not flushed that no loss of power explains, false if there is none.
// cuts are those of nodes that can have had a leg of the volume. The leg that failed last was in sync until then, and
// nothing is answered without it: so a cut explains a loss only if nothing was answered between the two.
func (h History) Unexplained(losses []Loss, cuts []time.Duration) (Loss, bool) {
	for _, loss := range losses {
		answered := h.lastAnswer(loss.At)
		explained := false
		for _, cut := range cuts {
			explained = explained || cut <= loss.At && cut+lossSlack >= answered
		}
		if !explained {
			return loss, true
		}
	}
	return Loss{}, false
}

// lastAnswer returns when the volume answered last before a time, zero if it never did.
func (h History) lastAnswer(before time.Duration) time.Duration {
	var last time.Duration
	for _, r := range h {
		for _, op := range r.Ops {
			if op.Done && op.Return <= before {
				last = max(last, op.Return)
			}
		}
	}
	return last
}
