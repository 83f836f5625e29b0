package disk

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// guest is who sees things of one block.
type guest struct {
	contract       *Contract
	id             ID
	issued, flying uint8
}

// explain lets a guest that issued writes see a list of things and reports whether the contract allows
// them.
func explain(writes uint8, seen ...func(*guest)) bool {
	c := New()
	g := &guest{contract: c, id: c.Start(), issued: 1<<(writes+1) - 2}
	for _, f := range seen {
		f(g)
	}
	return g.id != NoExplanation
}

func saw(what Seen, arg uint8) func(*guest) {
	return func(g *guest) {
		g.id = g.contract.Observe(Observation{From: g.id, What: what, Arg: arg, Issued: g.issued, Flying: g.flying})
	}
}

// issueFlush is a flush of epoch 1 that is in flight from now on.
func issueFlush(g *guest) { g.flying |= 1 << 1 }

func TestContract(t *testing.T) {
	type history = []func(*guest)
	ack1, ack2 := saw(SawAck, 1), saw(SawAck, 2)
	read0, read1, read2 := saw(SawRead, 0), saw(SawRead, 1), saw(SawRead, 2)
	flushed, unanswered, loss := saw(SawFlush, 1), saw(SawFlushLost, 1), saw(SawLoss, 0)
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
