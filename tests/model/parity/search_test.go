package parity_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/tests/model/parity"
)

// TestSearch_noViolation: with every rule in force no history goes wrong, in bounds that take seconds. The
// numbers of states show that the model is what it was; docs/safety/model.md has larger searches.
func TestSearch_noViolation(t *testing.T) {
	for _, tc := range []struct {
		bounds        parity.Bounds
		states, depth int
	}{
		{parity.Bounds{Data: 2, Parity: 1, Epochs: 2, Writes: 1}, 1232, 24},
		{parity.Bounds{Data: 2, Parity: 1, Epochs: 2, Writes: 1, Cuts: 2}, 7865, 24},
		{parity.Bounds{Data: 2, Parity: 1, Epochs: 2, Writes: 2}, 84763, 39},
		{parity.Bounds{Data: 2, Parity: 1, Epochs: 2, Writes: 2, Concurrent: true}, 139816, 39},
		{parity.Bounds{Data: 2, Parity: 1, Epochs: 2, Writes: 2, Cuts: 1, Sync: true}, 37842, 28},
		{parity.Bounds{Data: 2, Parity: 1, Epochs: 2, Writes: 1, Removes: 1, Joins: 1}, 13485, 28},
		{parity.Bounds{Data: 2, Parity: 1, Epochs: 2, Writes: 1, Cuts: 1, Removes: 1, Joins: 1}, 49106, 29},
		{parity.Bounds{Data: 2, Parity: 2, Epochs: 2, Writes: 1, Cuts: 2}, 46886, 33},
		{parity.Bounds{Data: 3, Parity: 1, Epochs: 2, Writes: 1, Cuts: 2}, 9767, 25},
	} {
		t.Run(tc.bounds.String(), func(t *testing.T) {
			if raceDetector && tc.states > 40_000 {
				t.Skip("too large for the race detector")
			}
			r, err := parity.Search(t.Context(), tc.bounds, 0, parity.Options{TableBits: 19})
			require.NoError(t, err)
			require.Empty(t, r.Violated, "%s", r.Trace)
			require.True(t, r.Complete)
			require.Equal(t, tc.states, r.States, "states")
			require.Equal(t, tc.depth, r.Depth, "depth")
		})
	}
}

func TestSearch_refusesWhatAStateHasNoRoomFor(t *testing.T) {
	for name, change := range map[string]func(*parity.Bounds){
		"k 1":      func(b *parity.Bounds) { b.Data = 1 },
		"k 4":      func(b *parity.Bounds) { b.Data = 4 },
		"m 3":      func(b *parity.Bounds) { b.Parity = 3 },
		"epochs 0": func(b *parity.Bounds) { b.Epochs = 0 },
		"writes 4": func(b *parity.Bounds) { b.Writes = 4 },
		"joins -1": func(b *parity.Bounds) { b.Joins = -1 },
	} {
		b := parity.Bounds{Data: 2, Parity: 1, Epochs: 2, Writes: 1}
		change(&b)
		_, err := parity.Search(t.Context(), b, 0, parity.Options{})
		require.ErrorContains(t, err, name)
	}
}
