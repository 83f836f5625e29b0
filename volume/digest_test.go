package volume

import (
	"crypto/sha256"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDigest(t *testing.T) {
	d := DigestOf(sha256.Sum256(nil))
	require.NoError(t, d.Check())
	require.Equal(t, Digest("sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"), d)
	require.Equal(t, "sha256:e3b0c44298fc", d.Short())
	require.Equal(t, strings.TrimPrefix(string(d), "sha256:"), d.Hex())
	for _, bad := range []Digest{"", "sha256:", d[7:], d[:len(d)-1], d + "0", Digest(strings.ToUpper(string(d))),
		"sha256:../../../../../etc/passwd", "sha256:" + Digest(strings.Repeat("g", 64)),
		"sha256:" + Digest(strings.Repeat("A", 64))} {
		require.Error(t, bad.Check(), bad)
		require.Empty(t, bad.Hex())
	}
}
