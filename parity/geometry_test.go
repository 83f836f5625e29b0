package parity_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/parity"
	"github.com/holdfast-storage/holdfast/volume"
)

// eachLayout visits every layout of parity.
func eachLayout(visit func(l volume.Layout)) {
	for k := 2; k <= volume.MaxDataLegs; k++ {
		for m := 1; m <= volume.MaxParityLegs; m++ {
			visit(volume.Parity(k, m))
		}
	}
}

func geometry(t testing.TB, l volume.Layout, size int64) parity.Geometry {
	t.Helper()
	g, err := parity.NewGeometry(l, size)
	require.NoError(t, err)
	return g
}

// The places are on disks: they never change. This is the table of the package comment.
func TestGeometry_places(t *testing.T) {
	for layout, want := range map[string]string{
		"parity=2+1": "D0 D1 P / D3 P D2 / P D4 D5 / D6 D7 P",
		"parity=4+2": "D0 D1 D2 D3 P Q / D6 D7 P Q D4 D5 / P Q D8 D9 D10 D11 / D12 D13 D14 D15 P Q",
		"parity=3+2": "D0 D1 D2 P Q / D5 P Q D3 D4 / Q D6 D7 D8 P / D10 D11 P Q D9 / P Q D12 D13 D14 / D15 D16 D17 P Q",
		"parity=2+3": "D0 D1 P Q R / Q R D2 D3 P / D5 P Q R D4 / R D6 D7 P Q / P Q R D8 D9",
	} {
		l, err := volume.ParseLayout(layout)
		require.NoError(t, err)
		g := geometry(t, l, 1<<30)
		var rows []string
		for stripe := range int64(strings.Count(want, "/") + 1) {
			var row []string
			for slot := range l.Legs() {
				c := g.Chunk(stripe, slot)
				if g.IsParity(c) {
					row = append(row, string("PQR"[c-l.Data]))
					continue
				}
				row = append(row, fmt.Sprintf("D%d", stripe*int64(l.Data)+int64(c)))
			}
			rows = append(rows, strings.Join(row, " "))
		}
		require.Equal(t, want, strings.Join(rows, " / "), layout)
	}
}

// Each chunk of a stripe has a leg of its own, and is found again there.
func TestGeometry_slotsAreABijection(t *testing.T) {
	eachLayout(func(l volume.Layout) {
		g := geometry(t, l, 1<<40)
		for _, first := range []int64{0, g.Stripes() - 100} {
			for stripe := first; stripe < first+100; stripe++ {
				seen := make([]bool, l.Legs())
				for chunk := range l.Legs() {
					slot := g.Slot(stripe, chunk)
					require.False(t, seen[slot], "%s stripe %d: two chunks on slot %d", l, stripe, slot)
					seen[slot] = true
					require.Equal(t, chunk, g.Chunk(stripe, slot), "%s stripe %d", l, stripe)
				}
			}
		}
	})
}

// Parity lies on each leg equally often, and the next chunk of the volume on the next leg that has data.
func TestGeometry_everyLegIsUsedAlike(t *testing.T) {
	eachLayout(func(l volume.Layout) {
		n := l.Legs()
		g := geometry(t, l, 1<<40)
		parityOn := make([]int, n)
		last := n - 1
		for stripe := range int64(n) {
			for c := l.Data; c < n; c++ {
				parityOn[g.Slot(stripe, c)]++
			}
			for c := range l.Data {
				slot := g.Slot(stripe, c)
				require.Equal(t, (last+1)%n, slot, "%s stripe %d chunk %d: read in order, legs follow each other",
					l, stripe, c)
				last = slot
			}
			if stripe == 0 {
				require.Equal(t, l.Data-1, last)
			}
		}
		for slot, count := range parityOn {
			require.Equal(t, l.Extra, count, "%s: slot %d has parity", l, slot)
		}
	})
}

// Every byte of the volume has one place, and every byte of a leg is that of the volume, parity, or behind the
// volume's end: looked at block by block, for volumes of all sizes around some stripes.
func TestGeometry_legsAndVolumeAreOneToOne(t *testing.T) {
	eachLayout(func(l volume.Layout) {
		l.Chunk = 8192
		for blocks := int64(1); blocks <= 3*l.StripeBytes()/volume.BlockBytes+1; blocks++ {
			size := blocks * volume.BlockBytes
			g := geometry(t, l, size)
			require.Equal(t, l.LegBytes(size), g.Stripes()*l.Chunk, "%s of %d bytes", l, size)
			found := make(map[int64]bool)
			for slot := range l.Legs() {
				for off := int64(0); off < l.LegBytes(size); off += volume.BlockBytes {
					at, ok := g.Volume(slot, off)
					if !ok {
						continue
					}
					require.False(t, found[at], "%s of %d bytes: byte %d is twice", l, size, at)
					found[at] = true
					p := g.Pieces(nil, block.Range{Off: at, Len: volume.BlockBytes})
					require.Len(t, p, 1)
					require.Equal(t, []int64{int64(slot), off}, []int64{int64(p[0].Slot), p[0].Off})
				}
			}
			require.Len(t, found, int(blocks), "%s of %d bytes", l, size)
		}
	})
}

// checkRange holds what is always so of a range that is taken apart.
func checkRange(t *testing.T, l volume.Layout, size int64, r block.Range) {
	t.Helper()
	g := geometry(t, l, size)
	at := r.Off
	for _, p := range g.Pieces(nil, r) {
		require.Equal(t, at, p.Range.Off, "%s: no byte is left out or taken twice", r)
		require.Positive(t, p.Range.Len)
		at = p.Range.End()
		require.Equal(t, p.Slot, g.Slot(p.Stripe, p.Chunk))
		require.False(t, g.IsParity(p.Chunk))
		require.True(t, p.OnLeg().Within(l.LegBytes(size)), "%s ends up behind the leg's end: %+v", r, p)
		require.Equal(t, p.Stripe, g.StripeOnLeg(p.Off))
		require.Equal(t, p.Stripe, g.StripeOnLeg(p.OnLeg().End()-1), "a piece is of one stripe")
		require.Equal(t, p.OnLeg(), p.OnLeg().Intersect(g.OnLeg(p.Stripe)))
		for _, off := range []int64{0, p.Range.Len - 1} {
			back, ok := g.Volume(p.Slot, p.Off+off)
			require.True(t, ok)
			require.Equal(t, p.Range.Off+off, back)
		}
	}
	require.Equal(t, max(r.Off, r.End()), at)

	at = r.Off
	for _, p := range g.Parts(nil, r) {
		require.Equal(t, at, p.Range.Off)
		at = p.Range.End()
		require.Equal(t, p.Range, p.Range.Intersect(g.Stripe(p.Stripe)))
		require.Equal(t, p.Range == g.Stripe(p.Stripe), p.Full)
	}
	require.Equal(t, max(r.Off, r.End()), at)
}

func TestGeometry_ranges(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	for range 3000 {
		l := volume.Parity(2+rng.IntN(volume.MaxDataLegs-1), 1+rng.IntN(volume.MaxParityLegs))
		l.Chunk = volume.MinChunkBytes << rng.IntN(9)
		size := (1 + rng.Int64N(10*l.StripeBytes()/volume.BlockBytes)) * volume.BlockBytes
		off := rng.Int64N(size)
		checkRange(t, l, size, block.Range{Off: off, Len: rng.Int64N(size - off + 1)})
		checkRange(t, l, size, block.Range{Len: size})
	}
}

// TestGeometry_fullStripes: a write of the volume's last bytes is of a full stripe, although the stripe is longer.
func TestGeometry_fullStripes(t *testing.T) {
	l := volume.Parity(2, 1)
	stripe := l.StripeBytes()
	g := geometry(t, l, 2*stripe+4096)
	for r, want := range map[block.Range][]bool{
		{}:                                   nil,
		{Len: stripe}:                        {true},
		{Len: stripe - 512}:                  {false},
		{Off: 512, Len: stripe}:              {false, false},
		{Off: 512, Len: 2*stripe + 3584}:     {false, true, true},
		{Off: 2 * stripe, Len: 4096}:         {true},
		{Off: 2 * stripe, Len: 3584}:         {false},
		{Off: stripe, Len: stripe + 512}:     {true, false},
		{Off: 2*stripe + 512, Len: 4096 / 2}: {false},
	} {
		var got []bool
		for _, p := range g.Parts(nil, r) {
			got = append(got, p.Full)
		}
		require.Equal(t, want, got, "%s", r)
	}
}

func TestNewGeometry_refuses(t *testing.T) {
	_, err := parity.NewGeometry(volume.Mirror(2), 1<<20)
	require.ErrorContains(t, err, "mirror=2 has no stripes")
	_, err = parity.NewGeometry(volume.Layout{Kind: volume.KindParity, Data: 2, Extra: 1}, 1<<20)
	require.ErrorContains(t, err, "power of two")
	_, err = parity.NewGeometry(volume.Parity(2, 1), 4097)
	require.ErrorContains(t, err, "no multiple of the block")
}

func FuzzGeometry(f *testing.F) {
	f.Add(uint8(2), uint8(1), uint8(4), int64(100), int64(3), int64(70000))
	f.Add(uint8(8), uint8(3), uint8(8), int64(1<<34), int64(1<<45), int64(10<<20))
	f.Fuzz(func(t *testing.T, k, m, log uint8, blocks, off, length int64) {
		l := volume.Parity(int(k), int(m))
		l.Chunk = volume.MinChunkBytes << (log % 16)
		if l.Check() != nil || volume.CheckSize(blocks<<12>>12<<12) != nil || blocks > volume.MaxSizeBytes>>12 {
			return
		}
		r := block.Range{Off: off, Len: min(length, 1<<20)} // the number of pieces is bounded, not the place
		if r.Within(blocks << 12) {
			checkRange(t, l, blocks<<12, r)
		}
	})
}

func BenchmarkPieces(b *testing.B) {
	g := geometry(b, volume.Parity(4, 2), 1<<40)
	var pieces []parity.Piece
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		pieces = g.Pieces(pieces[:0], block.Range{Off: int64(i%1000) * 4096, Len: 128 << 10})
	}
}
