package mirror

import (
	"errors"
	"fmt"

	"github.com/holdfast-storage/holdfast/block"
)

const (
	// healDepth is how many ranges are healed at once.
	healDepth = 2
	// healQueue is how many more may wait. What finds no place is found again by the next read.
	healQueue = 64
	// relapseLimit is how many times blocks of a leg that were rewritten may turn bad again before the leg
	// is retired as failing.
	relapseLimit = 3
	// relapseMemory is how many rewritten runs of a leg are remembered.
	relapseMemory = 16
)

// healJob rewrites blocks that a leg in sync could not read and another one could (failure matrix 33,
// 35). It does not write what the guest's read brought: the block may have been overwritten since. It
// takes the range for itself, compares the legs anew, and copies from one that has the block now.
type healJob struct {
	queue   []block.Range
	running []*op
	waiting opList // reads of the guest of which no leg could read all: once more after the heal
}

// legMend is what is known of a leg's medium.
type legMend struct {
	errors   int64 // reads that ended with a medium error, bad blocks that a scrub found
	healed   int64 // blocks that were rewritten
	relapses int   // of such blocks, since it joined or was retired
	recent   [relapseMemory]block.Range
	next     int
}

// remember keeps a run that was rewritten.
func (m *legMend) remember(r block.Range) {
	m.recent[m.next%relapseMemory] = r
	m.next++
}

// healedBefore reports whether r touches a run that was rewritten.
func (m *legMend) healedBefore(r block.Range) bool {
	for _, h := range m.recent {
		if h.Overlaps(r) {
			return true
		}
	}
	return false
}

// needHeal has r healed soon, and reports whether that may help.
func (c *Core) needHeal(r block.Range) bool {
	h := &c.heal
	if !c.serving() || c.read.count() < 2 || c.needsReconcile(r) {
		return false // no other leg, or reconcile makes it whole
	}
	for _, o := range h.running {
		if within(r, o.rng) {
			return true
		}
	}
	for n, q := range h.queue {
		if within(r, q) {
			return true
		}
		if r.Off == q.End() {
			h.queue[n].Len += r.Len
			return true
		}
	}
	if len(h.queue) >= healQueue {
		return false
	}
	h.queue = append(h.queue, r)
	c.note(workCopy)
	return true
}

// within reports whether all of r lies in q.
func within(r, q block.Range) bool { return r.Off >= q.Off && r.End() <= q.End() }

// pumpHeals starts the heals that are due, extent by extent.
func (c *Core) pumpHeals() {
	h := &c.heal
	for len(h.running) < healDepth && len(h.queue) > 0 {
		q := &h.queue[0]
		r := *q
		r.Len = min(r.Len, c.timing().CopyBytes)
		q.Off += r.Len
		if q.Len -= r.Len; q.Len == 0 {
			h.queue = append(h.queue[:0], h.queue[1:]...)
		}
		c.startCopy(copyJob{kind: copyHeal}, r, true)
	}
}

// notMended takes into account that a leg did not rewrite a bad block. It keeps the block as it is, which
// takes nothing from anybody; to wait for the write would stop the guest, too.
func (c *Core) notMended(o *op, i LegIndex, err error) {
	o.noSpace = o.noSpace.with(i)
	if errors.Is(err, block.ErrMedium) {
		o.copy.failing = o.copy.failing.with(i)
		return
	}
	c.legFailed(i, err)
}

// ended takes a heal that is over off the list.
func (h *healJob) ended(o *op) {
	for n, r := range h.running {
		if r == o {
			h.running = append(h.running[:n], h.running[n+1:]...)
			return
		}
	}
}

// busyWith reports whether something of r waits to be healed, or is being healed.
func (h *healJob) busyWith(r block.Range) bool {
	for _, q := range h.queue {
		if q.Overlaps(r) {
			return true
		}
	}
	for _, o := range h.running {
		if o.rng.Overlaps(r) {
			return true
		}
	}
	return false
}

// mendFirst lets a guest's read wait for a heal, if every leg has a bad block in its range: they may be
// different ones, and then each can be read somewhere.
func (c *Core) mendFirst(o *op) bool {
	if o.kind != opRead || o.mendedOnce || o.rng.Len == BlockBytes || !c.needHeal(o.rng) {
		return false
	}
	o.mendedOnce = true
	if o.lock.held() {
		c.unlock(o)
	}
	c.heal.waiting.push(o)
	return true
}

// startMended starts the reads whose ranges have been healed, as far as possible.
func (c *Core) startMended() {
	w := &c.heal.waiting
	for o, n := w.head, w.n; o != nil && n > 0; n-- {
		next := o.next
		if !c.heal.busyWith(o.rng) {
			w.remove(o)
			c.lockRange(o, false)
		}
		o = next
	}
}

// relapsed takes into account that a leg could not read again what was rewritten. A leg on which that
// happens again and again is retired, if another one in sync remains; it may join again later, and is
// then copied around its bad blocks.
func (c *Core) relapsed(i LegIndex) {
	g := c.leg(i)
	g.mend.relapses++
	if g.mend.relapses < relapseLimit || g.state != LegInSync || c.read.without(i) == 0 || !c.removable(i) {
		return
	}
	c.legFailed(i, fmt.Errorf("blocks that were rewritten turned bad again %d times: %w", g.mend.relapses,
		block.ErrMedium))
	g.mend.relapses = 0
}
