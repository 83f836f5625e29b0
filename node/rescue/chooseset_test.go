package rescue

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/volume"
)

// set is legs of a set of parity, whose slots are their numbers.
func set(layout volume.Layout, legs ...*Evidence) []*Evidence {
	for _, e := range legs {
		e.Layout = layout
	}
	return legs
}

func inSlot(slot int) func(*Evidence) { return func(e *Evidence) { e.Slot = slot } }

func TestChoose_set(t *testing.T) {
	two1, two2, three2 := volume.Parity(2, 1), volume.Parity(2, 2), volume.Parity(3, 2)
	three, four, five := ids(0, 1, 2), ids(0, 1, 2, 3), ids(0, 1, 2, 3, 4)
	for _, tc := range []struct {
		name    string
		legs    []*Evidence
		use     []volume.LegID
		refused string
	}{
		{"all in sync", set(two1, has(0, 3, three), has(1, 3, three), has(2, 3, three)), three, ""},
		{"one is absent", set(two1, has(0, 3, three), has(2, 3, three)), ids(0, 2), ""},
		{"two of five are absent", set(three2, has(0, 3, five), has(3, 3, five), has(4, 3, five)), ids(0, 3, 4), ""},
		{"one lost its cache", set(two1, has(0, 3, three), has(1, 3, three, lossy), has(2, 3, three)), ids(0, 2), ""},
		{"one is stale", set(two1, has(0, 2, three), has(1, 3, ids(1, 2)), has(2, 3, ids(1, 2))), ids(1, 2), ""},
		{"one has no label", set(two1, has(0, 3, three), has(1, 3, three), has(2, 0, nil, noLabel)), ids(0, 1), ""},
		{"one is behind its list", set(two1, has(0, 2, three), has(1, 3, three), has(2, 3, three)), ids(1, 2), ""},
		{"half a label", set(two1, has(0, 3, three, halved), has(1, 3, three), has(2, 3, three)), ids(1, 2), ""},
		{"a short list, a slot was never seen", set(two1, has(0, 3, ids(0, 1)), has(1, 3, ids(0, 1))), ids(0, 1), ""},
		{"a replacement is under way", set(two1, has(0, 3, five[:4]), has(1, 3, five[:4]), has(2, 3, five[:4]),
			has(3, 3, five[:4], inSlot(2))), four, ""},
		{"the replaced leg is absent", set(two1, has(0, 3, four), has(1, 3, four), has(3, 3, four, inSlot(2))),
			ids(0, 1, 3), ""},

		{"k slots are absent", set(two1, has(0, 3, three)), nil, "legs of 2 slots are not to be counted on"},
		{"k are left, and k are absent", set(two2, has(0, 3, four), has(1, 3, four)), nil, "legs of 2 slots"},
		{"also after a detach", set(two2, has(0, 3, four, closed), has(1, 3, four, closed)), nil, "legs of 2 slots"},
		{"one missing, one never seen", set(two2, has(0, 3, three), has(1, 3, three)), nil, "legs of 2 slots"},
		{"of which a detach says that it is old", set(two2, has(0, 3, three, closed), has(1, 3, three, closed)),
			ids(0, 1), ""},
		{"one missing in the place of one that is here", set(two2, has(0, 2, three), has(1, 3, ids(1, 2, 4)),
			has(2, 3, ids(1, 2, 4))), nil, "legs of 2 slots"},
		{"missing legs of a slot with two", set(two2, has(0, 3, five), has(1, 3, five), has(2, 3, five)), nil,
			"legs of 3 slots"},
		{"one absent, one behind", set(two2, has(0, 2, four), has(1, 3, four), has(2, 3, four)), nil,
			"named by a newer list than its own"},
		{"one behind", set(two2, has(0, 2, four), has(1, 3, four), has(2, 3, four), has(3, 3, four)), ids(1, 2, 3), ""},
		{"one absent, half a label", set(two1, has(0, 3, three, halved), has(1, 3, three)), nil,
			"two slots of the label"},
		{"one absent, one lossy", set(two1, has(0, 3, three, lossy), has(1, 3, three)), nil,
			"legs of 1 slots can be used, and parity=2+1 takes 2"},
		{"all lossy", set(two1, has(0, 3, three, lossy), has(1, 3, three, lossy), has(2, 3, three, lossy)), nil,
			"legs of 0 slots can be used"},
		{"k legs of too few slots", set(two1, has(0, 3, four), has(3, 3, four, inSlot(0)), has(1, 3, four, failed),
			has(2, 3, four, failed)), nil, "legs of 1 slots can be used"},
		{"two lists of one version", set(two1, has(0, 3, three), has(1, 3, ids(1, 2)), has(2, 3, three)), nil,
			"different in-sync lists"},
		{"two lineages", set(two1, has(0, 3, three), has(1, 3, three, lineage), has(2, 3, three)), nil, "lineages"},
		{"a clone", set(two1, has(0, 3, three, copied), has(1, 3, three), has(2, 3, three)), nil, "one is a copy"},
		{"two layouts", append(set(two1, has(0, 3, three), has(1, 3, three)), set(two2, has(2, 3, three))...), nil,
			"disagree on size, layout"},
		{"no layout", set(volume.Layout{Kind: volume.KindParity, Data: 2, Extra: 1}, has(0, 3, three),
			has(1, 3, three)), nil, "of no use"},
		{"never attached", set(two1, has(0, 0, nil), has(1, 0, nil), has(2, 0, nil)), nil, "no leg has ever"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := choose(tc.legs, "web1", nil)
			if tc.refused != "" {
				var refused *RefusedError
				require.ErrorAs(t, err, &refused)
				require.ErrorContains(t, err, tc.refused)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tc.use, legsOf(c))
			require.False(t, c.Explicit)
		})
	}
}

func TestChoose_explicitSet(t *testing.T) {
	two1, two2 := volume.Parity(2, 1), volume.Parity(2, 2)
	three, four := ids(0, 1, 2), ids(0, 1, 2, 3)
	allLossy := func() []*Evidence {
		return set(two1, has(0, 3, three, lossy), has(1, 3, three, lossy), has(2, 3, three, lossy))
	}
	for _, tc := range []struct {
		name      string
		legs      []*Evidence
		named     []volume.LegID
		use       []volume.LegID
		overruled string
		refused   string
	}{
		{"all lost their cache", allLossy(), ids(2, 0, 1), three, "its page cache is gone", ""},
		{"k of them", allLossy(), ids(2, 1), ids(1, 2), "its page cache is gone", ""},
		{"one twice", allLossy(), ids(2, 2), nil, "", "1 legs of parity=2+1 were named, and it takes 2"},
		{"too few", allLossy(), ids(2), nil, "", "give --leg once for each"},
		{"k while k are absent", set(two2, has(0, 3, four), has(1, 3, four)), ids(0, 1), ids(0, 1),
			"legs of 2 slots", ""},
		{"one that lost its cache beside k that kept it", set(two1, has(0, 3, three), has(1, 3, three),
			has(2, 3, three, lossy)), three, nil, "", "leave it out"},
		{"one that lost its cache beside fewer", set(two1, has(0, 2, three), has(1, 3, three), has(2, 3, three, lossy)),
			ids(1, 2), ids(1, 2), "its page cache is gone", ""},
		{"one that is stale", set(two1, has(0, 2, three), has(1, 3, ids(1, 2)), has(2, 3, ids(1, 2))), ids(0, 1),
			ids(0, 1), "not in the newest in-sync list", ""},
		{"two of one slot", set(two1, has(0, 3, four), has(1, 3, four), has(3, 3, four, inSlot(1))), ids(0, 1, 3), nil,
			"", "both of slot 1"},
		{"two sizes", set(two1, has(0, 3, three), has(1, 3, three, resized)), ids(0, 1), nil, "", "disagree on size"},
		{"one that is not there", allLossy(), ids(0, 7), nil, "", "was not found"},
		{"one in two places", set(two1, has(0, 3, three, copied), has(1, 3, three)), ids(0, 1), nil, "", "leave out"},
		{"one without data", set(two1, has(0, 3, three, func(e *Evidence) { e.readable = false }), has(1, 3, three)),
			ids(0, 1), nil, "", "cannot be read"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := choose(tc.legs, "web1", tc.named)
			if tc.refused != "" {
				require.ErrorContains(t, err, tc.refused)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tc.use, legsOf(c))
			require.True(t, c.Explicit)
			require.Condition(t, func() bool {
				return strings.Contains(strings.Join(c.Overruled, "\n"), tc.overruled)
			}, "%q", c.Overruled)
			for _, v := range c.Verdicts {
				require.Equal(t, slices.Contains(tc.use, v.Leg), v.Used)
			}
		})
	}
}

// A mirror is read from one leg; several were a misunderstanding.
func TestChoose_mirrorTakesOneName(t *testing.T) {
	all := ids(0, 1, 2)
	_, err := choose([]*Evidence{has(0, 3, all), has(1, 3, all), has(2, 3, all)}, "web1", ids(0, 1))
	require.ErrorContains(t, err, "name one leg")
}

// A refusal says what may be named, and how many.
func TestChoose_setOptions(t *testing.T) {
	three := ids(0, 1, 2)
	_, err := choose(set(volume.Parity(2, 1), has(0, 3, three, lossy), has(1, 3, three, lossy), has(2, 2, three)),
		"web1", nil)
	var refused *RefusedError
	require.ErrorAs(t, err, &refused)
	require.Len(t, refused.Options, 4)
	require.Contains(t, refused.Options[0], "at least 2 legs")
	require.Contains(t, refused.Options[1], "--leg "+id(0).String()+" (slot 0): what a disk holds after a power cut")
	require.Contains(t, refused.Options[3], "although")

	_, err = choose(set(volume.Parity(2, 1), has(0, 3, three)), "web1", nil)
	require.ErrorAs(t, err, &refused)
	require.Empty(t, refused.Options, "one leg alone is of no use")
	require.ErrorContains(t, err, "no leg that was found can be named")
}
