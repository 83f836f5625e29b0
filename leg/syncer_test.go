package leg

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// Callers that come while a sync runs share the next one, which begins after they came.
func TestSyncer_sharesTheNextSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var syncs atomic.Int32
		gate := make(chan error)
		s := &syncer{sync: func() error { syncs.Add(1); return <-gate }}
		results := make(chan error, 10)
		call := func() { results <- s.do() }
		go call()
		synctest.Wait()
		for range 5 {
			go call()
		}
		synctest.Wait()
		require.Equal(t, int32(1), syncs.Load())
		gate <- nil
		require.NoError(t, <-results)
		synctest.Wait()
		require.Equal(t, int32(2), syncs.Load(), "five callers, one sync")
		go call()
		synctest.Wait()
		bad := errors.New("bad")
		gate <- bad
		for range 5 {
			require.ErrorIs(t, <-results, bad)
		}
		synctest.Wait()
		require.ErrorIs(t, <-results, bad, "the last caller came after the second sync began")
		require.Equal(t, int32(2), syncs.Load(), "the kernel tells once that it dropped pages")
	})
}
