package engine

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/block/blocktest"
	"github.com/holdfast-storage/holdfast/node/peer"
)

// A volume of parity passes the same suite as any device, from the export to the files of three nodes.
func TestParity_throughTheWholePath(t *testing.T) {
	c := newCluster(t, 3)
	n := 0
	blocktest.Run(t, func(t *testing.T) block.Device {
		n++
		name := fmt.Sprintf("p%d", n)
		c.createParity(name)
		e := c.startEngine(c.grant(name))
		e.waitState(peer.EngineServing)
		return guest(t, e, 0)
	})
}

// parityGuest writes to a volume of parity and knows what it holds.
type parityGuest struct {
	t    *testing.T
	rng  *rand.Rand
	d    block.Device
	want []byte
}

// write does some random writes.
func (g *parityGuest) write(n int) {
	g.t.Helper()
	for range n {
		size := int64(4096) << g.rng.IntN(7)
		off := g.rng.Int64N((int64(len(g.want))-size)/4096) * 4096
		p := make([]byte, size)
		for i := 0; i < len(p); i += 8 {
			binary.LittleEndian.PutUint64(p[i:], g.rng.Uint64())
		}
		require.NoError(g.t, g.d.Write(g.t.Context(), p, off, 0))
		copy(g.want[off:], p)
	}
}

// verify reads everything.
func (g *parityGuest) verify(when string) {
	g.t.Helper()
	got := make([]byte, 1<<20)
	for off := int64(0); off < int64(len(g.want)); off += int64(len(got)) {
		require.NoError(g.t, g.d.Read(g.t.Context(), got, off), when)
		require.True(g.t, bytes.Equal(g.want[off:off+int64(len(got))], got), "%s: MiB %d", when, off>>20)
	}
}

// Each node of a set goes and comes back, an engine is taken over in the middle of its writes, and what was written is
// there all along: from the journals, from home, and decoded from the other legs.
func TestParity_nodesAndEnginesComeAndGo(t *testing.T) {
	c := newCluster(t, 3)
	c.createParity("p")
	e := c.startEngine(c.grant("p"))
	e.waitState(peer.EngineServing)
	g := &parityGuest{t: t, rng: rand.New(rand.NewPCG(1, 2)), d: guest(t, e, 20*time.Second),
		want: make([]byte, volumeBytes)}
	g.write(100)
	require.NoError(t, g.d.Flush(t.Context()))
	g.verify("all are well")
	for i, n := range c.nodes {
		n.stop()
		e.waitFor("a leg leaves", inSync(2))
		g.write(20)
		g.verify(fmt.Sprintf("node %d is away", i))
		n.restart()
		g.write(20)
		e.waitFor("it is back", inSync(3))
		g.write(20)
		g.verify(fmt.Sprintf("node %d is back", i))
	}
	g.write(20)
	next := c.startEngine(c.grant("p"))
	next.waitState(peer.EngineServing)
	g.d = guest(t, next, 0)
	g.verify("taken over")
	g.write(20)
	_, response, err := next.ask(Request{Verb: VerbDetach})
	require.NoError(t, err)
	require.Empty(t, response.Error)
	require.NoError(t, next.wait())
	require.True(t, c.volume("p").Clean)
	last := c.startEngine(c.grant("p"))
	last.waitState(peer.EngineServing)
	g.d = guest(t, last, 0)
	g.verify("after a detach")
}
