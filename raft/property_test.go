package raft

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/volume"
)

// TestRandomCommands applies random commands, current ones and outdated ones, to a state and to a
// replica that reads them from the log, and checks the invariants of the package comment after each.
func TestRandomCommands(t *testing.T) {
	first := uint64(1)
	if text := os.Getenv("HOLDFAST_TEST_SEED"); text != "" { // a seed that failed, or another range
		var err error
		first, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err)
	}
	for seed := first; seed < first+16; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			g := &generator{rand: rand.New(rand.NewPCG(seed, 0)), script: newScript(t)}
			g.setUp()
			if seed%2 == 1 {
				// Nobody can make one yet; what is decided of a volume must hold for it all the same.
				g.state.Volumes[g.vol("v2")].Layout = volume.Parity(2, 1)
			}
			replica := decodeState(t, mustJSON(t, g.state))
			accepted := 0
			for i := range 400 {
				if i == 200 { // from here on the coordinators go on from what they were
					g.restoreBoth(&replica)
				}
				cmd := g.parse(g.line())
				before := g.state.Fork()
				result := g.state.Apply(cmd)
				require.Equal(t, result, replica.Apply(throughLog(t, cmd)), g.last)
				requireInvariants(t, before, g.state, g.last)
				if result.Err == nil {
					accepted++
					requireRepeatable(t, g.state, cmd, g.last)
				}
			}
			require.Equal(t, string(mustJSON(t, g.state)), string(mustJSON(t, replica)))
			require.Greater(t, accepted, 50, "the commands are too foolish to test anything")
		})
	}
}

// requireInvariants checks what must hold of a state, and of a step between two.
func requireInvariants(t *testing.T, before, after *State, line string) {
	t.Helper()
	for id, v := range after.Volumes {
		if old := before.Volumes[id]; old != nil {
			require.GreaterOrEqual(t, v.Epoch, old.Epoch, "I1: %s", line)
			require.GreaterOrEqual(t, v.CfgVer, old.CfgVer, "I1: %s", line)
			if !slices.Equal(v.InSync, old.InSync) && !v.Rebuilt { // else it says nothing
				require.Greater(t, v.CfgVer, old.CfgVer, "I1: a changed list has a new version: %s", line)
			}
			activated := v.Phase == volume.PhaseAttached && old.Phase == volume.PhaseAttaching
			require.Empty(t, without(v.InSync, func(id volume.LegID) bool {
				return v.Deleting || !v.Leg(id).SetBack || old.inSync(id) && !activated
			}), "a leg that was set back is made part of the list: %s", line)
			if v.Attach != nil && old.Attach != nil && v.Attach.ID != old.Attach.ID {
				require.Greater(t, v.Epoch, old.Epoch, "I7: one attachment an epoch: %s", line)
			}
		}
		if v.Phase != volume.PhaseProvisioning && !v.Deleting {
			require.True(t, v.Layout.Enough(v.slots(v.InSync)), "I12: %s", line)
		}
		require.True(t, slices.IsSortedFunc(v.InSync, compareLegs), line)
		if v.Phase == volume.PhaseAttached {
			require.Empty(t, without(v.InSync, func(l volume.LegID) bool { return slices.Contains(v.Granted, l) }),
				"what is in sync is granted: %s", line)
		}
		if v.Phase != volume.PhaseFrozen {
			require.Equal(t, v.Attach != nil, v.Phase == volume.PhaseAttaching || v.Phase == volume.PhaseAttached, line)
		}
		require.Empty(t, v.flaw(), line)
		require.False(t, v.VerifyAll && v.Phase == volume.PhaseAttached, "I20: %s", line)
		require.True(t, v.VerifyAll || !v.Rebuilt && v.Promoted.IsZero(), line)
		require.Equal(t, v.Phase == volume.PhaseFrozen, v.FrozenWhy != "", line)
		requireLegs(t, v, line, len(after.Former) > 0)
	}
	for leg := range after.Tombs {
		v, l := after.LegByID(leg)
		require.True(t, l == nil || v.Deleting, "I23: a tombstone for a leg in use: %s", line)
	}
	for _, d := range after.Domains {
		require.Equal(t, d.Running, !d.Host.IsZero(), line)
		if old := before.Domains[d.Name]; old != nil && (old.Host != d.Host || old.Running != d.Running) {
			require.Greater(t, d.Run, old.Run, line)
		}
	}
	require.LessOrEqual(t, len(after.Events), EventsMax)
}

func requireLegs(t *testing.T, v *Volume, line string, found bool) {
	t.Helper()
	nodes := make(map[volume.NodeID]*Leg)
	for _, l := range v.Legs {
		if v.Phase != volume.PhaseProvisioning && !v.Deleting {
			require.Equal(t, v.inSync(l.ID) && l.usable(), l.State == volume.LegInSync, "leg %s: %s", l.ID, line)
		}
		if twin := nodes[l.Node]; twin != nil && !found { // legs are where they are found
			require.True(t, twin.Replaces == l.ID || l.Replaces == twin.ID, "two legs on a node: %s", line)
		}
		nodes[l.Node] = l
		require.LessOrEqual(t, l.FencedEpoch, v.Epoch, line)
		require.LessOrEqual(t, l.JoinedCfg, v.CfgVer, line)
		require.LessOrEqual(t, l.LastISRCfg, v.CfgVer, line)
		require.False(t, l.GivenUp && l.usable(), "what is given up is not used: %s", line)
		require.True(t, l.Shown == nil || v.VerifyAll, line)
		if v.inSync(l.ID) || l.SetBack || l.LastISRCfg != 0 {
			require.Zero(t, l.Copied, "how far such a leg was copied means nothing: %s", line)
		}
		require.LessOrEqual(t, l.Copied.Since, v.CfgVer, line)
		if l.SetBack && !v.inSync(l.ID) {
			require.Zero(t, l.LastISRCfg, "what was known of a leg that was set back is void: %s", line)
		}
		if !l.Replaces.IsZero() {
			require.NotNil(t, v.Leg(l.Replaces), line)
			require.True(t, v.Leg(l.Replaces).Retiring, line)
		}
	}
	for _, id := range v.InSync {
		if !v.Deleting {
			require.NotNil(t, v.Leg(id), line)
		}
	}
}

// requireRepeatable repeats an accepted command. It must be accepted again and grant nothing new,
// except for RemoveLeg, which makes a new version of the same list, and events, which are recorded.
// DeleteVolume and DeleteDomain may find that the object is gone.
func requireRepeatable(t *testing.T, s *State, cmd Command, line string) {
	t.Helper()
	again := s.Fork()
	result := again.Apply(cmd)
	switch {
	case cmd.RecordEvent != nil:
		return
	case cmd.DeleteVolume != nil, cmd.DeleteDomain != nil:
		require.True(t, result.Err == nil || result.Err.Code == CodeNotFound, line)
		return
	}
	require.Nil(t, result.Err, "repeated: %s", line)
	for id, v := range again.Volumes {
		old := s.Volumes[id]
		require.Equal(t, old.Epoch, v.Epoch, "repeated: %s", line)
		require.Equal(t, old.InSync, v.InSync, "repeated: %s", line)
		require.Equal(t, old.Attach, v.Attach, "repeated: %s", line)
		if cmd.RemoveLeg == nil {
			require.Equal(t, old, v, "repeated: %s", line)
		}
	}
	require.Equal(t, s.Domains, again.Domains, line)
	require.Equal(t, s.LastSeq, again.LastSeq, "repeated: %s", line)
}

// restoreBoth makes restored ones of both replicas, alike.
func (g *generator) restoreBoth(replica **State) {
	r := Restoration{Incarnation: volume.ClusterID{UUID: g.uuid("restored")},
		Generation: g.state.Cluster.RestoreGen + 1, At: at(), From: "a backup"}
	restored := func(s *State) *State {
		next, err := Restored(s, r)
		require.NoError(g.t, err)
		return next
	}
	g.state, *replica = restored(g.state), restored(*replica)
}

// generator makes lines of scripts, mostly sensible ones.
type generator struct {
	*script
	rand  *rand.Rand
	fresh int
	last  string
}

func (g *generator) setUp() {
	g.apply(`init_cluster demo
		raise_version 2
		register n1 storage stores=s1
		register n2 storage stores=s2
		register n3 storage stores=s3
		register n4 storage stores=s4
		register h1 host
		register h2 host
		create v1 A@n1/s1 B@n2/s2 layout:mirror:2
		create v2 C@n1/s1 D@n2/s2 E@n3/s3 layout:mirror:3
		provisioned v1 A
		provisioned v1 B
		provisioned v2 C
		provisioned v2 D
		provisioned v2 E
		define d1 volumes=v1
		define d2 volumes=v1,v2`)
}

func pick[T any](g *generator, from ...T) T { return from[g.rand.IntN(len(from))] }

// id returns a name that was not used before.
func (g *generator) id() string {
	g.fresh++
	return fmt.Sprintf("x%d", g.fresh)
}

// line returns the next command.
func (g *generator) line() string {
	g.last = g.draw()
	return g.last
}

func (g *generator) draw() string {
	volumes := g.state.SortedVolumes()
	if len(volumes) == 0 {
		return "register h3 host"
	}
	v := pick(g, volumes...)
	name := g.names[v.ID.String()]
	if len(v.Legs) == 0 {
		return "request_detach " + name
	}
	l := pick(g, v.Legs...)
	leg := g.names[l.ID.String()]
	epoch, cfg := uint64(v.Epoch), uint64(v.CfgVer)
	if g.rand.IntN(10) == 0 { // of an older host, or out of date
		epoch -= min(epoch, uint64(g.rand.IntN(3)))
		cfg -= min(cfg, uint64(g.rand.IntN(3)))
	}
	maybe := func(n int, word string) string {
		if g.rand.IntN(n) == 0 {
			return " " + word
		}
		return ""
	}
	switch n := g.rand.IntN(100); {
	case n < 12:
		return fmt.Sprintf("begin %s %s %s", name, pick(g, "h1", "h2"), g.id()) + maybe(2, "takeover") +
			maybe(8, "maintenance") + maybe(8, "accept")
	case n < 42:
		seq := l.LabelSeq + 1
		if g.rand.IntN(40) == 0 {
			seq = l.LabelSeq / 2
		}
		return fmt.Sprintf("fence %s %s e=%d instance=%d seq=%d cfgver=%d list=%s", name, leg, epoch, g.rand.IntN(2),
			seq, l.LabelCfg, g.list(v)) + maybe(6, "lossy") + maybe(60, "set_back") +
			maybe(60, "gen=other") + maybe(150, "epoch="+fmt.Sprint(epoch+1))
	case n < 57:
		return fmt.Sprintf("activate %s e=%d", name, epoch) + maybe(2, "waited")
	case n < 65:
		return fmt.Sprintf("remove %s %s e=%d seen=%d", name, leg, epoch, cfg) + maybe(20, "set_back")
	case n < 75:
		return fmt.Sprintf("add %s %s e=%d c=%d instance=%d", name, leg, epoch, cfg, l.Instance)
	case n < 77:
		return fmt.Sprintf("confirm %s e=%d c=%d seqs=%s:%d", name, epoch, cfg, leg, l.LabelSeq+uint64(g.rand.IntN(4)))
	case n < 78:
		return fmt.Sprintf("copied %s %s e=%d c=%d instance=%d upto=%d since=%d", name, leg, epoch, cfg, l.Instance,
			l.Copied.Upto>>20+int64(g.rand.IntN(3)), max(l.Copied.Since, volume.CfgVer(cfg)-1))
	case n < 79:
		return fmt.Sprintf("detach %s e=%d", name, epoch) + maybe(2, "clean")
	case n < 81:
		return "request_detach " + name
	case n < 84:
		return fmt.Sprintf("replace %s %s %s@%s", name, leg, g.id(), pick(g, "n1/s1", "n2/s2", "n3/s3", "n4/s4"))
	case n < 87:
		return fmt.Sprintf("provisioned %s %s", name, leg)
	case n < 88:
		return fmt.Sprintf("keep_leg %s %s", name, leg)
	case n < 89:
		return fmt.Sprintf("lost %s %s", name, leg)
	case n < 91:
		return g.drawScrub(name, v)
	case n < 92:
		return pick(g, "unfreeze "+name, "promote "+name+" "+leg, "end_rebuild",
			"promote "+name+" "+leg+" host_is_off", "freeze "+name, "note "+leg+
				fmt.Sprintf(" epoch=%d cfgver=%d", epoch+uint64(g.rand.IntN(3)), cfg+uint64(g.rand.IntN(3))),
			fmt.Sprintf("adopt %s %s@%s slot=1 cfgver=%d list=%s", name, g.id(), pick(g, "n1/s1", "n3/s3"), cfg, leg))
	default:
		return g.drawOther()
	}
}

// list names a volume's in-sync legs, for labels that know them.
func (g *generator) list(v *Volume) string {
	names := make([]string, len(v.InSync))
	for i, id := range v.InSync {
		names[i] = g.names[id.String()]
	}
	return strings.Join(names, ",")
}

func (g *generator) drawScrub(name string, v *Volume) string {
	switch s := v.Scrub; {
	case s == nil:
		return fmt.Sprintf("scrub %s %s rate=%d", name, g.id(), g.rand.IntN(2))
	case g.rand.IntN(4) == 0:
		return "stop_scrub " + name
	default:
		from := s.From >> 20
		next := from + g.rand.Int64N(v.SizeBytes>>20-from+1)
		return fmt.Sprintf("report %s e=%d id=%d from=%d next=%d legs=%s:%d:1", name, v.Epoch, s.ID, from, next,
			g.names[v.Legs[0].ID.String()], g.rand.IntN(3))
	}
}

func (g *generator) drawOther() string {
	domain := pick(g, g.state.SortedDomains()...)
	switch g.rand.IntN(18) {
	case 0, 1, 2, 3:
		attach := make([]string, len(domain.Spec.Volumes))
		for i := range attach {
			attach[i] = g.id()
		}
		return fmt.Sprintf("place %s %s run=%d attach=%s takeover", domain.Name, pick(g, "h1", "h2"), domain.Run,
			strings.Join(attach, ","))
	case 4, 5:
		return "stop " + domain.Name
	case 6:
		for _, leg := range slices.SortedFunc(maps.Keys(g.state.Tombs), compareLegs) {
			return "leg_deleted " + g.names[leg.String()]
		}
		return "leg_deleted A"
	case 7:
		id := g.id()
		return fmt.Sprintf("create %s %s1@n1/s1 %s2@n4/s4 layout:mirror:2", id, id, id)
	case 8:
		return fmt.Sprintf("retire %s by=%s", pick(g, "n1", "n3"), pick(g, "n4", "n2"))
	case 9:
		return "remove_node " + pick(g, "n1", "n3")
	case 12:
		return "retire n2 stay"
	case 13:
		return "keep_node " + pick(g, "n1", "n2", "n3")
	case 15:
		return fmt.Sprintf("limit %s iops=%d", g.names[pick(g, g.state.SortedVolumes()...).ID.String()],
			10*g.rand.IntN(3))
	case 16:
		return fmt.Sprintf("export %s iscsi 127.0.0.1:%d", g.names[pick(g, g.state.SortedVolumes()...).ID.String()],
			13260+g.rand.IntN(3))
	case 17:
		return fmt.Sprintf("scrub_every %s every=%d", g.names[pick(g, g.state.SortedVolumes()...).ID.String()],
			60*g.rand.IntN(3))
	case 14:
		return fmt.Sprintf("replace_after %s volume=%s", pick(g, "60", "never", "0"),
			g.names[pick(g, g.state.SortedVolumes()...).ID.String()])
	case 10:
		v := pick(g, g.state.SortedVolumes()...)
		if !strings.HasPrefix(v.Name, "x") {
			return "event info cluster odd"
		}
		return "delete_volume " + v.Name
	}
	return "register h2 host stores=" + pick(g, "t1", "t2")
}
