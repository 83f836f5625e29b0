package control

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// TestRedundancy_everyCombination proves the table of redundancy against the sentence that each
// status stands for: how many more failures the data survives.
func TestRedundancy_everyCombination(t *testing.T) {
	for legs := 1; legs <= volume.MaxMirrorLegs; legs++ {
		for quorum := 1; quorum <= legs; quorum++ {
			for reached := 0; reached <= legs+1; reached++ {
				survives := reached - quorum // failures until the volume cannot be read
				want := Degraded
				switch {
				case survives < 0:
					want = Down
				case reached >= legs:
					want = Healthy
				case survives == 0:
					want = AtRisk
				}
				require.Equal(t, want, redundancy(reached, quorum, legs), "%d of %d, quorum %d", reached,
					legs, quorum)
			}
		}
	}
}

func TestStatus_isOrdered(t *testing.T) {
	order := []Status{Healthy, Degraded, AtRisk, Down, NoQuorum}
	for i, s := range order {
		require.Equal(t, i, s.rank())
		require.Equal(t, s, Worst([]Finding{{Status: Healthy}, {Status: s}, {Status: Healthy}}))
	}
	require.Equal(t, Healthy, Worst(nil))
}

func TestBackoff(t *testing.T) {
	for count, want := range map[int]time.Duration{
		0: 0, 1: 500 * time.Millisecond, 2: time.Second, 3: 2 * time.Second, 7: 30 * time.Second,
		1000: 30 * time.Second,
	} {
		require.Equal(t, want, backoff(count), count)
	}
}

func TestFailures_countsEachOnceAndForgetsOldOnes(t *testing.T) {
	now := time.Unix(1000, 0)
	f := &failures{}
	f.note(now, "1")
	f.note(now.Add(time.Second), "1") // the same run, told again by the next heartbeat
	require.Equal(t, 1, f.count)
	require.False(t, f.due(now.Add(499*time.Millisecond)))
	require.True(t, f.due(now.Add(500*time.Millisecond)))
	f.note(now.Add(2*time.Second), "2")
	require.Equal(t, 2, f.count)
	f.note(now.Add(2*time.Second+failuresForget+1), "3")
	require.Equal(t, 1, f.count, "it ran well for long in between")
	var none *failures
	require.True(t, none.due(now))
}

func TestHistory_rememberSinceWhen(t *testing.T) {
	t0 := time.Unix(1000, 0)
	h := History{}
	silent := Finding{Object: "node/n1", Kind: "node_silent", Since: t0.Add(-time.Minute)}
	stale := Finding{Object: "leg/1", Kind: "leg_stale"}

	first := []Finding{silent, stale}
	h.Stamp(first, t0)
	require.Equal(t, t0.Add(-time.Minute), first[0].Since, "a finding that knows itself is believed")
	require.Equal(t, t0, first[1].Since)

	second := []Finding{stale}
	h.Stamp(second, t0.Add(time.Hour))
	require.Equal(t, t0, second[0].Since)

	h.Stamp(nil, t0.Add(2*time.Hour))
	require.Empty(t, h, "what no longer holds is forgotten")
	h.Stamp(second, t0.Add(3*time.Hour))
	third := []Finding{stale}
	h.Stamp(third, t0.Add(4*time.Hour))
	require.Equal(t, t0.Add(3*time.Hour), third[0].Since)
}

// TestVotes is the table of who gets and who loses a vote when a coordinator is replaced.
func TestVotes(t *testing.T) {
	cases := map[string]struct {
		script  []string
		members []string
		add     string
		remove  string
	}{
		"nobody leaves": {members: []string{"n1", "n2", "n3"}},
		"a heir that speaks gets its vote first": {
			script: []string{"retire n3 by n4"}, members: []string{"n1", "n2", "n3"}, add: "n4",
		},
		"a heir that is silent is waited for": {
			script:  []string{"silent n4", "advance 5s", "retire n3 by n4"},
			members: []string{"n1", "n2", "n3"},
		},
		"then the old vote goes": {
			script: []string{"retire n3 by n4"}, members: []string{"n1", "n2", "n3", "n4"}, remove: "n3",
		},
		"a heir that is no coordinator takes no vote": {
			script: []string{"retire n3 by s1"}, members: []string{"n1", "n2", "n3"}, remove: "n3",
		},
		"without a heir the vote goes": {script: []string{"retire n3"}, members: []string{"n1", "n2", "n3"},
			remove: "n3"},
		"the last vote stays": {script: []string{"retire n3"}, members: []string{"n3"}},
		"done":                {script: []string{"retire n3"}, members: []string{"n1", "n2"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			for _, n := range []string{"n1", "n2", "n3", "n4"} {
				w.addNode(n, []string{"coordinator"})
			}
			w.addNode("s1", []string{"storage"})
			w.beat()
			for _, line := range c.script {
				w.do(line)
			}
			for _, m := range c.members {
				w.members = append(w.members, w.node(m).ID)
			}
			change := Votes(w.view())
			if c.add == "" && c.remove == "" {
				require.Nil(t, change)
				return
			}
			require.NotNil(t, change)
			if c.add != "" {
				require.Equal(t, w.node(c.add).ID, change.Add.ID)
			} else {
				require.Equal(t, w.node(c.remove).ID, change.Remove)
			}
		})
	}
}

func TestChooseHost(t *testing.T) {
	w := newWorld(t)
	for _, n := range []string{"h1", "h2", "h3"} {
		w.addNode(n, []string{"host"})
	}
	w.addNode("s1", []string{"storage"})
	w.addNode("s2", []string{"storage"})
	w.addVolume("v1", []string{"s1", "s2"})
	w.beat()
	v := w.view()
	choose := func(avoid string, hosts ...string) string {
		var id volume.NodeID
		if avoid != "" {
			id = w.node(avoid).ID
		}
		if n := v.ChooseHost(raft.DomainSpec{Hosts: hosts}, id); n != nil {
			return n.Name
		}
		return "none"
	}
	require.Equal(t, "h2", choose("", "h2", "h1"), "in the order of preference")
	require.Equal(t, "h1", choose("h2", "h2", "h1"))
	require.Equal(t, "none", choose("", "s1", "gone"), "storage nodes and unknown names host nothing")
	require.Equal(t, "h1", choose(""), "any host, by name among equals")

	w.do("attach v1 h1")
	v = w.view()
	require.Equal(t, "h2", choose(""), "the least busy one")
	w.do("silent h2")
	w.do("advance 5s")
	v = w.view()
	require.Equal(t, "h3", choose(""))
	w.do("retire h3")
	v = w.view()
	require.Equal(t, "h1", choose("", "h3", "h2", "h1"), "one that leaves takes nothing new")
}

// TestStores_reserve: two legs that are placed but not written yet must not both count on the same
// space.
func TestStores_reserve(t *testing.T) {
	w := newWorld(t)
	w.addNode("s1", []string{"storage"})
	w.addNode("s2", []string{"storage"})
	w.stores["s1"] = 3 << 30
	w.addVolume("v1", []string{"s1", "s2"}) // 1 GiB
	w.beat()
	free := func(node string) int64 {
		for _, st := range w.view().Stores() {
			if st.Node == w.node(node).ID {
				return st.FreeBytes
			}
		}
		return -1
	}
	require.EqualValues(t, 2<<30, free("s1"))
	w.do("silent s1")
	w.do("advance 5s")
	require.EqualValues(t, -1, free("s1"), "a silent node offers nothing")
}
