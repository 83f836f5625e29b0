package chaos

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-storage/holdfast/block"
)

// Writer uses a volume as a guest with several programs does: they share its blocks.
type Writer struct {
	Device  block.Device
	Dir     string // where the run's history goes
	Name    string // see Run
	Epoch   uint64 // see Run
	Blocks  int64  // how many it uses, spread evenly over the device
	Workers int
	Pause   time.Duration // between two operations of a worker, on average
}

// OffsetOf returns where a block of a device lies. Blocks are spread over all regions.
func OffsetOf(number, blocks, sizeBytes int64) int64 {
	return number * (sizeBytes / BlockBytes / blocks) * BlockBytes
}

// working is a Writer at work.
type working struct {
	*Writer
	book *recorder
	size int64
	next atomic.Uint64
}

func (w *Writer) start() (*working, error) {
	book, err := newRecorder(w.Dir, w.Name, w.Epoch)
	if err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	r := &working{Writer: w, book: book, size: w.Device.Limits().SizeBytes}
	// Values differ between runs: two runs of a volume do not begin in one microsecond.
	r.next.Store(uint64(book.began.Microseconds()) << 20)
	return r, nil
}

// Run works until ctx ends, without an error, or the device fails.
func (w *Writer) Run(ctx context.Context) (err error) {
	r, err := w.start()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.book.close()) }()
	failed := make(chan error, w.Workers)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var all sync.WaitGroup
	for i := range w.Workers {
		all.Go(func() {
			if err := r.work(ctx, rand.New(rand.NewPCG(uint64(r.book.began), uint64(i)))); err != nil {
				failed <- err
				stop()
			}
		})
	}
	all.Wait()
	select {
	case err = <-failed:
		return err
	default:
		return nil
	}
}

// ReadAll reads every block once and ends: the last word on what is there.
func (w *Writer) ReadAll(ctx context.Context) (err error) {
	r, err := w.start()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.book.close()) }()
	for b := range w.Blocks {
		if err := r.do(ctx, Read, b); err != nil {
			return err
		}
	}
	return nil
}

func (r *working) work(ctx context.Context, chance *rand.Rand) error {
	for ctx.Err() == nil {
		kind := Read
		switch n := chance.IntN(100); {
		case n < 45:
			kind = Write
		case n < 50:
			kind = FUA
		case n < 55:
			kind = Flush
		}
		if err := r.do(ctx, kind, chance.Int64N(r.Blocks)); err != nil && ctx.Err() == nil {
			return err
		}
		pause := time.NewTimer(time.Duration(chance.Int64N(2*int64(r.Pause) + 1)))
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
		}
	}
	return nil
}

// do does one operation and writes it down. A device that says that it is full goes on to be used.
func (r *working) do(ctx context.Context, kind Kind, number int64) error {
	var value uint64
	if kind == Write || kind == FUA {
		value = r.next.Add(1)
	}
	id, err := r.book.call(kind, number, value)
	if err != nil {
		return fmt.Errorf("history: %w", err)
	}
	off := OffsetOf(number, r.Blocks, r.size)
	p := make([]byte, BlockBytes)
	var got *Content
	switch kind {
	case Read:
		if err = r.Device.Read(ctx, p, off); err == nil {
			got = new(Content)
			*got = parse(p, number)
		}
	case Flush:
		err = r.Device.Flush(ctx)
	case Write:
		fill(p, number, value)
		err = r.Device.Write(ctx, p, off, 0)
	case FUA:
		fill(p, number, value)
		err = r.Device.Write(ctx, p, off, block.FUA)
	}
	if failed := r.book.answered(id, got, err); failed != nil {
		return fmt.Errorf("history: %w", failed)
	}
	if errors.Is(err, block.ErrNoSpace) {
		return nil
	}
	return err
}

// damaged is the value of a sector that no writer wrote.
const damaged = ^uint64(0)

// fill writes a value into every sector of a block, again and again with the block's number.
func fill(p []byte, number int64, value uint64) {
	for i := 0; i < len(p); i += 16 {
		binary.BigEndian.PutUint64(p[i:], value)
		binary.BigEndian.PutUint64(p[i+8:], uint64(number))
	}
}

// parse returns the value of each sector of a block: zero if it was never written, damaged if it is torn within, or
// is of another block.
func parse(p []byte, number int64) Content {
	var c Content
	var want [sectorBytes]byte
	for s := range c {
		sector := p[s*sectorBytes : (s+1)*sectorBytes]
		c[s] = binary.BigEndian.Uint64(sector)
		if c[s] == 0 {
			clear(want[:])
		} else {
			fill(want[:], number, c[s])
		}
		if string(sector) != string(want[:]) {
			c[s] = damaged
		}
	}
	return c
}
