package debian

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDependency(t *testing.T) {
	name, err := dependency("linux-image-cloud-amd64", "Package: linux-image-cloud-amd64\nVersion: 6.1.1\n"+
		"Depends: linux-image-6.1.0-9-cloud-amd64 (= 6.1.1)\nDescription: x\n")
	require.NoError(t, err)
	require.Equal(t, "linux-image-6.1.0-9-cloud-amd64", name)
	_, err = dependency("linux-image-cloud-amd64", "Package: linux-image-cloud-amd64\n")
	require.ErrorContains(t, err, "no kernel")
}

func TestFind(t *testing.T) {
	root := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(root, "b"), nil, 0o600))
	path, err := Find(root, "a", "b")
	require.NoError(t, err)
	require.Equal(t, filepath.Join(root, "b"), path)
	_, err = Find(root, "a", "c")
	require.ErrorContains(t, err, "none of a, c")
}
