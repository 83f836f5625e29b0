package node

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/volume"
)

func TestDataDir_format(t *testing.T) {
	dir, id := t.TempDir(), volume.NewNodeID()
	open := func() error {
		d, err := openDataDir(dir, id)
		if err == nil {
			err = d.Close()
		}
		return err
	}
	require.NoError(t, open())
	path := filepath.Join(dir, "format")
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "1\n", string(text))
	require.NoError(t, os.Remove(path))
	require.NoError(t, open(), "a directory of the first release")
	require.NoError(t, os.WriteFile(path, []byte("2\n"), 0o600))
	require.ErrorContains(t, open(), "has format 2, this release knows 1")
	require.NoError(t, os.WriteFile(path, []byte("x"), 0o600))
	require.ErrorContains(t, open(), "is damaged")
}

// Every format has one line, and reads what it writes.
func TestVersions(t *testing.T) {
	seen := map[string]bool{}
	for _, v := range Versions() {
		require.False(t, seen[v.Name], v.Name)
		seen[v.Name] = true
		require.Positive(t, v.Oldest, v.Name)
		require.GreaterOrEqual(t, v.Newest, v.Oldest, v.Name)
	}
}
