package volume

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSizeText_isReadAgain(t *testing.T) {
	for bytes, want := range map[int64]string{0: "0", 1: "1", 4096: "4K", 4097: "4097", 1536 << 20: "1536M",
		3 << 30: "3G", MaxSizeBytes: "64T"} {
		require.Equal(t, want, SizeText(bytes))
		read, err := ParseSize(want)
		require.NoError(t, err)
		require.Equal(t, bytes, read)
	}
}
