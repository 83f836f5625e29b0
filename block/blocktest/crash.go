package blocktest

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/holdfast-storage/holdfast/block"
)

// SectorBytes is the smallest unit that survives a power cut whole.
const SectorBytes = 512

// Crash is a device with a volatile write cache that a power cut empties. Every value that a
// sector had since its last flush may be the one that survives, each sector for itself: the cache
// may have written any of them back in any order.
//
// Invariant: the device below holds what was flushed (or written with FUA), and nothing else.
type Crash struct {
	stable block.Device

	mu    sync.Mutex // protects what follows and keeps requests in one order
	cache map[int64][][]byte
}

var _ block.Device = (*Crash)(nil)

// NewCrash stacks a Crash on a device whose blocks are whole sectors; what is on that device counts
// as flushed.
func NewCrash(stable block.Device) *Crash {
	return &Crash{stable: stable, cache: make(map[int64][][]byte)}
}

// PowerCut drops the cache. For each sector in it, in ascending order, the generator picks the
// value that survives: the flushed one or any written since. The device can be used at once
// afterwards, as after the power came back.
func (c *Crash) PowerCut(rng *rand.Rand) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, sector := range slices.Sorted(maps.Keys(c.cache)) {
		values := c.cache[sector]
		if pick := rng.IntN(len(values) + 1); pick > 0 {
			err := c.stable.Write(context.Background(), values[pick-1], sector*SectorBytes, 0)
			if err != nil {
				return fmt.Errorf("power cut: %w", err)
			}
		}
	}
	clear(c.cache)
	return nil
}

// Unflushed returns how many sectors a power cut may change.
func (c *Crash) Unflushed() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.cache)
}

// Read returns the newest value of every sector.
func (c *Crash) Read(ctx context.Context, p []byte, off int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.stable.Read(ctx, p, off); err != nil {
		return err
	}
	for i := int64(0); i < int64(len(p)); i += SectorBytes {
		if values := c.cache[(off+i)/SectorBytes]; len(values) > 0 {
			copy(p[i:], values[len(values)-1])
		}
	}
	return nil
}

// Write puts p into the cache, with FUA on stable storage.
func (c *Crash) Write(ctx context.Context, p []byte, off int64, f block.Flags) error {
	r := block.Range{Off: off, Len: int64(len(p))}
	if err := c.admit(ctx, block.OpWrite, r, f); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if f&block.FUA == 0 {
		c.put(p, off)
		return nil
	}
	if err := c.stable.Write(ctx, p, off, f); err != nil {
		return err
	}
	for sector := off / SectorBytes; sector < r.End()/SectorBytes; sector++ {
		delete(c.cache, sector) // older values can no longer come back
	}
	return nil
}

// Zero writes zeroes.
func (c *Crash) Zero(ctx context.Context, r block.Range, f block.Flags) error {
	if err := c.admit(ctx, block.OpZero, r, f); err != nil {
		return err
	}
	return c.Write(ctx, make([]byte, r.Len), r.Off, f)
}

// Flush puts the newest value of every sector on stable storage.
func (c *Crash) Flush(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, sector := range slices.Sorted(maps.Keys(c.cache)) {
		values := c.cache[sector]
		if err := c.stable.Write(ctx, values[len(values)-1], sector*SectorBytes, 0); err != nil {
			return err
		}
		delete(c.cache, sector)
	}
	return c.stable.Flush(ctx)
}

// Limits returns those of the device below, with a volatile cache.
func (c *Crash) Limits() block.Limits {
	l := c.stable.Limits()
	l.Volatile = true
	return l
}

// Close closes the device below and drops the cache.
func (c *Crash) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.cache)
	return c.stable.Close()
}

// admit refuses what the device below would refuse, and asks it for a sign of life.
func (c *Crash) admit(ctx context.Context, op block.Op, r block.Range, f block.Flags) error {
	if err := c.stable.Limits().Check(op, r, f); err != nil {
		return err
	}
	return c.stable.Read(ctx, nil, 0)
}

// put appends the sectors of p to the cache. The caller holds mu.
func (c *Crash) put(p []byte, off int64) {
	own := slices.Clone(p)
	for i := int64(0); i < int64(len(own)); i += SectorBytes {
		sector := (off + i) / SectorBytes
		c.cache[sector] = append(c.cache[sector], own[i:i+SectorBytes:i+SectorBytes])
	}
}
