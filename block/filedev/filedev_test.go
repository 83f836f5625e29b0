package filedev_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/block/blocktest"
	"github.com/holdfast-storage/holdfast/block/filedev"
)

func TestSuite(t *testing.T) {
	blocktest.Run(t, func(t *testing.T) block.Device {
		d, err := filedev.Open(filepath.Join(t.TempDir(), "disk"), filedev.Options{SizeBytes: 4 << 20})
		require.NoError(t, err)
		return d
	})
}

func TestOpen_sizes(t *testing.T) {
	for _, c := range []struct {
		name    string
		have    int64 // -1: no file
		options filedev.Options
		size    int64
		refused string
	}{
		{"made when missing", -1, filedev.Options{SizeBytes: 1 << 20}, 1 << 20, ""},
		{"missing without a size", -1, filedev.Options{}, 0, "no such file"},
		{"missing and read-only", -1, filedev.Options{SizeBytes: 512, ReadOnly: true}, 0, "no such file"},
		{"its own size", 8192, filedev.Options{}, 8192, ""},
		{"grown", 512, filedev.Options{SizeBytes: 8192}, 8192, ""},
		{"longer than the size", 8192, filedev.Options{SizeBytes: 512}, 0, "more than the size"},
		{"shorter and read-only", 512, filedev.Options{SizeBytes: 8192, ReadOnly: true}, 0, "less than the size"},
		{"empty without a size", 0, filedev.Options{}, 0, "no size was given"},
		{"no whole blocks", 1000, filedev.Options{}, 0, "no whole number of blocks"},
		{"size no whole blocks", -1, filedev.Options{SizeBytes: 1000}, 0, "no whole number of blocks"},
		{"block no power of two", -1, filedev.Options{SizeBytes: 1536, BlockBytes: 768}, 0, "no whole number"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "disk")
			if c.have >= 0 {
				require.NoError(t, os.WriteFile(path, nil, 0o600))
				require.NoError(t, os.Truncate(path, c.have))
			}
			d, err := filedev.Open(path, c.options)
			if c.refused != "" {
				require.ErrorContains(t, err, c.refused)
				require.ErrorContains(t, err, path)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.size, d.Limits().SizeBytes)
			require.NoError(t, d.Close())
		})
	}
}

func TestOpen_refusesDirectory(t *testing.T) {
	_, err := filedev.Open(t.TempDir(), filedev.Options{ReadOnly: true})
	require.Error(t, err)
}

func TestOpen_exclusive(t *testing.T) {
	path := filepath.Join(t.TempDir(), "disk")
	first, err := filedev.Open(path, filedev.Options{SizeBytes: 512, Exclusive: true})
	require.NoError(t, err)
	_, err = filedev.Open(path, filedev.Options{Exclusive: true})
	require.ErrorContains(t, err, "another process uses it")
	_, err = filedev.Open(path, filedev.Options{Exclusive: true, ReadOnly: true})
	require.ErrorContains(t, err, "another process uses it")
	require.NoError(t, first.Close())
	readers := make([]*filedev.Device, 2)
	for i := range readers {
		readers[i], err = filedev.Open(path, filedev.Options{Exclusive: true, ReadOnly: true})
		require.NoError(t, err, "the lock ended with its device, and readers share theirs")
	}
	for _, r := range readers {
		require.NoError(t, r.Close())
	}
}

func TestReadOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "disk")
	require.NoError(t, os.WriteFile(path, make([]byte, 1024), 0o400))
	d, err := filedev.Open(path, filedev.Options{ReadOnly: true})
	require.NoError(t, err)
	require.ErrorIs(t, d.Write(t.Context(), make([]byte, 512), 0, 0), block.ErrReadOnly)
	require.ErrorIs(t, d.Zero(t.Context(), block.Range{Len: 512}, block.Unmap), block.ErrReadOnly)
	require.NoError(t, d.Read(t.Context(), make([]byte, 512), 512))
	require.NoError(t, d.Flush(t.Context()))
	require.NoError(t, d.Close())
}

func TestZero_unmapFreesSpace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "disk")
	d, err := filedev.Open(path, filedev.Options{SizeBytes: 1 << 20})
	require.NoError(t, err)
	defer func() { require.NoError(t, d.Close()) }()
	blocks := func() int64 {
		var st syscall.Stat_t
		require.NoError(t, syscall.Stat(path, &st))
		return st.Blocks
	}
	require.NoError(t, d.Write(t.Context(), make([]byte, 1<<20), 0, block.FUA))
	full := blocks()
	require.NoError(t, d.Zero(t.Context(), block.Range{Len: 1 << 19}, block.Unmap|block.FUA))
	require.Less(t, blocks(), full)
}

func TestContentsOutliveTheDevice(t *testing.T) {
	path := filepath.Join(t.TempDir(), "disk")
	d, err := filedev.Open(path, filedev.Options{SizeBytes: 1 << 20})
	require.NoError(t, err)
	require.NoError(t, d.Write(t.Context(), []byte{511: 5}, 512, 0))
	require.NoError(t, d.Close())
	d, err = filedev.Open(path, filedev.Options{})
	require.NoError(t, err)
	got := make([]byte, 512)
	require.NoError(t, d.Read(t.Context(), got, 512))
	require.Equal(t, []byte{511: 5}, got)
	require.NoError(t, d.Close())
}

// A file that is cut shorter under the device must fail reads, never make zeroes up.
func TestRead_truncatedBelow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "disk")
	d, err := filedev.Open(path, filedev.Options{SizeBytes: 1 << 20})
	require.NoError(t, err)
	defer func() { require.NoError(t, d.Close()) }()
	require.NoError(t, os.Truncate(path, 512))
	require.ErrorIs(t, d.Read(t.Context(), make([]byte, 1024), 0), block.ErrFailed)
}

func TestWrite_noSpace(t *testing.T) {
	d, err := filedev.Open("/dev/full", filedev.Options{SizeBytes: 512})
	if err == nil {
		require.NoError(t, d.Close())
	}
	require.ErrorContains(t, err, "/dev/full", "a character device is no disk")
}
