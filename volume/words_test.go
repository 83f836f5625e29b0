package volume

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{
		"4096": 4096, "4K": 4096, "512M": 512 << 20, "10g": 10 << 30, "64T": MaxSizeBytes, "0": 0,
	} {
		got, err := ParseSize(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for _, bad := range []string{"", "K", "-1", "1.5G", "65T", "10X", "9223372036854775807T", "1 G", "0x10"} {
		_, err := ParseSize(bad)
		require.Error(t, err, bad)
	}
}

func TestCheckSize_namesTheNextMultiple(t *testing.T) {
	require.NoError(t, CheckSize(4096))
	require.ErrorContains(t, CheckSize(5000), "8192")
	require.Error(t, CheckSize(0))
	require.Error(t, CheckSize(-4096))
	require.Error(t, CheckSize(MaxSizeBytes+BlockBytes))
}

func TestFormatSize(t *testing.T) {
	for bytes, want := range map[int64]string{0: "0 B", 4096: "4 KiB", 1 << 30: "1 GiB", 3 << 29: "1.5 GiB"} {
		require.Equal(t, want, FormatSize(bytes))
	}
}

func TestCheckName(t *testing.T) {
	for _, good := range []string{"a", "web1", "db.master-2", strings.Repeat("x", NameMax)} {
		require.NoError(t, CheckName("volume", good))
	}
	for _, bad := range []string{"", "Web", "-a", "a-", ".", "a/b", "a b", "ä", strings.Repeat("x", NameMax+1)} {
		require.ErrorContains(t, CheckName("volume", bad), "volume name", bad)
	}
}

func TestLayout(t *testing.T) {
	for text, want := range map[string]Layout{
		"mirror=1":              {KindMirror, 1, 0, 0},
		"mirror=3":              {KindMirror, 1, 2, 0},
		"parity=2+1":            {KindParity, 2, 1, 64 << 10},
		"parity=3+1":            {KindParity, 3, 1, 32 << 10},
		"parity=4+2":            {KindParity, 4, 2, 32 << 10},
		"parity=5+1":            {KindParity, 5, 1, 16 << 10},
		"parity=8+3":            {KindParity, 8, 3, 16 << 10},
		"parity=4+2,chunk=64K":  {KindParity, 4, 2, 64 << 10},
		"parity=8+3,chunk=1M":   {KindParity, 8, 3, 1 << 20},
		"parity=2+1,chunk=4K":   {KindParity, 2, 1, 4096},
		"parity=2+1,chunk=128K": {KindParity, 2, 1, 128 << 10},
	} {
		got, err := ParseLayout(text)
		require.NoError(t, err)
		require.Equal(t, want, got)
		require.Equal(t, text, got.String())
	}
	require.Equal(t, 6, Parity(4, 2).Legs())
	require.Equal(t, 4, Parity(4, 2).Quorum())
	require.Equal(t, 1, Mirror(3).Quorum())
	for _, bad := range []string{
		"", "mirror", "mirror=0", "mirror=9", "raid=5", "parity=4", "parity=1+1", "parity=4+0", "mirror=2 ",
		"parity=9+1", "parity=2+4", "mirror=2,chunk=64K", "parity=4+2,chunk=", "parity=4+2,chunk=0",
		"parity=4+2,chunk=2K", "parity=4+2,chunk=2M", "parity=4+2,chunk=96K", "parity=4+2,chunk=-64K",
		"parity=4+2,", "parity=4+2,chunk=64K,",
	} {
		_, err := ParseLayout(bad)
		require.Error(t, err, bad)
	}
}

func TestVersions_carryTheRestoreGeneration(t *testing.T) {
	require.Equal(t, "7", (FirstEpoch(0) + 7).String())
	require.Equal(t, "2.7", (FirstEpoch(2) + 7).String())
	require.Greater(t, FirstEpoch(1), FirstEpoch(0)+1<<31)
	require.Equal(t, "1.1", (FirstCfgVer(1) + 1).String())
}
