package leg

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
)

// Who overlaps waits for who came first, also for one who waits; who does not goes right in.
func TestUnderway_orderOfEntry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &underway{}
		var inside sync.Map
		enter := func(name string, r block.Range, shared bool) func() {
			over := make(chan struct{})
			go func() {
				id, err := u.enter(context.Background(), r, shared)
				require.NoError(t, err)
				inside.Store(name, true)
				<-over
				inside.Delete(name)
				u.leave(id)
			}()
			synctest.Wait()
			return func() { close(over); synctest.Wait() }
		}
		expect := func(names ...string) {
			t.Helper()
			var have []string
			inside.Range(func(name, _ any) bool { have = append(have, name.(string)); return true })
			require.ElementsMatch(t, names, have)
		}
		first := enter("write 0-8", block.Range{Len: 8}, false)
		second := enter("write 4-12", block.Range{Off: 4, Len: 8}, false)
		third := enter("read 8-12", block.Range{Off: 8, Len: 4}, true)
		fourth := enter("read 8-16", block.Range{Off: 8, Len: 8}, true)
		apart := enter("write 16-20", block.Range{Off: 16, Len: 4}, false)
		empty := enter("nothing", block.Range{Off: 4}, false)
		expect("write 0-8", "write 16-20", "nothing")
		first()
		expect("write 4-12", "write 16-20", "nothing")
		second()
		expect("read 8-12", "read 8-16", "write 16-20", "nothing")
		fifth := enter("write 8-9", block.Range{Off: 8, Len: 1}, false)
		third()
		expect("read 8-16", "write 16-20", "nothing")
		fourth()
		expect("write 8-9", "write 16-20", "nothing")
		fifth()
		apart()
		empty()
		require.Empty(t, u.entries)
	})
}

func TestUnderway_givesUpWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &underway{}
		id, err := u.enter(t.Context(), block.Range{Len: 8}, false)
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		gaveUp, wentIn := make(chan error, 1), make(chan error, 1)
		go func() { _, err := u.enter(ctx, block.Range{Len: 8}, false); gaveUp <- err }()
		synctest.Wait()
		go func() { _, err := u.enter(t.Context(), block.Range{Len: 8}, false); wentIn <- err }()
		synctest.Wait()
		cancel()
		require.ErrorIs(t, <-gaveUp, context.Canceled)
		synctest.Wait()
		require.Empty(t, wentIn)
		u.leave(id)
		require.NoError(t, <-wentIn, "the one between them is gone")
	})
}

// Many goroutines enter random ranges; no two inside may conflict, and all come out.
func TestUnderway_underContention(t *testing.T) {
	u := &underway{}
	const blocks = 16
	var mu sync.Mutex
	var writers, readers [blocks]int
	note := func(r block.Range, shared bool, by int) {
		mu.Lock()
		defer mu.Unlock()
		for i := r.Off; i < r.End(); i++ {
			if shared {
				readers[i] += by
			} else {
				writers[i] += by
			}
			if writers[i] > 1 || writers[i] == 1 && readers[i] > 0 {
				t.Errorf("block %d has %d writers and %d readers", i, writers[i], readers[i])
			}
		}
	}
	var all sync.WaitGroup
	for seed := range uint64(8) {
		all.Go(func() {
			rng := rand.New(rand.NewPCG(seed, 1))
			for range 500 {
				off := rng.Int64N(blocks)
				r := block.Range{Off: off, Len: rng.Int64N(blocks - off + 1)}
				shared := rng.IntN(3) == 0
				id, err := u.enter(context.Background(), r, shared)
				if err != nil {
					t.Error(err)
					return
				}
				note(r, shared, 1)
				note(r, shared, -1)
				u.leave(id)
			}
		})
	}
	all.Wait()
	require.Empty(t, u.entries)
}
