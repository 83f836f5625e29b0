package memdev_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/block/blocktest"
	"github.com/holdfast-storage/holdfast/block/memdev"
)

func TestSuite(t *testing.T) {
	for _, blockBytes := range []int64{1, 512, 4096} {
		blocktest.Run(t, func(t *testing.T) block.Device {
			d, err := memdev.New(memdev.Options{SizeBytes: 4 << 20, BlockBytes: blockBytes})
			require.NoError(t, err)
			return d
		})
	}
}

func TestNew_refusesSizes(t *testing.T) {
	for _, o := range []memdev.Options{{}, {SizeBytes: 100}, {SizeBytes: 768, BlockBytes: 768}, {SizeBytes: -512}} {
		_, err := memdev.New(o)
		require.ErrorContains(t, err, "no whole number of blocks")
	}
}

func TestMemoryIsSparse(t *testing.T) {
	d, err := memdev.New(memdev.Options{SizeBytes: 64 << 40})
	require.NoError(t, err)
	require.NoError(t, d.Write(t.Context(), make([]byte, 1<<20), 1<<40, 0))
	require.Equal(t, int64(1<<20), d.UsedBytes())
	require.NoError(t, d.Zero(t.Context(), block.Range{Off: 1 << 40, Len: 1 << 20}, block.Unmap))
	require.Zero(t, d.UsedBytes())
}

func TestReadOnly(t *testing.T) {
	d, err := memdev.New(memdev.Options{SizeBytes: 4096, ReadOnly: true})
	require.NoError(t, err)
	require.ErrorIs(t, d.Write(t.Context(), make([]byte, 512), 0, 0), block.ErrReadOnly)
}
