package blocktest

import (
	"bytes"
	"context"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
)

// Run holds a device against the contract of package block. The open function returns a fresh,
// writable device of at least 1 MiB that reads as zeroes; the suite closes it.
func Run(t *testing.T, open func(t *testing.T) block.Device) {
	for _, c := range []struct {
		name string
		run  func(t *testing.T, d block.Device)
	}{
		{"limits make sense", checkLimits},
		{"a fresh device reads as zeroes", checkFresh},
		{"what was written is read, at both ends", checkEnds},
		{"the caller's buffer is its own again", checkBufferOwnership},
		{"a request outside the device changes nothing", checkOutside},
		{"a misaligned request changes nothing", checkMisaligned},
		{"an empty request is well formed", checkEmpty},
		{"zero clears its range and no more", checkZero},
		{"an ended context is refused", checkContext},
		{"random requests agree with a model", checkModel},
		{"many callers at once", checkParallel},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := open(t)
			c.run(t, d)
			require.NoError(t, d.Flush(t.Context()))
			require.NoError(t, d.Close())
		})
	}
	t.Run("requests after close end with ErrClosed", func(t *testing.T) { checkClosed(t, open(t)) })
}

func checkLimits(t *testing.T, d block.Device) {
	l := d.Limits()
	require.Equal(t, l, d.Limits(), "limits do not change")
	require.Positive(t, l.BlockBytes)
	require.Zero(t, l.BlockBytes&(l.BlockBytes-1), "a block is a power of two")
	require.GreaterOrEqual(t, l.SizeBytes, int64(1<<20))
	require.Zero(t, l.SizeBytes%l.BlockBytes)
	require.GreaterOrEqual(t, l.MaxBytes, l.BlockBytes)
	require.False(t, l.ReadOnly)
}

func checkFresh(t *testing.T, d block.Device) {
	got := bytes.Repeat([]byte{0xff}, 1<<16)
	require.NoError(t, d.Read(t.Context(), got, 0))
	require.Equal(t, make([]byte, 1<<16), got)
}

func checkEnds(t *testing.T, d block.Device) {
	l := d.Limits()
	for _, off := range []int64{0, l.SizeBytes - l.BlockBytes} {
		for _, flags := range []block.Flags{0, block.FUA} {
			want := bytes.Repeat([]byte{byte(off>>8) + 1 + byte(flags)}, int(l.BlockBytes))
			require.NoError(t, d.Write(t.Context(), want, off, flags))
			require.Equal(t, want, read(t, d, off, l.BlockBytes))
		}
	}
}

func checkBufferOwnership(t *testing.T, d block.Device) {
	n := d.Limits().BlockBytes
	p := bytes.Repeat([]byte{1}, int(n))
	require.NoError(t, d.Write(t.Context(), p, 0, 0))
	for i := range p {
		p[i] = 2
	}
	require.Equal(t, bytes.Repeat([]byte{1}, int(n)), read(t, d, 0, n))
}

func checkOutside(t *testing.T, d block.Device) {
	l := d.Limits()
	two := make([]byte, 2*l.BlockBytes)
	for _, off := range []int64{l.SizeBytes, l.SizeBytes - l.BlockBytes, -l.BlockBytes, 1 << 62} {
		require.ErrorIs(t, d.Read(t.Context(), two, off), block.ErrOutOfRange, "read at %d", off)
		require.ErrorIs(t, d.Write(t.Context(), bytes.Repeat([]byte{9}, len(two)), off, 0),
			block.ErrOutOfRange, "write at %d", off)
		require.ErrorIs(t, d.Zero(t.Context(), block.Range{Off: off, Len: int64(len(two))}, 0),
			block.ErrOutOfRange, "zero at %d", off)
	}
	require.Equal(t, make([]byte, l.BlockBytes), read(t, d, l.SizeBytes-l.BlockBytes, l.BlockBytes))
}

func checkMisaligned(t *testing.T, d block.Device) {
	n := d.Limits().BlockBytes
	if n == 1 {
		t.Skip("every request is aligned")
	}
	for _, r := range []block.Range{{Off: 1, Len: n}, {Off: 0, Len: n - 1}, {Off: n / 2, Len: n / 2}} {
		p := bytes.Repeat([]byte{9}, int(r.Len))
		require.ErrorIs(t, d.Read(t.Context(), p, r.Off), block.ErrMisaligned, "read %s", r)
		require.ErrorIs(t, d.Write(t.Context(), p, r.Off, 0), block.ErrMisaligned, "write %s", r)
		require.ErrorIs(t, d.Zero(t.Context(), r, block.Unmap), block.ErrMisaligned, "zero %s", r)
	}
	require.Equal(t, make([]byte, 2*n), read(t, d, 0, 2*n))
}

func checkEmpty(t *testing.T, d block.Device) {
	require.NoError(t, d.Read(t.Context(), nil, 0))
	require.NoError(t, d.Write(t.Context(), nil, d.Limits().SizeBytes, 0))
	require.NoError(t, d.Zero(t.Context(), block.Range{}, 0))
}

func checkZero(t *testing.T, d block.Device) {
	const span = 1 << 18
	n := d.Limits().BlockBytes
	for _, flags := range []block.Flags{0, block.Unmap, block.FUA, block.FUA | block.Unmap} {
		want := bytes.Repeat([]byte{7}, span)
		require.NoError(t, d.Write(t.Context(), want, 0, 0))
		r := block.Range{Off: n, Len: span - 3*n}
		require.NoError(t, d.Zero(t.Context(), r, flags))
		clear(want[r.Off:r.End()])
		require.True(t, bytes.Equal(want, read(t, d, 0, span)), "flags %d", flags)
	}
}

func checkContext(t *testing.T, d block.Device) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	n := d.Limits().BlockBytes
	require.ErrorIs(t, d.Read(ctx, make([]byte, n), 0), context.Canceled)
	require.ErrorIs(t, d.Write(ctx, bytes.Repeat([]byte{9}, int(n)), 0, 0), context.Canceled)
	require.ErrorIs(t, d.Flush(ctx), context.Canceled)
	require.Equal(t, make([]byte, n), read(t, d, 0, n), "it changes nothing")
}

// checkModel does seeded random requests on the first MiB and compares all of it every few.
func checkModel(t *testing.T, d block.Device) {
	const size, requests = 1 << 20, 300
	rng := rand.New(rand.NewPCG(1, 2))
	n := d.Limits().BlockBytes
	model := make([]byte, size)
	for i := range requests {
		r := someRange(rng, size, n)
		switch rng.IntN(4) {
		case 0:
			require.NoError(t, d.Zero(t.Context(), r, block.Flags(rng.IntN(4))))
			clear(model[r.Off:r.End()])
		case 1:
			same := bytes.Equal(model[r.Off:r.End()], read(t, d, r.Off, r.Len))
			require.True(t, same, "request %d: %s", i, r)
		case 2:
			fill(rng, model[r.Off:r.End()])
			require.NoError(t, d.Write(t.Context(), model[r.Off:r.End()], r.Off, block.Flags(rng.IntN(2))))
		case 3:
			require.NoError(t, d.Flush(t.Context()))
		}
	}
	require.True(t, bytes.Equal(model, read(t, d, 0, size)))
}

// checkParallel lets callers work on blocks of their own at once, so that each can know what it
// must read, with neighbours in the same larger unit of whatever lies below.
func checkParallel(t *testing.T, d block.Device) {
	const callers, rounds = 8, 20
	n := d.Limits().BlockBytes
	errs := make([]error, callers)
	wrong := make([]bool, callers)
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for round := range rounds {
				want := bytes.Repeat([]byte{byte(c*rounds + round)}, int(n))
				off := int64(c+callers*(round%3)) * n
				got := make([]byte, n)
				if errs[c] = d.Write(t.Context(), want, off, 0); errs[c] != nil {
					return
				}
				if errs[c] = d.Read(t.Context(), got, off); errs[c] != nil {
					return
				}
				wrong[c] = wrong[c] || !bytes.Equal(want, got)
			}
		})
	}
	wg.Wait()
	for c := range callers {
		require.NoError(t, errs[c])
		require.False(t, wrong[c], "caller %d read what it did not write", c)
	}
}

func checkClosed(t *testing.T, d block.Device) {
	require.NoError(t, d.Close())
	p := make([]byte, d.Limits().BlockBytes)
	require.ErrorIs(t, d.Read(t.Context(), p, 0), block.ErrClosed)
	require.ErrorIs(t, d.Write(t.Context(), p, 0, 0), block.ErrClosed)
	require.ErrorIs(t, d.Flush(t.Context()), block.ErrClosed)
}

func read(t *testing.T, d block.Device, off, length int64) []byte {
	t.Helper()
	p := bytes.Repeat([]byte{0xee}, int(length))
	require.NoError(t, d.Read(t.Context(), p, off))
	return p
}

// someRange returns a range of whole blocks, short ones more often than long ones.
func someRange(rng *rand.Rand, size, blockBytes int64) block.Range {
	blocks := size / blockBytes
	count := 1 + rng.Int64N(min(blocks, 1<<rng.IntN(9)))
	return block.Range{Off: rng.Int64N(blocks-count+1) * blockBytes, Len: count * blockBytes}
}

func fill(rng *rand.Rand, p []byte) {
	for i := range p {
		p[i] = byte(rng.Uint32())
	}
}
