package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
)

// checkLimit bounds the search for an order of one block's operations. It is far above what any history
// takes for which there is an order.
const checkLimit = 20 * time.Second

// check is I34 and the contract of protocol-flush C: the history of each block over all epochs is that
// of a disk with a write cache, which loses what was not flushed when, and only when, that was declared.
// It returns the first block for which it is not, -1 if there is none.
//
// A declared loss divides a history: what older epochs did belongs to the part before it. The part behind
// it begins with a value that nobody knows before it is read, one of those that were there at or after the
// last flush. Blocks of lost are not looked at.
func (h *history) check(end time.Duration, lost map[int64]bool) (int64, string) {
	for _, b := range h.touched() {
		if lost[b] {
			continue
		}
		first := fallback{}
		for s := range first {
			first[s] = []origin{{value: 0}}
		}
		for part := 0; part <= len(h.losses); part++ {
			ops := h.part(b, part)
			if ok, prepared := h.lawful(ops, first, part > 0, end); !ok {
				return b, fmt.Sprintf(" (part %d of %d)%s", part+1, len(h.losses)+1, describe(prepared))
			}
			if part < len(h.losses) {
				first = h.after(ops, first, h.losses[part].at)
				if h.losses[part].setBack {
					first = h.ever(b, h.losses[part].at)
				}
			}
		}
	}
	return -1, ""
}

// part returns the operations of one block between two losses.
func (h *history) part(b int64, part int) []operation {
	var out []operation
	for _, op := range h.blocks[b] {
		n := 0
		for n < len(h.losses) && h.losses[n].epoch <= op.epoch {
			n++
		}
		if n == part {
			out = append(out, op)
		}
	}
	return out
}

// origin is a value that a sector may fall back to, and when it was surely there.
type origin struct {
	value uint32
	since time.Duration
}

// fallback are the values that each sector of a block may fall back to.
type fallback [sectors][]origin

// after returns what a loss at a time may leave, if the part before it began with first: every value but
// those that were overwritten by a write which a completed flush covers.
func (h *history) after(ops []operation, first fallback, at time.Duration) fallback {
	var out fallback
	for s := range out {
		var covered time.Duration // the latest call of a write that surely is on the medium
		list := slices.Clone(first[s])
		for i := range list {
			list[i].since = 0
		}
		for _, op := range ops {
			if !op.write || op.mask&(1<<s) == 0 || op.call >= at {
				continue
			}
			since := op.ret
			if !op.done {
				since = 1<<63 - 1
			} else if op.durable && op.ret <= at || h.flushedBetween(op.ret, at) {
				covered = max(covered, op.call)
			}
			list = append(list, origin{op.value, since})
		}
		for _, o := range list {
			if o.since >= covered {
				out[s] = append(out[s], o)
			}
		}
	}
	return out
}

// ever returns everything that a block held before a time.
func (h *history) ever(b int64, at time.Duration) fallback {
	var out fallback
	for s := range out {
		out[s] = []origin{{value: 0}}
		for _, op := range h.blocks[b] {
			if op.write && op.mask&(1<<s) != 0 && op.call < at {
				out[s] = append(out[s], origin{value: op.value})
			}
		}
	}
	return out
}

// flushedBetween reports whether a flush was asked for and answered between two times.
func (h *history) flushedBetween(from, to time.Duration) bool {
	return slices.ContainsFunc(h.flushes, func(f operation) bool {
		return f.done && f.call >= from &&
			f.ret <= to
	})
}

// lawful reports whether there is an order of the operations of one block that explains what was read. A
// write that was not answered may take effect at any later time or never, after a power cut even in part:
// then each sector has an order of its own. One whose value nobody saw need not be looked at, since it may
// as well take effect after everything else.
func (h *history) lawful(ops []operation, first fallback, lost bool, end time.Duration) (bool,
	[]porcupine.Operation) {
	if h.cuts == 0 {
		return h.lawfulFor(0xff, ops, first, lost, end)
	}
	for s := range sectors {
		if ok, prepared := h.lawfulFor(1<<s, ops, first, lost, end); !ok {
			return false, prepared
		}
		if uniform(ops) {
			break // the other sectors saw the same
		}
	}
	return true, nil
}

// uniform reports whether every operation was about the whole block, and every read found it whole.
func uniform(ops []operation) bool {
	for i := range ops {
		op := &ops[i]
		if op.mask != 0xff {
			return false
		}
		for _, v := range op.got {
			if v != op.got[0] {
				return false
			}
		}
	}
	return true
}

func (h *history) lawfulFor(mask uint8, ops []operation, first fallback, lost bool, end time.Duration) (
	bool, []porcupine.Operation) {
	if inOrderOfCalls(mask, ops, first, lost) {
		return true, nil
	}
	var out []porcupine.Operation
	for _, op := range ops {
		op.mask &= mask
		ret := op.ret
		if !op.done {
			ret = end
		}
		if counts(&op, ops) {
			out = append(out, porcupine.Operation{ClientId: len(out), Input: op, Call: int64(op.call) * 2,
				Return: int64(ret)*2 + 1})
		}
	}
	return porcupine.CheckOperationsTimeout(model(first, lost), out, checkLimit) == porcupine.Ok, out
}

// inOrderOfCalls reports whether the order in which the operations were asked for explains what was read: then it is an
// order such as is looked for, since what was answered before another was asked for was asked for before it, too. It
// mostly does, which spares the search.
func inOrderOfCalls(mask uint8, ops []operation, first fallback, lost bool) bool {
	state, last := begin(lost), time.Duration(0)
	for _, op := range ops {
		op.mask &= mask
		if op.call < last {
			return false
		}
		last = op.call
		if counts(&op, ops) && !state.step(&op, &first) {
			return false
		}
	}
	return true
}

// counts reports whether an operation has to have its place in the order: one that was answered, or a write of which
// something was seen.
func counts(op *operation, ops []operation) bool {
	if op.done || op.mask == 0 || !op.write {
		return op.done && op.mask != 0
	}
	for i := range ops {
		if r := &ops[i]; r.done && !r.write && r.mask&op.mask != 0 {
			for s, v := range r.got {
				if r.mask&op.mask&(1<<s) != 0 && v == op.value {
					return true
				}
			}
		}
	}
	return false
}

// register is the state of a block in the model: of some sectors nobody knows the value yet.
type register struct {
	data    content
	unknown uint8
}

// begin is what a block is at first, or after a loss.
func begin(lost bool) register {
	if lost {
		return register{unknown: 0xff}
	}
	return register{}
}

// step has an operation take effect and reports whether it can: a read finds what is there, or what first has of a
// sector that nobody knows.
func (r *register) step(op *operation, first *fallback) bool {
	for s := range sectors {
		bit := uint8(1) << s
		switch {
		case op.mask&bit == 0:
		case op.write:
			r.data[s], r.unknown = op.value, r.unknown&^bit
		case r.unknown&bit != 0:
			if !slices.ContainsFunc(first[s], func(o origin) bool { return o.value == op.got[s] }) {
				return false
			}
			r.data[s], r.unknown = op.got[s], r.unknown&^bit
		case op.got[s] != r.data[s]:
			return false
		}
	}
	return true
}

// model is a block that begins with a value of first, which is known if there is but one.
func model(first fallback, lost bool) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return begin(lost) },
		Step: func(state, input, _ any) (bool, any) {
			r, op := state.(register), input.(operation)
			if !r.step(&op, &first) {
				return false, state
			}
			return true, r
		},
		DescribeOperation: func(input, _ any) string { return input.(operation).String() },
	}
}

// String says what the operation was, for a history that is shown.
func (o operation) String() string {
	if o.write {
		return fmt.Sprintf("write %d to sectors %08b", o.value, o.mask)
	}
	return fmt.Sprintf("read %v of sectors %08b", o.got, o.mask)
}

// describe shows the last operations of a history.
func describe(ops []porcupine.Operation) string {
	slices.SortStableFunc(ops, func(a, b porcupine.Operation) int { return int(a.Return - b.Return) })
	text := ""
	for _, p := range ops[max(0, len(ops)-30):] {
		op := p.Input.(operation)
		text += fmt.Sprintf("\n  epoch %s %v to %v: %v (answered: %v)", op.epoch, op.call,
			time.Duration(p.Return/2), op, op.done)
	}
	return text
}
