package raft

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/volume"
)

// paritySet makes a volume of parity=2+1 whose slot 0 has two legs in sync: A, and B, which takes its place. No
// command can make one yet.
func paritySet(t *testing.T, then string) *script {
	t.Helper()
	s := newScript(t)
	s.apply(`init_cluster demo
		raise_version 2
		register n1 storage stores=s1
		register n2 storage stores=s2
		register n3 storage stores=s3
		register n4 storage stores=s4
		register h1 host
		create web A@n1/s1 B@n2/s2 C@n3/s3 D@n4/s4 layout:mirror:4
		provisioned web A
		provisioned web B
		provisioned web C
		provisioned web D`)
	v := s.state.Volumes[s.vol("web")]
	v.Layout = volume.Parity(2, 1)
	for name, slot := range map[string]int{"A": 0, "B": 0, "C": 1, "D": 2} {
		v.Leg(s.leg(name)).Slot = slot
	}
	v.Leg(s.leg("A")).Retiring, v.Leg(s.leg("B")).Replaces = true, s.leg("A")
	require.Empty(t, v.Flaw())
	s.apply("begin web h1 a1\n" + then)
	return s
}

// Two legs of one slot hold the same part of the volume: they are never enough to go on from, for nobody who
// counts legs.
func TestParity_countsSlots(t *testing.T) {
	s := paritySet(t, "fence web A e=1\nfence web B e=1")
	require.Contains(t, s.apply("activate web e=1 waited"), "wait")
	s.apply("fence web C e=1 lossy")
	require.Contains(t, s.apply("activate web e=1 waited"), "wait",
		"one part and a leg without its cache, while one that may have kept it is out of reach")
	s.apply("fence web D e=1")
	require.Contains(t, s.apply("activate web e=1 waited"), "ok e1 c2 [A B D]")

	v := s.state.Volumes[s.vol("web")]
	require.Equal(t, 2, v.Worth(v.InSync))
	require.Contains(t, s.apply("remove web D e=1 seen=2"), "last", "A and B without it are one part")
	require.Contains(t, s.apply("remove web A e=1 seen=2"), "ok e1 c3 [B D]", "B has what A has")
	require.Contains(t, s.apply("remove web B e=1 seen=3"), "last")

	v = s.state.Volumes[s.vol("web")]
	v.InSync, v.Leg(s.leg("D")).State = []volume.LegID{s.leg("B")}, volume.LegStale
	require.Contains(t, v.Flaw(), "1 legs are in sync, it needs 2")
}

// After a restore legs that lag are left out, unless too few would be left.
func TestParity_verifiesEnough(t *testing.T) {
	s := paritySet(t, "fence web A e=1\nfence web B e=1\nfence web C e=1\nfence web D e=1\nactivate web e=1")
	v := s.state.Volumes[s.vol("web")]
	for name, cfg := range map[string]volume.CfgVer{"A": 9, "B": 9, "C": 8, "D": 7} {
		v.Leg(s.leg(name)).Shown = &volume.Config{CfgVer: cfg}
	}
	legs := []volume.LegID{s.leg("A"), s.leg("B"), s.leg("C"), s.leg("D")}
	require.Equal(t, legs[:3], newestShown(v, legs), "A and B are one part")
	require.Equal(t, []volume.LegID{s.leg("B"), s.leg("C")}, newestShown(v, []volume.LegID{s.leg("B"), s.leg("C")}))
	v.Layout = volume.Mirror(4)
	require.Equal(t, legs[:2], newestShown(v, legs), "one leg of a mirror has everything")
}

// What a set of parity waits for whose legs were set back: nothing that an operator accepts makes a volume of them.
func TestParity_setBackIsNothingToAccept(t *testing.T) {
	s := paritySet(t, "")
	v := s.state.Volumes[s.vol("web")]
	for _, name := range []string{"C", "D"} {
		v.Leg(s.leg(name)).SetBack = true
	}
	s.apply("fence web A e=1\nfence web B e=1\nfence web C e=1\nfence web D e=1")
	answer := s.apply("activate web e=1 waited")
	require.Contains(t, answer, "bring the right disks back")
	require.NotContains(t, answer, "--accept-loss")
}

// After a restore, legs of parity that never had a configuration are not taken for what they may be, and no leg alone
// is something to go on from.
func TestParity_blankLegsAfterARestore(t *testing.T) {
	s := paritySet(t, "fence web A e=1\nfence web B e=1\nfence web C e=1\nfence web D e=1\nactivate web e=1")
	v := s.state.Volumes[s.vol("web")]
	v.VerifyAll = true
	for name, cfg := range map[string]volume.CfgVer{"A": v.CfgVer + 1, "B": v.CfgVer + 1, "C": 0, "D": 0} {
		shown := &volume.Config{CfgVer: cfg}
		if cfg != 0 {
			shown.InSync = v.InSync
		}
		v.Leg(s.leg(name)).Shown = shown
	}
	_, refusal := (&txn{state: s.state}).verified(v)
	require.NotNil(t, refusal)
	require.Equal(t, CodeWait, refusal.Code)
	require.Contains(t, refusal.Message, "bring the right disks back")
	require.NotContains(t, refusal.Message, "promote")
}
