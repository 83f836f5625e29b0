package filedev

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
)

func TestAllocated(t *testing.T) {
	d, err := Open(filepath.Join(t.TempDir(), "d"), Options{SizeBytes: 1 << 20})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	require.NoError(t, d.Write(t.Context(), make([]byte, 8192), 65536, 0))
	for off, want := range map[int64]struct {
		allocated bool
		bytes     int64
	}{
		0: {false, 65536}, 512: {false, 65024}, 65536: {true, 8192}, 73216: {true, 512},
		73728: {false, 1<<20 - 73728}, 1<<20 - 512: {false, 512},
	} {
		allocated, bytes, err := d.Allocated(t.Context(), off)
		require.NoError(t, err)
		require.Equal(t, want.allocated, allocated, off)
		require.Equal(t, want.bytes, bytes, off)
	}
	_, _, err = d.Allocated(t.Context(), 1<<20)
	require.ErrorIs(t, err, block.ErrOutOfRange)
}
