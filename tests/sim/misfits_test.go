package sim

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/mirror"
	"github.com/holdfast-storage/holdfast/volume"
)

// TestVerify_seesARowThatIsWrong: what an engine asks its runner, whether rows of all legs fit together, is answered of
// every row, though the question names no range.
func TestVerify_seesARowThatIsWrong(t *testing.T) {
	l := volume.Parity(2, 1)
	set, err := newParitySet(l, 2*8*blockBytes)
	require.NoError(t, err)
	stripe := []content{{1, 1}, {2, 2}, {3, 3}, {4}, {5}, {6}} // three rows of each chunk of data
	chunks := [][]byte{bytesOf(stripe[:3]), bytesOf(stripe[3:]), make([]byte, 3*4*sectors)}
	require.NoError(t, set.code.Encode(chunks))
	for row := -1; row < 3; row++ {
		parts := make([]mirror.Handle, len(chunks))
		for n, chunk := range chunks {
			blocks := blocksFrom(chunk)
			if n == 1 && row >= 0 {
				blocks[row][7] ^= 1
			}
			parts[n] = &payload{blocks: blocks}
		}
		bad, err := set.misfits(&world{}, &mirror.Effect{Kind: mirror.EffectVerify, Parts: parts})
		require.NoError(t, err)
		if row < 0 {
			require.Empty(t, bad)
			continue
		}
		require.Equal(t, []uint32{uint32(row)}, bad)
	}
}
