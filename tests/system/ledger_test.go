package system

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/export/nbd"
	"github.com/holdfast-storage/holdfast/volume"
)

// ledger is a guest that knows, for each of its blocks, what it may find there after a power cut of
// everything: the value that the last completed flush covered, or any that was written since, whether
// or not that was acknowledged (protocol-flush C, contract ii and iii). Without such a cut only the
// last acknowledged value is right, or one that was under way.
type ledger struct {
	t       *testing.T
	offset  int64 // of its blocks, which begin as zeroes
	writers [ledgerWriters]ledgerWriter
}

// ledgerWriter owns some of the blocks, so that nobody else writes them, and flushes for itself.
type ledgerWriter struct {
	possible [ledgerBlocks][]uint64 // oldest first; values are numbers, zero before the first write
	acked    [ledgerBlocks]uint64
	next     uint64
}

const (
	ledgerWriters = 4
	ledgerBlocks  = 256 // of each writer
	ledgerFlush   = 400 // writes between two flushes
)

func newLedger(t *testing.T, offset int64) *ledger {
	l := &ledger{t: t, offset: offset}
	for i := range l.writers {
		for index := range ledgerBlocks {
			l.writers[i].possible[index] = []uint64{0}
		}
	}
	return l
}

// dial connects to an export, for good: who loses it learns that.
func dial(t *testing.T, url string) *nbd.Client {
	t.Helper()
	address, err := nbd.ParseURL(url)
	require.NoError(t, err)
	d, err := nbd.Dial(t.Context(), address, nbd.ClientOptions{})
	require.NoError(t, err)
	return d
}

func (l *ledger) at(writer, index int) int64 {
	return l.offset + int64(writer*ledgerBlocks+index)*volume.BlockBytes
}

// entry fills a block with a number and where it belongs.
func entry(p []byte, number uint64, off int64) {
	if number == 0 {
		clear(p)
		return
	}
	for i := 0; i < len(p); i += 16 {
		binary.BigEndian.PutUint64(p[i:], number)
		binary.BigEndian.PutUint64(p[i+8:], uint64(off))
	}
}

// run writes until the device fails or ctx ends, and tells enough when every writer has written
// something that no flush covers. It returns once no writer writes any more.
func (l *ledger) run(ctx context.Context, d block.Device, enough func()) {
	var all sync.WaitGroup
	var ready atomic.Int32
	for i := range l.writers {
		all.Go(func() {
			l.write(ctx, d, i, func() {
				if ready.Add(1) == ledgerWriters {
					enough()
				}
			})
		})
	}
	all.Wait()
}

func (l *ledger) write(ctx context.Context, d block.Device, writer int, ready func()) {
	w := &l.writers[writer]
	p := make([]byte, volume.BlockBytes)
	for n := 1; ctx.Err() == nil; n++ {
		w.next++
		index := int(w.next * 7919 % ledgerBlocks)
		entry(p, w.next, l.at(writer, index))
		w.possible[index] = append(w.possible[index], w.next)
		if d.Write(ctx, p, l.at(writer, index), 0) != nil {
			return
		}
		w.acked[index] = w.next
		if n == ledgerFlush*3/2 {
			ready()
		}
		if n%ledgerFlush == 0 && d.Flush(ctx) == nil {
			for i, number := range w.acked {
				at := max(0, slices.Index(w.possible[i], number))
				w.possible[i] = w.possible[i][at:]
			}
		}
	}
}

// settle reads every block after a cut, holds it against what is possible there, and takes it for
// what stands from now on. It returns how many acknowledged writes are gone.
func (l *ledger) settle(d block.Device) int {
	l.t.Helper()
	lost := 0
	p, want := make([]byte, volume.BlockBytes), make([]byte, volume.BlockBytes)
	for i := range l.writers {
		w := &l.writers[i]
		for index := range ledgerBlocks {
			off := l.at(i, index)
			require.NoError(l.t, d.Read(l.t.Context(), p, off))
			found := slices.IndexFunc(w.possible[index], func(number uint64) bool {
				entry(want, number, off)
				return bytes.Equal(p, want)
			})
			require.GreaterOrEqualf(l.t, found, 0, "offset %d: %s, it may be one of %d", off,
				describe(p), w.possible[index])
			number := w.possible[index][found]
			if number < w.acked[index] {
				lost++
			}
			w.possible[index], w.acked[index] = []uint64{number}, number
		}
	}
	return lost
}

func describe(p []byte) string {
	return fmt.Sprintf("entry %d of offset %d (and %x at the end)", binary.BigEndian.Uint64(p),
		binary.BigEndian.Uint64(p[8:]), p[len(p)-16:])
}
