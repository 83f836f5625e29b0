package rescue

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/leg"
	"github.com/holdfast-storage/holdfast/volume"
)

func id(n byte) volume.LegID { return volume.LegID{UUID: volume.UUID{0: 1, 15: n}} }

func ids(n ...byte) []volume.LegID {
	var list []volume.LegID
	for _, i := range n {
		list = append(list, id(i))
	}
	return list
}

// has is a leg of a mirror with three legs, as a scan finds it.
func has(n byte, cfg volume.CfgVer, inSync []volume.LegID, change ...func(*Evidence)) *Evidence {
	e := &Evidence{
		Leg: id(n), Dir: "/d", Volume: volume.ID{UUID: volume.UUID{15: 7}}, VolumeName: "web1",
		Layout: volume.Mirror(3), Slot: int(n), SizeBytes: 1 << 20, Durability: volume.DurabilityFlush,
		Epoch: 1, CfgVer: cfg, InSync: inSync, readable: true,
	}
	for _, f := range change {
		f(e)
	}
	return e
}

func closed(e *Evidence)   { e.Closed = true }
func lossy(e *Evidence)    { e.Marked, e.Lossy = true, true }
func failed(e *Evidence)   { e.Problem = "it failed" }
func lineage(e *Evidence)  { e.label.DataGen = volume.UUID{15: 1} }
func resized(e *Evidence)  { e.SizeBytes = 2 << 20 }
func copied(e *Evidence)   { e.AlsoAt = []string{"/copy"} }
func noLabel(e *Evidence)  { e.NoLabel, e.VolumeName, e.Volume = "corrupt", "", volume.ID{} }
func halved(e *Evidence)   { e.Lossy, e.halved = true, true }
func epoch2(e *Evidence)   { e.Epoch = 2 }
func restored(e *Evidence) { e.label.Incarnation = volume.ClusterID{UUID: volume.UUID{15: 1}} }
func otherVol(e *Evidence) { e.Volume = volume.ID{UUID: volume.UUID{15: 8}} }

func TestChoose(t *testing.T) {
	all := ids(0, 1, 2)
	for _, tc := range []struct {
		name    string
		legs    []*Evidence
		use     []volume.LegID
		refused string
	}{
		{"all in sync", []*Evidence{has(0, 3, all), has(1, 3, all), has(2, 3, all)}, all, ""},
		{"one stale", []*Evidence{has(0, 3, all), has(1, 4, ids(1, 2)), has(2, 4, ids(1, 2))}, ids(1, 2), ""},
		{"one lossy", []*Evidence{has(0, 3, all, lossy), has(1, 3, all), has(2, 3, all)}, ids(1, 2), ""},
		{"one failed", []*Evidence{has(0, 3, all), has(1, 3, all, failed), has(2, 3, all)}, ids(0, 2), ""},
		{"a label behind its list", []*Evidence{has(0, 2, all), has(1, 3, all), has(2, 3, all)}, ids(1, 2), ""},
		{"the order of a list", []*Evidence{has(0, 3, ids(2, 1, 0)), has(1, 3, all), has(2, 3, all)}, all, ""},

		{"one in sync is absent", []*Evidence{has(0, 3, all), has(1, 3, all)}, nil, "which the newest known"},
		{"one in sync has no label", []*Evidence{has(0, 3, all), has(1, 3, all), has(2, 0, nil, noLabel)}, nil,
			"without a readable label"},
		{"the newest list's leg is absent", []*Evidence{has(0, 3, all), has(1, 4, ids(1, 2))}, nil, id(2).String()},
		{"all lossy", []*Evidence{has(0, 3, all, lossy), has(1, 3, all, lossy), has(2, 3, all, lossy)}, nil,
			"no leg of the newest in-sync list can be used"},
		{"all set back or broken", []*Evidence{has(0, 3, all, failed), has(1, 3, all, failed), has(2, 2, all)}, nil,
			"no leg of the newest"},
		{"two lists of one version", []*Evidence{has(0, 3, ids(0, 1)), has(1, 3, ids(1, 2)), has(2, 3, ids(1, 2))},
			nil, "different in-sync lists of one cfgver"},
		{"two lineages", []*Evidence{has(0, 3, all), has(1, 3, all, lineage), has(2, 3, all)}, nil, "lineages"},
		{"two sizes", []*Evidence{has(0, 3, all), has(1, 3, all, resized), has(2, 3, all)}, nil, "disagree on size"},
		{"a clone", []*Evidence{has(0, 3, all, copied), has(1, 3, all), has(2, 3, all)}, nil, "one is a copy"},
		{"never attached", []*Evidence{has(0, 0, nil), has(1, 0, nil), has(2, 0, nil)}, nil, "no leg has ever"},

		{"a slot was never seen", []*Evidence{has(0, 3, ids(0, 1)), has(1, 3, ids(0, 1))}, nil, "no leg of slot 2"},
		{"but all were detached", []*Evidence{has(0, 3, ids(0, 1), closed), has(1, 3, ids(0, 1), closed)},
			ids(0, 1), ""},
		{"one of them was not", []*Evidence{has(0, 3, ids(0, 1), closed), has(1, 3, ids(0, 1))}, nil, "slot 2"},

		{"half a label may have named a newer list",
			[]*Evidence{has(0, 3, all, halved), has(1, 3, all), has(2, 3, all)}, nil, "one of the two slots"},
		{"also one behind the list", []*Evidence{has(0, 2, all, halved), has(1, 3, all), has(2, 3, all)}, nil, "slots"},
		{"but it was detached itself", []*Evidence{has(0, 3, all, halved, closed), has(1, 3, all), has(2, 3, all)},
			ids(1, 2), ""},
		{"but another was detached later",
			[]*Evidence{has(0, 3, all, halved), has(1, 3, all, closed), has(2, 3, all)}, ids(1, 2), ""},
		{"in an older epoch",
			[]*Evidence{has(0, 3, all, halved, epoch2), has(1, 3, all, closed), has(2, 3, all)}, nil, "slots"},
		{"half a stale label is no doubt",
			[]*Evidence{has(0, 2, all, halved), has(1, 3, ids(1, 2)), has(2, 3, ids(1, 2))}, ids(1, 2), ""},
		{"a leg of another incarnation", []*Evidence{has(0, 3, all, restored), has(1, 3, all), has(2, 3, all)}, nil,
			"incarnation"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := choose(tc.legs, "web1", nil)
			if tc.refused != "" {
				var refused *RefusedError
				require.ErrorAs(t, err, &refused)
				require.ErrorContains(t, err, tc.refused)
				require.ErrorContains(t, err, "would be a guess")
				return
			}
			require.NoError(t, err)
			require.Equal(t, tc.use, legsOf(c))
			require.False(t, c.Explicit)
			for _, v := range c.Verdicts {
				require.NotEmpty(t, v.Why)
			}
		})
	}
}

func legsOf(c Choice) []volume.LegID {
	var list []volume.LegID
	for _, e := range c.Use {
		list = append(list, e.Leg)
	}
	return list
}

func TestChoose_explicit(t *testing.T) {
	all := ids(0, 1, 2)
	for _, tc := range []struct {
		name      string
		legs      []*Evidence
		leg       byte
		use       []volume.LegID
		overruled int
		refused   string
	}{
		{"one that is as good as the first", []*Evidence{has(0, 3, all), has(1, 3, all), has(2, 3, all)}, 1,
			ids(1, 0, 2), 0, ""},
		{"one that is stale stands alone", []*Evidence{has(0, 3, all), has(1, 4, ids(1, 2)), has(2, 4, ids(1, 2))}, 0,
			ids(0), 1, ""},
		{"after a power cut all of the list help", []*Evidence{
			has(0, 3, all, lossy), has(1, 3, all, lossy), has(2, 2, all, lossy)}, 1, ids(1, 0), 2, ""},
		{"a failed one stands alone", []*Evidence{has(0, 3, all, failed), has(1, 3, all), has(2, 3, all)}, 0,
			ids(0), 1, ""},
		{"with others missing", []*Evidence{has(1, 3, all)}, 1, ids(1), 2, ""},
		{"one in two places", []*Evidence{has(0, 3, all, copied), has(1, 3, all)}, 0, nil, 0, "leave out"},
		{"one that is not there", []*Evidence{has(0, 3, all)}, 1, nil, 0, "was not found"},
		{"no data", []*Evidence{has(0, 3, all, func(e *Evidence) { e.readable = false })}, 0, nil, 0, "cannot be read"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := choose(tc.legs, "web1", ids(tc.leg))
			if tc.refused != "" {
				require.ErrorContains(t, err, tc.refused)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tc.use, legsOf(c))
			require.True(t, c.Explicit)
			require.Len(t, c.Overruled, tc.overruled)
		})
	}
}

func TestChoose_oneNameTwoVolumes(t *testing.T) {
	legs := []*Evidence{has(0, 3, ids(0)), has(1, 3, ids(1), otherVol)}
	_, err := choose(legs, "web1", nil)
	require.ErrorContains(t, err, "both named web1")
}

func TestReport_forgetFrom(t *testing.T) {
	r := newReport(Choice{Use: []*Evidence{has(0, 3, ids(0))}}, time.Time{})
	for _, off := range []int64{0, 4096, 12288} {
		note(&r.FromOther, off, id(1))
	}
	note(&r.FromOther, 16384, id(2))
	require.Equal(t, []Span{{0, 8192, id(1)}, {12288, 4096, id(1)}, {16384, 4096, id(2)}}, r.FromOther)
	require.Equal(t, int64(16384), Bytes(r.FromOther))
	r.forgetFrom(4096)
	require.Equal(t, []Span{{0, 4096, id(1)}}, r.FromOther)
}

// When the first leg cannot read a block, the others may still disagree on it.
func TestRegion_settle(t *testing.T) {
	const good, bad = leg.BlockGood, leg.BlockMismatch
	for _, tc := range []struct {
		name   string
		text   string // first byte of the block on each leg
		states []leg.BlockState
		marked bool
		want   string
		lists  [5]int // from other, differing, adopted, diverged, unreadable
	}{
		{"all alike", "aaa", []leg.BlockState{good, good, good}, false, "a", [5]int{}},
		{"the last differs", "aab", []leg.BlockState{good, good, good}, false, "a", [5]int{3: 1}},
		{"an unfinished write", "aab", []leg.BlockState{good, good, good}, true, "a", [5]int{1: 1}},
		{"the first is bad", "xbb", []leg.BlockState{bad, good, good}, false, "b", [5]int{0: 1}},
		{"the first is bad, the others differ", "xbc", []leg.BlockState{bad, good, good}, false, "b",
			[5]int{0: 1, 3: 1}},
		{"the same in a marked region", "xbc", []leg.BlockState{bad, good, good}, true, "b", [5]int{0: 1, 1: 1}},
		{"the last alone is good", "xyc", []leg.BlockState{bad, bad, good}, false, "c", [5]int{0: 1}},
		{"none is good", "xyz", []leg.BlockState{bad, bad, bad}, false, "\x00", [5]int{4: 1}},
		{"none is whole", "xyz", []leg.BlockState{bad, bad, bad}, true, "x", [5]int{2: 1}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := &regionReader{report: &Report{}}
			for n := range tc.states {
				c := &regionCopy{id: id(byte(n)), content: make([]byte, volume.BlockBytes), states: tc.states[n : n+1]}
				c.content[0] = tc.text[n]
				r.legs = append(r.legs, c)
			}
			r.settle(0, 0, tc.marked)
			require.Equal(t, tc.want[0], r.legs[0].content[0])
			p := r.report
			for n, list := range [][]Span{p.FromOther, p.Differing, p.Adopted, p.Diverged, p.Unreadable} {
				require.Len(t, list, tc.lists[n], "list %d", n)
			}
		})
	}
}
