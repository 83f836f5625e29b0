package apply

import (
	"crypto/sha256"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/site"
	"github.com/holdfast-storage/holdfast/volume"
)

// A version is added from its file, if that is what the site says; one whose file is not here waits for somebody.
func TestRun_images(t *testing.T) {
	s, f := one()
	file := filepath.Join(t.TempDir(), "root")
	require.NoError(t, os.WriteFile(file, []byte("root"), 0o600))
	s.Images = []site.Image{{Name: "debian", Version: 3, File: file, Comment: "c",
		Digest: volume.DigestOf(sha256.Sum256([]byte("root")))},
		{Name: "debian", Version: 4, File: file + "4", Digest: volume.DigestOf(sha256.Sum256([]byte("4")))}}
	result, err := Run(t.Context(), Options{Site: s, Client: f})
	require.NoError(t, err)
	require.Contains(t, f.calls, "add image debian@3")
	require.NotContains(t, f.calls, "add image debian@4")
	require.Equal(t, "c", f.images[0].Versions[0].Comment)
	require.EqualValues(t, 4, f.images[0].Versions[0].SizeBytes)
	require.Len(t, result.Left.Held(), 1)
	require.Contains(t, result.Left.Held()[0].Held, "--number 4")

	require.NoError(t, os.WriteFile(file+"4", []byte("other"), 0o600))
	_, err = Run(t.Context(), Options{Site: s, Client: f})
	require.ErrorContains(t, err, "the site says "+string(s.Images[1].Digest))
	require.Len(t, f.images, 1)
}
