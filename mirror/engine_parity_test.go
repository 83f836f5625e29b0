package mirror

import (
	"bytes"
	"context"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/parity"
	"github.com/holdfast-storage/holdfast/volume"
)

// smallSet is a layout of parity with chunks of 8 KiB, so that requests touch many of them.
func smallSet(k, m int) volume.Layout {
	l := volume.Parity(k, m)
	l.Chunk = 8 << 10
	return l
}

// requireCodeWords checks that every stripe's parity is that of its data, and that the data is want.
func (r *rig) requireCodeWords(l volume.Layout, want []byte) {
	r.t.Helper()
	geo, err := parity.NewGeometry(l, testSize)
	require.NoError(r.t, err)
	code, err := parity.NewCode(l)
	require.NoError(r.t, err)
	for stripe := range geo.Stripes() {
		chunks := make([][]byte, l.Legs())
		rows := geo.OnLeg(stripe)
		for slot, leg := range r.legs {
			chunks[geo.Chunk(stripe, slot)] = leg.bytes()[rows.Off:rows.End()]
		}
		good, err := code.Verify(chunks)
		require.NoError(r.t, err)
		require.True(r.t, good, "stripe %d is no code word", stripe)
		all := geo.Stripe(stripe)
		for c := range l.Data {
			at := block.Range{Off: all.Off + int64(c)*l.Chunk, Len: l.Chunk}.Intersect(block.Range{Len: testSize})
			require.True(r.t, bytes.Equal(want[at.Off:at.End()], chunks[c][:at.Len]), "stripe %d chunk %d", stripe, c)
		}
	}
}

// TestEngine_parityKeepsWhatIsWritten: requests of all sizes and ends, with all legs, without as many as the layout
// bears, and with all of them again.
func TestEngine_parityKeepsWhatIsWritten(t *testing.T) {
	for _, l := range []volume.Layout{smallSet(2, 1), smallSet(4, 2), smallSet(8, 3)} {
		t.Run(l.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { keepsWhatIsWritten(t, l) })
		})
	}
}

func keepsWhatIsWritten(t *testing.T, l volume.Layout) {
	r := newRigOf(t, l, l.Legs(), l.Legs()).attach()
	require.False(t, r.engine.Limits().CanUnmap, "zeroes are written, and give nothing back")
	ctx, want := context.Background(), make([]byte, testSize)
	rng := rand.New(rand.NewPCG(1, 2))
	step := uint64(0)
	some := func() {
		for range 60 {
			step++
			off := rng.Int64N(testSize/512) * 512
			n := min((1+rng.Int64N(200))*512, testSize-off)
			switch rng.IntN(5) {
			case 0:
				require.NoError(t, r.device.Zero(ctx, block.Range{Off: off, Len: n}, block.Unmap))
				clear(want[off : off+n])
			case 1: // whole stripes
				off = off / l.StripeBytes() * l.StripeBytes()
				n = min(2*l.StripeBytes(), testSize-off)
				fallthrough
			default:
				p := pattern(step, int(n))
				require.NoError(t, r.device.Write(ctx, p, off, block.Flags(rng.IntN(2))*block.FUA))
				copy(want[off:], p)
			}
			off = rng.Int64N(testSize/512) * 512
			got := make([]byte, min((1+rng.Int64N(200))*512, testSize-off))
			require.NoError(t, r.device.Read(ctx, got, off))
			require.True(t, bytes.Equal(want[off:off+int64(len(got))], got), "step %d: at %d", step, off)
		}
	}
	some()
	r.requireCodeWords(l, want)
	lost := r.legs[1 : 1+l.Extra]
	for _, leg := range lost {
		leg.set(func(leg *memLeg) { leg.reach = false })
	}
	some()
	for _, leg := range lost {
		leg.set(func(leg *memLeg) { leg.reach = true })
	}
	some()
	r.inSync(l.Legs())
	some()
	time.Sleep(time.Second) // virtual: what is under way ends
	r.requireCodeWords(l, want)
	require.NoError(t, r.device.Flush(ctx))
	clean, err := r.engine.Detach(ctx)
	require.NoError(t, err)
	require.True(t, clean)
	for i, leg := range r.legs {
		require.Zero(t, leg.marked, "leg %d keeps marks after a clean detach", i)
	}
}
