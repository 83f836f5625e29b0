package durable

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWriteFile_replacesWholeAndLeavesNothingElse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fact")
	require.NoError(t, WriteFile(path, []byte("a longer first content"), 0o600))
	require.NoError(t, WriteFile(path, []byte("second"), 0o640))

	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "second", string(text))
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o640), info.Mode().Perm())
	requireOnly(t, filepath.Dir(path), "fact")
}

func TestCreateFile_neverReplaces(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	require.NoError(t, CreateFile(path, []byte("first"), 0o600))
	require.ErrorIs(t, CreateFile(path, []byte("second"), 0o600), fs.ErrExist)

	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "first", string(text))
	requireOnly(t, filepath.Dir(path), "key")
}

func TestWriteFile_missingDirectoryIsAnError(t *testing.T) {
	require.ErrorIs(t, WriteFile(filepath.Join(t.TempDir(), "no", "fact"), nil, 0o600), fs.ErrNotExist)
}

func requireOnly(t *testing.T, dir, name string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1)
	require.Equal(t, name, entries[0].Name())
}
