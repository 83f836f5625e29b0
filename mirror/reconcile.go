package mirror

import (
	"time"

	"github.com/holdfast-storage/holdfast/block"
)

// reconcileJob is what an unclean end left behind: regions that some leg of S' has marked. A write
// that was in flight then may be on one leg and not on another; whichever is read first must be
// what every later read gives, so no byte of such a region is served before all legs agree on it
// (protocol §3).
type reconcileJob struct {
	set     extents
	retryAt time.Duration // after a failure
	// late are those that were added while the volume served. What is bad there rotted.
	late extents
}

// needsReconcile reports whether r touches a region on which the legs do not agree yet.
func (c *Core) needsReconcile(r block.Range) bool { return c.reconcile.set.touches(r) }

// disagree has r reconciled once more: a write of it failed on every leg, and each may have stored another
// part of it before its room was used up. Until then nothing of it is read and no mark is cleared, and a
// joining leg, of which that is not known either, starts anew.
func (c *Core) disagree(r block.Range) {
	c.abortClear()
	if c.join.active && c.leg(c.join.leg).state.Joining() {
		c.letGo(c.join.leg, "a write failed on every leg in sync")
	}
	for _, e := range [...]*extents{&c.reconcile.set, &c.reconcile.late} {
		e.init(c.opts.SizeBytes, c.timing().CopyBytes)
		e.add(r)
	}
	c.note(workCopy)
}

// pumpReconcile starts the work on marked regions: those that the guest waits for, all at once up
// to a bound, then the rest.
func (c *Core) pumpReconcile(depth int) {
	set := &c.reconcile.set
	if set.left == 0 || c.removed != 0 ||
		!c.ack.within(c.usableOf(c.ack)) { // every leg of S' has a say
		return
	}
	for c.copies < 4*c.timing().CopyDepth && c.reconcile.retryAt <= c.now {
		x := c.takeWanted()
		if x < 0 {
			break
		}
		c.startCopy(copyJob{kind: copyReconcile, extent: x}, set.rangeOf(x), true)
	}
	for c.copies < depth && c.reconcile.retryAt <= c.now {
		x := set.takeNext()
		if x < 0 {
			return
		}
		c.startCopy(copyJob{kind: copyReconcile, extent: x}, set.rangeOf(x), true)
	}
}

// takeWanted takes the next region that a request of the guest waits for, -1 if there is none.
func (c *Core) takeWanted() int64 {
	for o := c.unclean.head; o != nil; o = o.next {
		if x := c.reconcile.set.takeIn(o.rng); x >= 0 {
			return x
		}
	}
	return -1
}

// startCleaned starts the guest's requests whose regions are reconciled now.
func (c *Core) startCleaned() {
	for o, n := c.unclean.head, c.unclean.n; o != nil && n > 0; n-- {
		next := o.next
		if !c.needsReconcile(o.rng) {
			c.unclean.remove(o)
			c.lockRange(o, o.kind == opWrite)
		}
		o = next
	}
	if c.reconcile.set.left == 0 {
		c.note(workJoin | workClear | workDetach)
	}
}

// adoptBlocks goes on with a run of blocks of which no leg has a whole one: after a power cut each may be
// old or new, or a mix of their sectors. One leg is asked to ADOPT its own, and then the legs are
// compared again. A leg refuses where nothing is marked, for there the block rotted; what all refuse
// nobody will ever serve, so there is nothing to disagree on. Behind a write that failed marks tell
// nothing of that: no power was cut, a leg keeps the checksums of what the write did not reach, and nobody
// is asked.
func (c *Core) adoptBlocks(o *op) {
	j := &o.copy
	end := j.next + 1
	for end < len(j.buf.blocks) && j.buf.blocks[end].right == 0 {
		end++
	}
	to := j.need &^ j.adopted
	if to == 0 || c.reconcile.late.touches(o.rng) {
		j.adopted, j.next = 0, end
		c.copyRun(o)
		return
	}
	j.adopted = j.adopted.with(to.first())
	o.io = j.rangeOf(j.next, end-j.next)
	j.calls++
	c.callLeg(to.first(), &Command{Kind: CommandAdopt, Range: o.io}, o, 0)
}

// onAdopt takes the answer to ADOPT.
func (c *Core) onAdopt(k call, err error) {
	o := k.op
	o.copy.calls--
	switch {
	case o.list == &c.zombies:
		c.retire(o)
	case unreachable(err):
		c.legCallFailed(k, err)
		c.copyDone(o, false)
	case !o.current(c):
		c.copyDone(o, false)
	case err != nil && o.io.Len > BlockBytes:
		// Some of them may be adopted, on this leg and on the next one, too: each block has to be compared
		// before it is left.
		o.copy.adopted = 0
		c.narrow(o, o.io)
	case err != nil:
		c.adoptBlocks(o)
	default:
		o.copy.part = o.io
		c.copySums(o)
	}
}

// noRoom goes on when legs have no room for what another one has. Nothing of the extent was ever read, so
// what they have will do as well, and the other one may have room for that: it is where a part of a write
// was stored that failed for the want of room. Nobody is removed for that (failure matrix 41), unless it
// does not help.
func (c *Core) noRoom(o *op, full legSet) {
	j := &o.copy
	if again := full & j.full; again != 0 || o.inflight != 0 || !o.current(c) {
		for ; again != 0; again = again.rest() {
			c.legFailed(again.first(), block.ErrNoSpace)
		}
		c.copyDone(o, false)
		return
	}
	j.full |= full
	c.writes.remove(o)
	c.emit(Effect{Kind: EffectRelease, Data: o.data})
	o.data = nil
	c.copySums(o)
}
