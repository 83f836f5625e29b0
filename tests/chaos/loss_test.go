package chaos

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestUnexplained: a loss of power long ago excuses nothing that is lost after writes were answered since.
func TestUnexplained(t *testing.T) {
	at := func(seconds int) time.Duration { return time.Duration(seconds) * time.Second }
	answered := func(seconds int) Op { return Op{Kind: Write, Value: uint64(seconds), Return: at(seconds), Done: true} }
	h := History{{Ops: []Op{answered(5), answered(100)}}, {Ops: []Op{answered(130), {Kind: Write, Return: at(119)}}}}
	for name, x := range map[string]struct {
		loss      int
		cuts      []int
		explained bool
	}{
		"the last leg's cut":                   {120, []int{101}, true},
		"an answer that was noted late":        {120, []int{98}, true},
		"answered since":                       {120, []int{10}, false},
		"the cut came after it":                {120, []int{121}, false},
		"no cut at all":                        {120, nil, false},
		"of two legs, the second cut":          {120, []int{10, 110}, true},
		"nothing was answered before":          {3, []int{1}, true},
		"answered by the next guest meanwhile": {140, []int{110}, false},
	} {
		var cuts []time.Duration
		for _, c := range x.cuts {
			cuts = append(cuts, at(c))
		}
		loss, unexplained := h.Unexplained([]Loss{{At: at(x.loss)}}, cuts)
		require.Equal(t, x.explained, !unexplained, name)
		if unexplained {
			require.Equal(t, at(x.loss), loss.At, name)
		}
	}
}
