package model_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/tests/model"
)

// raceStates is how many states a search may have under the race detector.
const raceStates = 50_000

// skipLarge skips a search that would take minutes under the race detector, which has nothing to find
// in it that it does not find in a smaller one.
func skipLarge(t *testing.T, states int) {
	t.Helper()
	if raceDetector && states > raceStates {
		t.Skipf("%d states take too long under the race detector, which smaller searches serve", states)
	}
}

func search(t *testing.T, b model.Bounds, broken model.Rules, o model.Options) model.Result {
	t.Helper()
	r, err := model.Search(t.Context(), b, broken, o)
	require.NoError(t, err)
	return r
}

func flushClass(change func(*model.Bounds)) model.Bounds {
	b := model.Bounds{Legs: 2, Epochs: 2, Writes: 1, MaxCfg: 3, Flushes: 1}
	change(&b)
	return b
}

func syncClass(change func(*model.Bounds)) model.Bounds {
	b := model.Bounds{Class: model.ClassSync, Legs: 2, Epochs: 2, Writes: 1, MaxCfg: 3}
	change(&b)
	return b
}

// TestSearch_allRulesHold is the proof within small bounds. The numbers of states and depths are
// those of the protocol: who changes a transition changes them, and says so here.
func TestSearch_allRulesHold(t *testing.T) {
	for _, tc := range []struct {
		bounds        model.Bounds
		states, depth int
	}{
		{flushClass(func(b *model.Bounds) { b.Cuts, b.MaxCfg = 1, 2 }), 145412, 24},
		{flushClass(func(b *model.Bounds) { b.Cuts = 2 }), 2511310, 33},
		{flushClass(func(b *model.Bounds) { b.Writes, b.MaxCfg, b.Flushes = 2, 4, 0 }), 126179, 35},
		{flushClass(func(b *model.Bounds) { b.Cuts, b.Accept = 1, true }), 862303, 31},
		{flushClass(func(b *model.Bounds) { b.MaxCfg, b.Operator = 4, true }), 570564, 36},
		{flushClass(func(b *model.Bounds) { b.Cuts, b.Duplicates = 1, true }), 2319954, 32},
		{flushClass(func(b *model.Bounds) { b.Epochs, b.MaxCfg, b.Cuts = 3, 2, 1 }), 586757, 30},
		{flushClass(func(b *model.Bounds) { b.Legs, b.MaxCfg, b.Cuts = 3, 2, 1 }), 1121696, 30},
		{syncClass(func(b *model.Bounds) {}), 9308, 25},
		{syncClass(func(b *model.Bounds) { b.MaxCfg, b.Cuts = 4, 1 }), 146950, 33},
		{syncClass(func(b *model.Bounds) { b.Writes, b.Cuts = 2, 1 }), 174657, 30},
		{syncClass(func(b *model.Bounds) { b.MaxCfg, b.Duplicates = 4, true }), 135114, 33},
		{syncClass(func(b *model.Bounds) { b.MaxCfg, b.Operator = 4, true }), 41175, 32},
		{syncClass(func(b *model.Bounds) { b.Restore = true }), 152018, 29},
		{syncClass(func(b *model.Bounds) { b.Epochs = 3 }), 65463, 30},
		{syncClass(func(b *model.Bounds) { b.Legs = 3 }), 280182, 31},
	} {
		t.Run(tc.bounds.String(), func(t *testing.T) {
			skipLarge(t, tc.states)
			r := search(t, tc.bounds, 0, model.Options{TableBits: 22})
			require.Empty(t, r.Violated, "%s", r.Trace)
			require.True(t, r.Complete)
			require.Equal(t, tc.states, r.States, "states")
			require.Equal(t, tc.depth, r.Depth, "depth")
		})
	}
}

// TestSearch_sameForAnyNumberOfWorkers: which worker meets a state first makes no difference.
func TestSearch_sameForAnyNumberOfWorkers(t *testing.T) {
	b := syncClass(func(b *model.Bounds) {})
	alone := search(t, b, 0, model.Options{TableBits: 16, Workers: 1})
	for _, workers := range []int{2, 7} {
		require.Equal(t, alone, search(t, b, 0, model.Options{TableBits: 16, Workers: workers}))
	}
}

func TestSearch_stopsWhenTheTableIsFull(t *testing.T) {
	r := search(t, flushClass(func(b *model.Bounds) {}), 0, model.Options{TableBits: 14})
	require.False(t, r.Complete)
	require.GreaterOrEqual(t, r.States, 1<<14/10*9)
	require.Less(t, r.States, 1<<14)
	require.Contains(t, r.String(), "STOPPED")
}

func TestSearch_stopsWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := model.Search(ctx, flushClass(func(b *model.Bounds) {}), 0, model.Options{TableBits: 14})
	require.ErrorIs(t, err, context.Canceled)
}

func TestSearch_refusesWhatAStateHasNoRoomFor(t *testing.T) {
	for name, change := range map[string]func(*model.Bounds){
		"legs 4":   func(b *model.Bounds) { b.Legs = 4 },
		"epochs 0": func(b *model.Bounds) { b.Epochs = 0 },
		"writes 4": func(b *model.Bounds) { b.Writes = 4 },
		"maxcfg 0": func(b *model.Bounds) { b.MaxCfg = 0 },
		"cuts -1":  func(b *model.Bounds) { b.Cuts = -1 },
	} {
		_, err := model.Search(t.Context(), flushClass(change), 0, model.Options{})
		require.ErrorContains(t, err, name)
	}
	_, err := model.Search(t.Context(), flushClass(func(*model.Bounds) {}), 0, model.Options{TableBits: 40})
	require.ErrorContains(t, err, "2^40")
}
