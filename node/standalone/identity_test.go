package standalone

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block/filedev"
)

func identityOf(t *testing.T, l LUN) string {
	t.Helper()
	d, err := filedev.Open(l.Path, filedev.Options{SizeBytes: 4096, ReadOnly: l.ReadOnly})
	require.NoError(t, err)
	defer func() { require.NoError(t, d.Close()) }()
	id, err := identify(l, d)
	require.NoError(t, err)
	return id
}

func TestIdentify_isOfTheFileAndNotOfItsName(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	first := identityOf(t, LUN{Path: path})
	require.Equal(t, first, identityOf(t, LUN{Path: path}))
	require.Equal(t, first, identityOf(t, LUN{Path: path, ReadOnly: true}))
	require.Equal(t, "mine", identityOf(t, LUN{Path: path, Serial: "mine"}))
	require.NoError(t, os.Rename(path, path+".old"))
	require.NotEqual(t, first, identityOf(t, LUN{Path: path}), "another file under the same name")
}

func TestDerivedIdentity_anotherFileIsAnother(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	first, err := derivedIdentity(path)
	require.NoError(t, err)
	require.NoError(t, os.Rename(path, path+".old"))
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	second, err := derivedIdentity(path)
	require.NoError(t, err)
	require.NotEqual(t, first, second)
}
