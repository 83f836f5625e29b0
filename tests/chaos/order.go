package chaos

import (
	"fmt"
	"math"
	"slices"
	"sort"
	"time"

	"github.com/anishathalye/porcupine"
)

// checkLimit bounds the search for an order of one block's operations. It is far above what a history takes for which
// there is one.
const checkLimit = 20 * time.Second

// never is the return of an operation that may take effect at any later time.
const never = time.Duration(math.MaxInt64 / 4)

// disorder finds a block whose operations have no order.
func disorder(h History, c Circumstances) *Violation {
	all := h.byBlock()
	for _, b := range blocksOf(all) {
		first := fallback{{value: 0}}
		for part := 0; part <= len(c.Losses); part++ {
			ops := h.part(all[b], c.Losses, part)
			if v := h.orderPart(b, ops, first); v != nil {
				return v
			}
			if part < len(c.Losses) {
				first = h.after(ops, first, c.Losses[part].At)
			}
		}
	}
	return nil
}

// part returns the operations of guests that began between two losses.
func (h History) part(ops []placed, losses []Loss, part int) []placed {
	return slices.DeleteFunc(slices.Clone(ops), func(op placed) bool {
		began := h[op.run].Began
		return part > 0 && began < losses[part-1].At || part < len(losses) && began >= losses[part].At
	})
}

func (h History) orderPart(b int64, ops []placed, first fallback) *Violation {
	for s := range sectors {
		prepared := h.prepare(ops, s)
		switch search(prepared, first) {
		case porcupine.Unknown:
			return &Violation{Block: b, What: fmt.Sprintf("block %d: undecided: no order of %d operations found in %s",
				b, len(prepared), checkLimit)}
		case porcupine.Illegal:
			at := earliest(prepared, first)
			return h.violation(b, at, "sector %d: no order of the operations explains what was read", s)
		}
		if uniform(ops) {
			break // the other sectors saw the same
		}
	}
	return nil
}

func uniform(ops []placed) bool {
	return !slices.ContainsFunc(ops, func(op placed) bool { return !op.Got.uniform() })
}

// event is an operation on one sector, as the search takes it.
type event struct {
	placed
	value uint64 // read or written
	until time.Duration
}

// prepare returns what counts: reads that were answered, writes that were answered, and writes that were not, but
// whose value somebody saw. One that nobody saw may as well never have happened.
func (h History) prepare(ops []placed, sector int) []event {
	seen := map[uint64]bool{}
	for _, op := range ops {
		if op.Kind == Read && op.Done {
			seen[op.Got[sector]] = true
		}
	}
	var out []event
	for _, op := range ops {
		e := event{op, op.Value, op.Return}
		if op.Kind == Read {
			e.value = op.Got[sector]
		}
		if !op.Done {
			if !op.writes() || !seen[op.Value] {
				continue
			}
			e.until = h.fencedBy(op)
		}
		out = append(out, e)
	}
	return out
}

// fencedBy returns when a write that was not answered can take effect at the latest: before the first call of a guest
// that was served under a newer grant, since by then every leg is closed for the older one.
func (h History) fencedBy(op placed) time.Duration {
	until := never
	for _, r := range h {
		if r.Epoch <= h[op.run].Epoch || r.Began < op.Call {
			continue
		}
		if _, served := r.firstAnswer(); served {
			until = min(until, max(op.Call, r.Ops[0].Call-1))
		}
	}
	return until
}

// register is the state of a sector in the model: after a loss nobody knows the value yet.
type register struct {
	value uint64
	known bool
}

func search(events []event, first fallback) porcupine.CheckResult {
	ops := make([]porcupine.Operation, len(events))
	for i, e := range events {
		ops[i] = porcupine.Operation{ClientId: i, Input: e, Call: 2 * int64(e.Call), Return: 2*int64(e.until) + 1}
	}
	model := porcupine.Model{
		Init: func() any {
			if len(first) == 1 {
				return register{first[0].value, true}
			}
			return register{}
		},
		Step: func(state, input, _ any) (bool, any) {
			r, e := state.(register), input.(event)
			switch {
			case e.writes():
				return true, register{e.value, true}
			case r.known:
				return r.value == e.value, r
			}
			return first.has(e.value), register{e.value, true}
		},
	}
	return porcupine.CheckOperationsTimeout(model, ops, checkLimit)
}

// earliest returns the operation with whose answer the history became one without an order.
func earliest(events []event, first fallback) placed {
	byEnd := slices.Clone(events)
	slices.SortFunc(byEnd, func(a, b event) int { return int(a.until - b.until) })
	i := sort.Search(len(byEnd)-1, func(i int) bool {
		return search(upTo(events, byEnd[i].until), first) != porcupine.Ok
	})
	return byEnd[i].placed
}

// upTo is what was known at a time.
func upTo(events []event, at time.Duration) []event {
	var out []event
	for _, e := range events {
		switch {
		case e.until <= at:
			out = append(out, e)
		case e.Call <= at && e.writes():
			e.until = never
			out = append(out, e)
		}
	}
	return out
}

// origin is a value that a block may fall back to, and since when it was surely there.
type origin struct {
	value uint64
	since time.Duration
}

// fallback are the values that a block may hold after a loss.
type fallback []origin

func (f fallback) has(value uint64) bool {
	return slices.ContainsFunc(f, func(o origin) bool { return o.value == value })
}

// after returns what a loss may leave, if the part before it began with first: every value but those that were
// overwritten by a write which was surely on stable storage.
func (h History) after(ops []placed, first fallback, at time.Duration) fallback {
	list := slices.Clone(first)
	for i := range list {
		list[i].since = 0
	}
	var covered time.Duration // the latest call of a write that surely was there for good
	for _, op := range ops {
		if !op.writes() || op.Call >= at {
			continue
		}
		since := never
		if op.Done {
			since = op.Return
			if op.Kind == FUA && op.Return <= at || h.flushedBetween(op.Return, at) {
				covered = max(covered, op.Call)
			}
		}
		list = append(list, origin{op.Value, since})
	}
	return slices.DeleteFunc(list, func(o origin) bool { return o.since < covered })
}

// flushedBetween reports whether a flush was asked for and answered between two times.
func (h History) flushedBetween(from, to time.Duration) bool {
	return slices.ContainsFunc(h, func(r Run) bool {
		return slices.ContainsFunc(r.Ops, func(op Op) bool {
			return op.Kind == Flush && op.Done && op.Call >= from && op.Return <= to
		})
	})
}
