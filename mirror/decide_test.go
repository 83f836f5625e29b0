package mirror

import (
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/volume"
)

// TestTakenBack holds what becomes of a write by what the legs of S' say.
func TestTakenBack(t *testing.T) {
	a, b := volume.LegID{UUID: volume.UUID{1}}, volume.LegID{UUID: volume.UUID{2}}
	c := volume.LegID{UUID: volume.UUID{3}}
	at := func(epoch volume.Epoch, n uint64) volume.Transaction {
		return volume.Transaction{Epoch: epoch, Number: n}
	}
	staged := func(t volume.Transaction, q ...volume.LegID) volume.Record {
		return volume.Record{Transaction: t, Legs: q}
	}
	committed := func(t volume.Transaction, q ...volume.LegID) volume.Record {
		return volume.Record{Transaction: t, Legs: q, Committed: true}
	}
	says := func(leg volume.LegID, floor volume.Transaction, list ...volume.Record) vote {
		return vote{leg: leg, has: &volume.Records{Floor: floor, Records: list}}
	}
	none := volume.Transaction{}
	for name, test := range map[string]struct {
		votes []vote
		back  []volume.Transaction
	}{
		"nothing":      {[]vote{says(a, none), says(b, none)}, nil},
		"all have it":  {[]vote{says(a, none, staged(at(4, 1), a, b)), says(b, none, staged(at(4, 1), a, b))}, nil},
		"one lacks it": {[]vote{says(a, none, staged(at(4, 1), a, b)), says(b, none)}, []volume.Transaction{at(4, 1)}},
		"one freed it": {[]vote{says(a, none, committed(at(4, 1), a, b)), says(b, none)}, nil},
		"not of Q": {[]vote{says(a, none, staged(at(4, 1), a, b)), says(b, none, staged(at(4, 1), a, b)),
			says(c, none)}, nil},
		"one is not here": {[]vote{says(a, none, staged(at(4, 1), a, b)), says(c, none)}, nil},
		"dropped":         {[]vote{says(a, none, staged(at(4, 1), a, b)), says(b, at(4, 1))}, nil},
		"dropped older": {[]vote{says(a, none, staged(at(4, 2), a, b)), says(b, at(4, 1))},
			[]volume.Transaction{at(4, 2)}},
		"epoch first": {[]vote{says(a, none, staged(at(3, 9), a, b)), says(b, at(4, 1))}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			back := takenBack(test.votes, decision{})
			require.ElementsMatch(t, test.back, slices.Collect(maps.Keys(back)))
		})
	}
}
