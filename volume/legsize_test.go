package volume

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLayout_legBytes(t *testing.T) {
	const k = 1 << 10
	for _, c := range []struct {
		layout     string
		size, want int64
	}{
		{"mirror=1", 4096, 4096},
		{"mirror=3", 10 << 30, 10 << 30},
		{"parity=2+1", 4096, 64 * k},         // the last stripe is whole
		{"parity=2+1", 128 * k, 64 * k},      // one stripe
		{"parity=2+1", 132 * k, 128 * k},     // one block more
		{"parity=4+2", 1 << 30, 256 << 20},   // 8192 whole stripes
		{"parity=3+1", 1 << 30, 349536 * k},  // 10922⅔ stripes are 10923
		{"parity=8+3,chunk=4K", 36864, 8192}, // 9 blocks on 8 legs
		{"parity=8+3,chunk=1M", MaxSizeBytes, MaxSizeBytes / 8},
		{"mirror=2", 0, 0}, {"parity=2+1", 0, 0},
	} {
		l, err := ParseLayout(c.layout)
		require.NoError(t, err)
		require.Equal(t, c.want, l.LegBytes(c.size), "%s of %d bytes", c.layout, c.size)
	}
	require.Equal(t, int64(4096), Layout{}.LegBytes(4096), "a layout that is not known divides nothing")
}

// TestLayout_legBytesHoldsTheVolume: the data legs together have room for the volume, in whole chunks, and not
// for a stripe more.
func TestLayout_legBytesHoldsTheVolume(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		l := Layout{Kind: KindParity, Data: 2 + rng.IntN(MaxDataLegs-1), Extra: 1 + rng.IntN(MaxParityLegs),
			Chunk: MinChunkBytes << rng.IntN(9)}
		require.NoError(t, l.Check())
		size := (1 + rng.Int64N(MaxSizeBytes/BlockBytes>>rng.IntN(30))) * BlockBytes
		leg := l.LegBytes(size)
		require.Zero(t, leg%l.Chunk, "%s of %d bytes", l, size)
		require.GreaterOrEqual(t, leg*int64(l.Data), size, "%s of %d bytes", l, size)
		require.Less(t, leg*int64(l.Data)-size, l.StripeBytes(), "%s of %d bytes", l, size)
	}
}

func TestLayout_check(t *testing.T) {
	for name, bad := range map[string]Layout{
		"none":              {},
		"two data legs":     {Kind: KindMirror, Data: 2, Extra: 1},
		"too many copies":   {Kind: KindMirror, Data: 1, Extra: 8},
		"negative":          {Kind: KindMirror, Data: 1, Extra: -1},
		"chunks of mirrors": {Kind: KindMirror, Data: 1, Extra: 1, Chunk: 4096},
		"no chunk":          {Kind: KindParity, Data: 4, Extra: 2},
		"negative chunk":    {Kind: KindParity, Data: 4, Extra: 2, Chunk: -4096},
		"odd chunk":         {Kind: KindParity, Data: 4, Extra: 2, Chunk: 12288},
		"unknown":           {Kind: "spiral", Data: 4, Extra: 2, Chunk: 4096},
	} {
		require.Error(t, bad.Check(), name)
	}
}
