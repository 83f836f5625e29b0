package control

import (
	"fmt"
	"strings"
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
		require.Equal(t, i, s.Rank())
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
	require.True(t, h.Stamp(first, t0, true))
	require.Equal(t, t0.Add(-time.Minute), first[0].Since, "a finding that knows itself is believed")
	require.Equal(t, t0, first[1].Since)
	require.False(t, h.Stamp(first, t0, true), "nothing is new")

	second := []Finding{stale}
	require.True(t, h.Stamp(second, t0.Add(time.Hour), true))
	require.Equal(t, t0, second[0].Since)

	require.False(t, h.Stamp(nil, t0.Add(time.Hour), false), "a new leader has not heard everything")
	third := []Finding{stale}
	require.False(t, h.Stamp(third, t0.Add(time.Hour), true))
	require.Equal(t, t0, third[0].Since)

	require.True(t, h.Stamp(nil, t0.Add(2*time.Hour), true))
	require.Empty(t, h, "what no longer holds is forgotten")
	h.Stamp([]Finding{stale}, t0.Add(3*time.Hour), true)
	fourth := []Finding{stale}
	h.Stamp(fourth, t0.Add(4*time.Hour), true)
	require.Equal(t, t0.Add(3*time.Hour), fourth[0].Since)
}

// TestVotes is the table of who gets and who loses a vote: "+n4" gets one, "~n4" becomes a learner,
// "-n4" loses it. A learner in capitals has the log.
func TestVotes(t *testing.T) {
	cases := map[string]struct {
		script   string
		members  string
		learners string
		want     string
	}{
		"nobody leaves":              {members: "n1 n2 n3"},
		"members that are not known": {script: "retire n3"},
		"a heir gets the log first":  {script: "retire n3 by n4", members: "n1 n2 n3", want: "~n4"},
		"is waited for":              {script: "retire n3 by n4", members: "n1 n2 n3", learners: "n4"},
		"then gets the vote": {
			script: "retire n3 by n4", members: "n1 n2 n3", learners: "N4", want: "+n4"},
		"then the old vote goes":         {script: "retire n3 by n4", members: "n1 n2 n3 n4", want: "-n3"},
		"a silent heir is waited for":    {script: "silent n4; advance 5s; retire n3 by n4", members: "n1 n2 n3"},
		"no coordinator: a spare learns": {script: "retire n3 by s1", members: "n1 n2 n3", want: "~n4"},
		"and gets the vote": {
			script: "retire n3 by s1", members: "n1 n2 n3", learners: "N4", want: "+n4"},
		"a spare that does not learn": {
			script: "retire n3", members: "n1 n2 n3", learners: "n4", want: "~n5"},
		"the one that learns first": {
			script: "retire n3", members: "n1 n2 n3", learners: "n4 N5", want: "+n5"},
		"without spares the vote stays": {
			script: "silent n4; silent n5; advance 5s; retire n3 by s1", members: "n1 n2 n3"},
		"unless three others stay": {
			script: "silent n5; advance 5s; retire n3 by s1", members: "n1 n2 n3 n4", want: "-n3"},
		"two leave at once, one goes after the other": {
			script: "retire n2 by n4; retire n3 by n5", members: "n1 n2 n3 n4", want: "-n2"},
		"and the next": {script: "retire n2 by n4; retire n3 by n5", members: "n1 n3 n4", want: "~n5"},
		"a single one is replaced": {
			script: "silent n2; silent n4; silent n5; advance 5s; retire n1 by n3", members: "n1 n3", want: "-n1"},
		"the last vote stays": {
			script: "silent n1; silent n2; silent n4; silent n5; advance 5s; retire n3", members: "n3"},
		"one grows to three": {members: "n1", want: "~n2"},
		"if there are three": {
			script: "silent n3; silent n4; silent n5; advance 5s", members: "n1"},
		"an even number becomes odd": {members: "n1 n2 n3 n4", learners: "N5", want: "+n5"},
		"if there is another":        {script: "silent n5; advance 5s", members: "n1 n2 n3 n4"},
		"a learner that leaves":      {script: "retire n4", members: "n1 n2 n3", learners: "N4", want: "-n4"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			for _, n := range []string{"n1", "n2", "n3", "n4", "n5"} {
				w.addNode(n, []string{"coordinator"})
			}
			w.addNode("s1", []string{"storage"})
			w.beat()
			for line := range strings.SplitSeq(c.script, "; ") {
				if line != "" {
					w.do(line)
				}
			}
			w.do("votes " + c.members)
			w.do("learners " + c.learners)
			got := ""
			switch change := Votes(w.view()); {
			case change == nil:
			case change.Learn != nil:
				got = "~" + change.Learn.Name
			case change.Add != nil:
				got = "+" + change.Add.Name
			default:
				got = "-" + w.state.NodeName(change.Remove)
			}
			require.Equal(t, c.want, got)
		})
	}
}

// TestVotesLeft is the table of whether a coordinator may leave.
func TestVotesLeft(t *testing.T) {
	for _, c := range []struct {
		members, script, leaving, heir string
		left, need                     int
	}{
		{"n1 n2 n3", "", "n3", "n4", 3, 3},
		{"n1 n2 n3", "", "n3", "s1", 2, 3},
		{"n1 n2 n3", "", "n3", "", 2, 3},
		{"n1 n2 n3", "", "n3", "n2", 2, 3}, // it has a vote of its own
		{"n1 n2 n3", "returns n4; advance 1s", "n3", "s1", 3, 3},
		{"n1 n2 n3", "retire n2 by n4", "n3", "n4", 2, 3},
		{"n1 n2 n3", "retire n2 by n4", "n3", "n5", 3, 3},
		{"n1 n2 n3 n4", "", "n3", "s1", 3, 3},
		{"n1 n2", "", "n1", "n3", 2, 2},
		{"n1 n2", "", "n1", "", 1, 2},
		{"n1", "", "n1", "", 0, 1},
		{"n1", "", "n2", "", 1, 0},
	} {
		w := newWorld(t)
		for _, n := range []string{"n1", "n2", "n3", "n4", "n5"} {
			w.addNode(n, []string{"coordinator"})
		}
		w.addNode("s1", []string{"storage"})
		w.do("silent n4")
		w.do("silent n5")
		if !strings.Contains(c.members, "n3") {
			w.do("silent n3")
			w.do("silent n2")
		}
		for line := range strings.SplitSeq(c.script, "; ") {
			if line != "" {
				w.do(line)
			}
		}
		w.advance(5 * time.Second)
		w.do("votes " + c.members)
		var heir *raft.Node
		if c.heir != "" {
			heir = w.node(c.heir)
		}
		left, need := w.view().VotesLeft(w.node(c.leaving).ID, heir)
		require.Equal(t, []int{c.left, c.need}, []int{left, need}, "%+v", c)
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
	require.EqualValues(t, 9<<28, free("s1"), "a quarter of the leg is filled")
	w.do("silent s1")
	w.do("advance 5s")
	require.EqualValues(t, -1, free("s1"), "a silent node offers nothing")
}

// TestStores_overProvision: legs are thin, and how much of a store is promised is the operator's choice.
func TestStores_overProvision(t *testing.T) {
	w := newWorld(t)
	w.addNode("s1", []string{"storage"})
	w.addNode("s2", []string{"storage"})
	w.stores["s1"] = 12 << 30
	for i := range 3 {
		w.addVolume(fmt.Sprint("v", i), []string{"s1", "s2"}) // 1 GiB
	}
	use := func() raft.StoreUse {
		w.beat()
		for _, st := range w.view().Stores() {
			if st.Node == w.node("s1").ID {
				return st
			}
		}
		return raft.StoreUse{}
	}
	require.EqualValues(t, 39<<28, use().FreeBytes, "12 GiB, and three legs of 1 GiB, a quarter of each filled")
	percent := 200
	w.must(raft.Command{SetCluster: &raft.SetCluster{OverProvision: &percent}})
	require.EqualValues(t, 90<<28, use().FreeBytes)
	require.False(t, use().NearlyFull)
	w.do("lost v0 s1")
	require.EqualValues(t, 93<<28, use().FreeBytes, "what a lost leg held is promised to nobody")
	w.stores["s1"] = 9 << 30 // of 200 GiB
	require.True(t, use().NearlyFull, "whatever may be promised")
}

// TestStores_journals: a leg of parity takes up its journal as well.
func TestStores_journals(t *testing.T) {
	w := newWorld(t)
	nodes := []string{"s1", "s2", "s3"}
	for _, n := range nodes {
		w.addNode(n, []string{"storage"})
	}
	w.stores["s1"] = 3 << 30
	w.must(raft.Command{RaiseVersion: &raft.RaiseVersion{To: 2}})
	layout := volume.Parity(2, 1)
	w.addSet("v1", layout, nodes)
	w.beat()
	require.EqualValues(t, 64<<20, layout.JournalBytes(1<<30)&^(1<<20-1))
	free := map[volume.NodeID]int64{}
	for _, st := range w.view().Stores() {
		free[st.Node] = st.FreeBytes
	}
	require.EqualValues(t, 3<<30+256<<20-(512<<20+layout.JournalBytes(1<<30)), free[w.node("s1").ID],
		"a leg of 512 MiB and its journal, of which 256 MiB are filled")
}

func TestNearlyFull(t *testing.T) {
	for _, c := range []struct {
		free, total int64
		want        bool
	}{
		{0, 0, false}, // not known yet
		{0, 1 << 20, true},
		{1 << 19, 1 << 20, false},
		{4, 100, true},
		{5, 100, false},
		{1<<30 - 1, 10 << 30, true},
		{1 << 30, 10 << 30, false},
		{49 << 30, 1000 << 30, true},
	} {
		require.Equal(t, c.want, NearlyFull(c.free, c.total), "%d of %d", c.free, c.total)
	}
}

func TestChooseHost_antiAffinity(t *testing.T) {
	w := newWorld(t)
	for _, n := range []string{"h1", "h2"} {
		w.addNode(n, []string{"host"})
	}
	w.addNode("s1", []string{"storage"})
	w.addVolume("v1", []string{"s1"})
	w.do("domain d1 volumes=v1 group=web")
	w.beat()
	w.do("start d1 h1")
	v := w.view()
	choose := func(name, group string) string {
		return v.ChooseHost(raft.DomainSpec{Name: name, AntiAffinity: group, Hosts: []string{"h1", "h2"}},
			volume.NodeID{}).Name
	}
	require.Equal(t, "h2", choose("d2", "web"))
	require.Equal(t, "h1", choose("d2", ""))
	require.Equal(t, "h1", choose("d2", "db"), "another group")
	require.Equal(t, "h1", choose("d1", "web"), "a domain does not avoid itself")
}
