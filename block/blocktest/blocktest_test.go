package blocktest_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/block/blocktest"
	"github.com/holdfast-storage/holdfast/block/memdev"
)

func newMem(t *testing.T) block.Device {
	d, err := memdev.New(memdev.Options{SizeBytes: 2 << 20})
	require.NoError(t, err)
	return d
}

func TestSuite_stackedDevicesAreTransparent(t *testing.T) {
	none := func(block.Op, block.Range) time.Duration { return 0 }
	t.Run("faulty", func(t *testing.T) {
		blocktest.Run(t, func(t *testing.T) block.Device { return blocktest.NewFaulty(newMem(t)) })
	})
	t.Run("slow", func(t *testing.T) {
		blocktest.Run(t, func(t *testing.T) block.Device { return blocktest.NewSlow(newMem(t), none) })
	})
	t.Run("crash", func(t *testing.T) {
		blocktest.Run(t, func(t *testing.T) block.Device { return blocktest.NewCrash(newMem(t)) })
	})
}

func TestFaulty_countsAndSwitches(t *testing.T) {
	ctx, p := t.Context(), make([]byte, 512)
	f := blocktest.NewFaulty(newMem(t))
	second := f.Arm(blocktest.Fault{Op: block.OpWrite, Nth: 2, Err: block.ErrNoSpace})
	bad := f.Arm(blocktest.Fault{Range: block.Range{Off: 4096, Len: 512}, Err: block.ErrMedium})
	require.NoError(t, f.Write(ctx, p, 0, 0))
	require.NoError(t, f.Read(ctx, p, 0), "a read does not count as a write")
	require.ErrorIs(t, f.Write(ctx, p, 0, 0), block.ErrNoSpace)
	require.NoError(t, f.Write(ctx, p, 0, 0))
	require.Equal(t, 1, second.Struck())

	require.ErrorIs(t, f.Read(ctx, make([]byte, 1024), 3584), block.ErrMedium)
	require.NoError(t, f.Read(ctx, p, 3584))
	bad.Switch(false)
	require.NoError(t, f.Read(ctx, p, 4096))
	require.Equal(t, 1, bad.Struck())
}

func TestFaulty_lostAnswer(t *testing.T) {
	f := blocktest.NewFaulty(newMem(t))
	f.Arm(blocktest.Fault{Op: block.OpWrite, Nth: 1, Err: block.ErrUnreachable, After: true})
	want := bytes.Repeat([]byte{3}, 512)
	require.ErrorIs(t, f.Write(t.Context(), want, 0, 0), block.ErrUnreachable)
	got := make([]byte, 512)
	require.NoError(t, f.Read(t.Context(), got, 0))
	require.Equal(t, want, got, "the write landed although its answer was lost")
}

func TestSlow_waitsExactlyAndGivesUpWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := blocktest.NewSlow(newMem(t), func(op block.Op, _ block.Range) time.Duration {
			return time.Duration(op) * time.Second
		})
		start := time.Now()
		require.NoError(t, s.Write(t.Context(), make([]byte, 512), 0, 0))
		require.Equal(t, time.Duration(block.OpWrite)*time.Second, time.Since(start))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		require.ErrorIs(t, s.Read(ctx, make([]byte, 512), 0), context.DeadlineExceeded)
	})
}

// After a power cut every sector holds its flushed value or one written since, a flushed value
// never goes away, and both kinds of outcome happen.
func TestCrash_powerCut(t *testing.T) {
	ctx := t.Context()
	kept, lost, middle := 0, 0, 0
	for seed := range uint64(50) {
		c := blocktest.NewCrash(newMem(t))
		sector := func(v byte) []byte { return bytes.Repeat([]byte{v}, blocktest.SectorBytes) }
		require.NoError(t, c.Write(ctx, sector(1), 0, 0))
		require.NoError(t, c.Flush(ctx))
		require.NoError(t, c.Write(ctx, sector(9), 512, block.FUA))
		require.NoError(t, c.Write(ctx, sector(2), 0, 0))
		require.NoError(t, c.Write(ctx, sector(3), 0, 0))
		require.Equal(t, 1, c.Unflushed())
		require.NoError(t, c.PowerCut(rand.New(rand.NewPCG(seed, 0))))
		require.Zero(t, c.Unflushed())

		got := make([]byte, 1024)
		require.NoError(t, c.Read(ctx, got, 0))
		require.Equal(t, sector(9), got[512:], "FUA survives")
		require.Equal(t, sector(got[0]), got[:512], "a sector is never torn")
		switch got[0] {
		case 1:
			lost++
		case 2:
			middle++
		case 3:
			kept++
		default:
			t.Fatalf("seed %d: a value that was never written: %d", seed, got[0])
		}
	}
	require.Positive(t, kept)
	require.Positive(t, lost)
	require.Positive(t, middle)
}

func TestCrash_fuaDropsOlderValues(t *testing.T) {
	for seed := range uint64(20) {
		c := blocktest.NewCrash(newMem(t))
		require.NoError(t, c.Write(t.Context(), bytes.Repeat([]byte{1}, 512), 0, 0))
		require.NoError(t, c.Write(t.Context(), bytes.Repeat([]byte{2}, 512), 0, block.FUA))
		require.NoError(t, c.PowerCut(rand.New(rand.NewPCG(seed, 0))))
		got := make([]byte, 1)
		require.ErrorIs(t, c.Read(t.Context(), got, 0), block.ErrMisaligned)
		got = make([]byte, 512)
		require.NoError(t, c.Read(t.Context(), got, 0))
		require.Equal(t, byte(2), got[0])
	}
}
