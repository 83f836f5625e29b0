package scsi

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/holdfast-storage/holdfast/block"
)

// gate keeps an atomic command (COMPARE AND WRITE, ORWRITE, WRITE ATOMIC) apart from every other
// request to the same range of the unit.
//
// While there is no atomic command, a request costs two additions to a counter. An atomic command
// announces itself, then waits for the requests that were let through before, wherever they go, and
// from then on only for what overlaps it. Requests that come later and overlap it wait.
//
// Invariants:
//   - Whoever is let through uncounted by range has counted itself in fast before it looked at
//     atomics; whoever is atomic has counted itself in atomics before it looked at fast. So one of the
//     two sees the other.
//   - No two holds overlap, unless neither is atomic.
type gate struct {
	fast    atomic.Int64 // requests under way that looked at no range
	atomics atomic.Int32 // atomic commands that wait or are under way

	mu      sync.Mutex
	holds   []*hold
	changed chan struct{} // closed and replaced when somebody who waits should look again
}

// hold is a range that somebody works on; nil is a request that was let through by count alone.
type hold struct {
	block.Range
	atomic bool
}

// enter lets an ordinary request through, when no atomic command works on its range. Every enter
// that succeeds is followed by leave.
func (g *gate) enter(ctx context.Context, r block.Range) (*hold, error) {
	g.fast.Add(1)
	if g.atomics.Load() == 0 {
		return nil, nil
	}
	g.leave(nil)
	return g.wait(ctx, &hold{Range: r})
}

// enterAtomic is enter for an atomic command.
func (g *gate) enterAtomic(ctx context.Context, r block.Range) (*hold, error) {
	g.atomics.Add(1)
	h, err := g.wait(ctx, &hold{Range: r, atomic: true})
	if err != nil {
		g.atomics.Add(-1)
		return nil, err
	}
	for { // the hold keeps newcomers out; what was under way before it ends by itself
		g.mu.Lock()
		changed := g.changes()
		g.mu.Unlock()
		if g.fast.Load() == 0 {
			return h, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			g.leave(h)
			return nil, ctx.Err()
		}
	}
}

// wait puts h among the holds as soon as none is in its way.
func (g *gate) wait(ctx context.Context, h *hold) (*hold, error) {
	for {
		g.mu.Lock()
		if !g.blocked(h) {
			g.holds = append(g.holds, h)
			g.mu.Unlock()
			return h, nil
		}
		changed := g.changes()
		g.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (g *gate) blocked(h *hold) bool {
	for _, other := range g.holds {
		if (h.atomic || other.atomic) && h.Overlaps(other.Range) {
			return true
		}
	}
	return false
}

// changes returns the channel that the next change closes. The caller holds mu.
func (g *gate) changes() chan struct{} {
	if g.changed == nil {
		g.changed = make(chan struct{})
	}
	return g.changed
}

// leave ends what enter or enterAtomic let through.
func (g *gate) leave(h *hold) {
	if h == nil {
		if g.fast.Add(-1) > 0 || g.atomics.Load() == 0 {
			return
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if h != nil {
		for i, other := range g.holds {
			if other == h {
				g.holds = append(g.holds[:i], g.holds[i+1:]...)
				break
			}
		}
		if h.atomic {
			g.atomics.Add(-1)
		}
	}
	if g.changed != nil {
		close(g.changed)
		g.changed = nil
	}
}

// gated is a device whose requests go through a gate.
type gated struct {
	block.Device
	gate *gate
}

// Read implements block.Device.
func (d *gated) Read(ctx context.Context, p []byte, off int64) error {
	h, err := d.gate.enter(ctx, block.Range{Off: off, Len: int64(len(p))})
	if err != nil {
		return err
	}
	defer d.gate.leave(h)
	return d.Device.Read(ctx, p, off)
}

// Write implements block.Device.
func (d *gated) Write(ctx context.Context, p []byte, off int64, f block.Flags) error {
	h, err := d.gate.enter(ctx, block.Range{Off: off, Len: int64(len(p))})
	if err != nil {
		return err
	}
	defer d.gate.leave(h)
	return d.Device.Write(ctx, p, off, f)
}

// Zero implements block.Device.
func (d *gated) Zero(ctx context.Context, r block.Range, f block.Flags) error {
	h, err := d.gate.enter(ctx, r)
	if err != nil {
		return err
	}
	defer d.gate.leave(h)
	return d.Device.Zero(ctx, r, f)
}
