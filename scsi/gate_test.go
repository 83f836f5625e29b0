package scsi

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
)

func TestGate_atomicWaitsForWhatIsUnderWayAndKeepsOthersOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gate
		low, high := block.Range{Len: 4096}, block.Range{Off: 4096, Len: 4096}
		before, err := g.enter(t.Context(), high)
		require.NoError(t, err)

		var order []string
		go func() {
			h, err := g.enterAtomic(t.Context(), low)
			require.NoError(t, err)
			order = append(order, "atomic")
			g.leave(h)
		}()
		synctest.Wait()
		require.Empty(t, order, "it waits for what was let through by count")

		beside, err := g.enter(t.Context(), high)
		require.NoError(t, err, "what does not overlap goes on")
		go func() {
			h, err := g.enter(t.Context(), block.Range{Off: 2048, Len: 4096})
			require.NoError(t, err)
			order = append(order, "plain")
			g.leave(h)
		}()
		synctest.Wait()
		require.Empty(t, order, "what overlaps waits for the atomic one, which came first")

		g.leave(before)
		synctest.Wait()
		require.Equal(t, []string{"atomic", "plain"}, order)
		g.leave(beside)
		require.Zero(t, g.atomics.Load())
		require.Zero(t, g.fast.Load())
		require.Empty(t, g.holds)
	})
}

func TestGate_givesUpWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gate
		r := block.Range{Len: 512}
		fast, err := g.enter(t.Context(), r)
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error, 1)
		go func() { _, err := g.enterAtomic(ctx, r); result <- err }()
		synctest.Wait()
		cancel()
		require.ErrorIs(t, <-result, context.Canceled)
		g.leave(fast)
		h, err := g.enter(t.Context(), r)
		require.NoError(t, err)
		require.Nil(t, h, "nothing is left of it")
	})
}

func TestGate_costsNoAllocation(t *testing.T) {
	var g gate
	require.Zero(t, testing.AllocsPerRun(100, func() {
		h, _ := g.enter(context.Background(), block.Range{Len: 512})
		g.leave(h)
	}))
}
