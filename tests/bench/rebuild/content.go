package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/export/nbd"
)

// content is what a volume holds when its leg is replaced.
type content struct {
	name      string
	piece     int64 // written at once; zero writes nothing
	every     int64 // a piece at each multiple of this
	underLoad bool  // it is measured beside a guest, too
}

func contents() []content {
	return []content{
		{"full", 256 << 10, 256 << 10, true},
		{"every other 4k", 4 << 10, 8 << 10, false},
		{"empty", 0, 0, false},
	}
}

// fillers is how many pieces are written, or copied by a plain copy, at once: as many as a rebuild copies.
const fillers = 8

// write writes a content to a device whose data is all zeroes. Pieces are of random bytes.
func (c content) write(ctx context.Context, d block.Device) error {
	if c.piece == 0 {
		return nil
	}
	noise := make([]byte, 2*c.piece)
	if _, err := rand.Read(noise); err != nil {
		return err
	}
	pieces := d.Limits().SizeBytes / c.every
	err := inTurn(pieces, func(i int64) error {
		shift := i * 512 % c.piece // so that pieces differ
		return d.Write(ctx, noise[shift:shift+c.piece], i*c.every, 0)
	})
	if err != nil {
		return fmt.Errorf("fill: %w", err)
	}
	return d.Flush(ctx)
}

// inTurn calls do for all below n, from low to high, fillers at a time, until one fails.
func inTurn(n int64, do func(int64) error) error {
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var all sync.WaitGroup
	for range fillers {
		all.Go(func() {
			for i := next.Add(1) - 1; i < n && failed.Load() == nil; i = next.Add(1) - 1 {
				if err := do(i); err != nil {
					failed.CompareAndSwap(nil, &err)
				}
			}
		})
	}
	all.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

// openNBD opens an export.
func openNBD(ctx context.Context, url string) (*nbd.Client, error) {
	address, err := nbd.ParseURL(url)
	if err != nil {
		return nil, err
	}
	return nbd.Dial(ctx, address, nbd.ClientOptions{})
}
