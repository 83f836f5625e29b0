package mirror

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
)

// A whole stripe is what is written without reading anything, which is all that mends one that cannot be read. The
// last stripe is one, too, however little of the volume it has.
func TestPiece(t *testing.T) {
	const k = 1 << 10
	l := smallSet(2, 1) // stripes of 16 KiB
	const size = 52 * k // the last stripe has 4 KiB
	for _, c := range []struct {
		off, len    int64
		changes     bool
		want, bytes int64
	}{
		{0, 40 * k, true, 16 * k, 16 * k},
		{0, 40 * k, false, 8 * k, 8 * k},
		{4 * k, 40 * k, true, 4 * k, 4 * k},
		{0, 12 * k, true, 8 * k, 8 * k},
		{32 * k, 20 * k, true, 16 * k, 16 * k},
		{48 * k, 4 * k, true, 4 * k, 16 * k},
		{48 * k, 4 * k, false, 4 * k, 16 * k},
		{48*k + 512, 4*k - 512, true, 4*k - 512, 4 * k},
		{48 * k, 512, true, 512, 4 * k},
	} {
		p := piece(l, size, block.Range{Off: c.off, Len: c.len}, c.changes)
		require.Equal(t, block.Range{Off: c.off, Len: c.want}, p, "%+v", c)
		if c.changes {
			require.Equal(t, c.bytes, payloadBytes(l, size, p), "%+v", c)
		}
	}
}
