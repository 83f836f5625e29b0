package model

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// explain lets a guest that issued writes see a list of things and reports whether the contract allows
// them.
func explain(writes uint8, seen ...func(*contract, *state)) bool {
	c := newContract()
	s := &state{nextWrite: writes + 1, explained: c.start()}
	for _, f := range seen {
		f(c, s)
	}
	return s.explained != noExplanation
}

func saw(what seen, arg uint8) func(*contract, *state) {
	return func(c *contract, s *state) { c.observe(s, what, arg) }
}

// issueFlush is a flush of epoch 1 that is in flight from now on.
func issueFlush(_ *contract, s *state) { s.hosts[1].flush = true }

func TestContract(t *testing.T) {
	type history = []func(*contract, *state)
	ack1, ack2 := saw(sawAck, 1), saw(sawAck, 2)
	read0, read1, read2 := saw(sawRead, 0), saw(sawRead, 1), saw(sawRead, 2)
	flushed, unanswered, loss := saw(sawFlush, 1), saw(sawFlushLost, 1), saw(sawLoss, 0)
	for _, tc := range []struct {
		name   string
		writes uint8
		seen   history
		want   bool
	}{
		{"a write in flight is read or not", 1, history{read0, read1}, true},
		{"a write that was read does not go away", 1, history{read1, read0}, false},
		{"an acked write is read", 1, history{ack1, read1}, true},
		{"an acked write is not lost", 1, history{ack1, read0}, false},
		{"two writes in flight take either order", 2, history{read2, read1, ack1, ack2, read1}, true},
		{"a write that was not issued is not read", 1, history{read2}, false},
		{"a loss undoes what was not flushed", 1, history{ack1, loss, read0}, true},
		{"or does not, if it was written back", 1, history{ack1, loss, read1}, true},
		{"but only once", 1, history{ack1, loss, read0, read1}, false},
		{"a flush before a loss keeps the write", 1, history{ack1, issueFlush, flushed, loss, read1}, true},
		{"so it is not lost", 1, history{ack1, issueFlush, flushed, loss, read0}, false},
		{"a flush issued before the ack may miss it", 1, history{issueFlush, ack1, flushed, loss, read0}, true},
		{"a flush without an answer promises nothing", 1, history{ack1, issueFlush, unanswered, loss, read0}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			require.Equal(t, tc.want, explain(tc.writes, tc.seen...))
		})
	}
}

// TestPermutation_legsAreInterchangeable: renaming the legs first and taking a step then gives the
// same set of states as the other way round, as long as a search goes.
func TestPermutation_legsAreInterchangeable(t *testing.T) {
	m := newMachine(Bounds{Legs: 3, Epochs: 2, Writes: 1, MaxCfg: 3, Flushes: 1, Cuts: 1}, 0)
	successors := func(s state) map[state]bool {
		var x steps
		m.next(&s, &x)
		out := map[state]bool{}
		for _, n := range x.to {
			m.normalise(&n)
			out[n] = true
		}
		return out
	}
	level := []state{m.initial()}
	for depth := 0; depth < 12; depth++ {
		s := level[depth*7%len(level)]
		level = level[:0]
		for n := range successors(s) {
			level = append(level, n)
		}
		for _, p := range permutations(m.Legs) {
			renamed := map[state]bool{}
			for n := range successors(s) {
				renamed[p.apply(&n)] = true
			}
			require.Equal(t, renamed, successors(p.apply(&s)))
		}
	}
}

func TestTable_pathLeadsBackToTheRoot(t *testing.T) {
	tb := newTable(tableBitsMin)
	root, fresh := tb.insert(10, 0)
	require.True(t, fresh)
	a, _ := tb.insert(20, root)
	b, _ := tb.insert(20+1<<tableBitsMin, a) // the same place as 20: the next one is taken
	require.NotEqual(t, a, b)
	again, fresh := tb.insert(20+1<<tableBitsMin, root)
	require.False(t, fresh)
	require.Equal(t, b, again)
	require.Equal(t, []uint64{20, 20 + 1<<tableBitsMin, 99}, tb.path(root, b, 99))
	require.Equal(t, 3, tb.len())
}
