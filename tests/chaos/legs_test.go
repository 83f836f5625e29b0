package chaos

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestLegs_onlyTheCutsOfNodesThatHadOne: the words are those of raft's events.
func TestLegs_onlyTheCutsOfNodesThatHadOne(t *testing.T) {
	at := func(seconds int) time.Duration { return time.Duration(seconds) * time.Second }
	l := NewLegs("n1", "n2")
	l.Note("leg_replacing", "leg C on n6 of volume web is to take the place of leg A on n1", at(100))
	l.Note("leg_added", "leg C on n6 of volume web is in sync", at(150))
	l.Note("leg_replaced", "leg C on n6 of volume web has taken the place of leg A on n1", at(200))
	l.Note("unflushed_loss", "", at(250))
	l.Note("leg_replacing", "leg D on n1 of volume web is to take the place of leg B on n2", at(300))
	for name, x := range map[string]struct {
		cut  PowerCut
		hits bool
	}{
		"from the beginning":        {PowerCut{"n1", at(1)}, true},
		"while it is replaced":      {PowerCut{"n1", at(199)}, true},
		"just after, by its clock":  {PowerCut{"n1", at(203)}, true},
		"it has none any more":      {PowerCut{"n1", at(220)}, false},
		"and has one again":         {PowerCut{"n1", at(310)}, true},
		"before it had one":         {PowerCut{"n6", at(50)}, false},
		"while it is copied":        {PowerCut{"n6", at(120)}, true},
		"later":                     {PowerCut{"n6", at(900)}, true},
		"it leaves, and is not out": {PowerCut{"n2", at(900)}, true},
		"it never had one":          {PowerCut{"n3", at(120)}, false},
	} {
		var want []time.Duration
		if x.hits {
			want = []time.Duration{x.cut.At}
		}
		require.Equal(t, want, l.Cuts([]PowerCut{x.cut}), name)
	}
}
