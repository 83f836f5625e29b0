package control

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// TestReplace_manyAtOnceNeverOverfillAStore drains a node with forty legs of 1 GiB into stores that have room
// for twenty-three of them. What is asked for in one go, and in later goes before anything was written, takes
// its space from the next.
func TestReplace_manyAtOnceNeverOverfillAStore(t *testing.T) {
	w := newWorld(t)
	for _, n := range []string{"n1", "n2", "n3", "n4"} {
		w.addNode(n, []string{"storage"})
	}
	w.stores["n3"], w.stores["n4"] = 12<<30, 11<<30
	w.stores["n2"] = 100 << 30
	for i := range 40 {
		w.addVolume(fmt.Sprintf("v%02d", i), []string{"n1", "n2"})
	}
	w.beat()
	stranded := w.view().Strands(w.node("n1").ID, nil)
	require.Len(t, stranded, 40-23, "all legs need room at once")

	w.do("drain n1")
	w.run()
	on := func(node string) (n int) {
		for _, v := range w.state.Volumes {
			for _, l := range v.Legs {
				if w.state.NodeName(l.Node) == node && !l.Replaces.IsZero() {
					n++
				}
			}
		}
		return n
	}
	require.Equal(t, 12, on("n3"))
	require.Equal(t, 11, on("n4"))
	w.do("advance 5s")
	require.Equal(t, "nothing", w.run(), "the space stays promised although nothing of it is used yet")

	// The last to be decided is refused, whoever planned it before.
	vol := w.volume("v39")
	n3 := w.node("n3")
	late := &raft.ReplaceLeg{Volume: vol.ID, Old: vol.Legs[0].ID,
		New: raft.NewLeg{ID: volume.LegID{UUID: w.newID()}, Node: n3.ID, Store: n3.Stores[0].ID}}
	require.False(t, StillFits(w.view(), late))
	w.stores["n3"] += 1 << 30
	w.beat()
	require.True(t, StillFits(w.view(), late))
}

// TestReplace_orderOfRisk: the volumes that can lose least come first, whatever their names.
func TestReplace_orderOfRisk(t *testing.T) {
	w := newWorld(t)
	for _, n := range []string{"n1", "n2", "n3", "n4", "n5"} {
		w.addNode(n, []string{"storage"})
	}
	w.addVolume("a3", []string{"n1", "n2", "n3"}) // two legs stay
	w.addVolume("b2", []string{"n1", "n2"})       // one stays
	w.do("advance 1s")
	w.addVolume("c2", []string{"n1", "n2"}) // one stays, and it is younger
	w.do("advance 1s")
	w.do("silent n1")
	w.do("advance 5s")
	w.do("drain n1")
	require.Equal(t, "replace a leg of b2 by one on n4\nreplace a leg of c2 by one on n5\n"+
		"replace a leg of a3 by one on n4\n", w.run())
}
