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
	// of gives a record its kind and blocks: delta and image are of one chunk, whole of all of the stripe.
	of := func(r volume.Record, kind volume.RecordKind, first, blocks int64) volume.Record {
		r.Kind, r.FirstBlock, r.Blocks = kind, first, blocks
		return r
	}
	whole := func(leg volume.LegID, r volume.Record) bool {
		return leg == c && r.Kind == volume.RecordImage && len(r.Legs) > 1
	}
	const image, delta = volume.RecordImage, volume.RecordDelta
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
		"built on a stripe that one lacks": {[]vote{
			says(a, none, of(staged(at(4, 1), a, b, c), image, 0, 2), of(staged(at(4, 2), a, c), image, 1, 1)),
			says(b, none),
			says(c, none, of(staged(at(4, 1), a, b, c), image, 0, 2), of(staged(at(4, 2), a, c), delta, 1, 1)),
		}, []volume.Transaction{at(4, 1), at(4, 2)}},
		"beside a stripe that one lacks": {[]vote{
			says(a, none, of(staged(at(4, 1), a, b, c), image, 0, 2), of(staged(at(4, 2), a, c), image, 2, 1)),
			says(b, none),
			says(c, none, of(staged(at(4, 1), a, b, c), image, 0, 2), of(staged(at(4, 2), a, c), delta, 2, 1)),
		}, []volume.Transaction{at(4, 1)}},
		"another chunk of the row": {[]vote{
			says(a, none, of(staged(at(4, 2), a, c), image, 0, 1)),
			says(b, none),
			says(c, none, of(staged(at(4, 1), b, c), delta, 0, 1), of(staged(at(4, 2), a, c), delta, 0, 1)),
		}, []volume.Transaction{at(4, 1)}},
		"a repair made with it": {[]vote{
			says(b, none),
			says(c, none, of(staged(at(4, 1), b, c), delta, 0, 1), of(staged(at(4, 2), c), image, 0, 1)),
		}, []volume.Transaction{at(4, 1), at(4, 2)}},
		"epoch first": {[]vote{says(a, none, staged(at(3, 9), a, b)), says(b, at(4, 1))}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			back := takenBack(test.votes, whole, decision{})
			require.ElementsMatch(t, test.back, slices.Collect(maps.Keys(back)))
		})
	}
}
