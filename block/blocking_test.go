package block_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/block/blocktest"
	"github.com/holdfast-storage/holdfast/block/memdev"
)

func TestBlocking_suite(t *testing.T) {
	for name, workers := range map[string]int{"inline": 0, "later": 4} {
		t.Run(name, func(t *testing.T) {
			blocktest.Run(t, func(t *testing.T) block.Device {
				d, err := memdev.New(memdev.Options{SizeBytes: 1 << 20})
				require.NoError(t, err)
				queue := blocktest.NewQueue(d, workers)
				t.Cleanup(queue.Close)
				return block.Blocking(queue, d.Limits(), d.Close)
			})
		})
	}
}

// heldQueue keeps every request until the test completes it.
type heldQueue chan *block.Request

func (q heldQueue) Submit(r *block.Request) { q <- r }

// A caller that gives up has its buffers back although the queue still holds the request.
func TestBlocking_callerGivesUp(t *testing.T) {
	queue := make(heldQueue, 1)
	d := block.Blocking(queue, block.Limits{SizeBytes: 4096, BlockBytes: 512}, nil)
	for _, op := range []block.Op{block.OpRead, block.OpWrite} {
		ctx, cancel := context.WithCancel(t.Context())
		p := make([]byte, 512)
		result := make(chan error, 1)
		go func() {
			if op == block.OpRead {
				result <- d.Read(ctx, p, 0)
			} else {
				result <- d.Write(ctx, p, 0, 0)
			}
		}()
		held := <-queue
		cancel()
		require.ErrorIs(t, <-result, context.Canceled)
		held.Data[0] = 9
		require.Zero(t, p[0], "%s: the caller's slice was lent", op)
		held.Complete(held, nil) // nobody waits any more: it must not block
	}
}

func TestBlocking_closeWithoutFunction(t *testing.T) {
	require.NoError(t, block.Blocking(make(heldQueue), block.Limits{}, nil).Close())
}

func TestOp_namesAndChanges(t *testing.T) {
	names := map[block.Op]string{block.OpRead: "read", block.OpWrite: "write", block.OpZero: "zero",
		block.OpFlush: "flush", 0: "unknown operation"}
	for op, name := range names {
		require.Equal(t, name, op.String())
		require.Equal(t, op == block.OpWrite || op == block.OpZero, op.Changes(), name)
	}
}
