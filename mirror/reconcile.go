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
}

// needsReconcile reports whether r touches a region on which the legs do not agree yet.
func (c *Core) needsReconcile(r block.Range) bool { return c.reconcile.set.touches(r) }

// disagree has r reconciled once more: a write of it failed on every leg, and each may have stored another
// part of it before its room was used up. Until then nothing of it is read and no mark is cleared, and a
// joining leg, of which that is not known either, starts anew.
func (c *Core) disagree(r block.Range) {
	c.abortClear()
	if c.join.active && c.leg(c.join.leg).state.Joining() {
		c.dropJoin(c.join.leg, "a write failed on every leg in sync")
	}
	c.reconcile.set.init(c.opts.SizeBytes, c.timing().CopyBytes)
	c.reconcile.set.add(r)
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
		c.startCopy(copyReconcile, x, set.rangeOf(x), true)
	}
	for c.copies < depth && c.reconcile.retryAt <= c.now {
		x := set.takeNext()
		if x < 0 {
			return
		}
		c.startCopy(copyReconcile, x, set.rangeOf(x), true)
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

// aloneIsAgreed gives reconcile up when a single leg is left: it agrees with itself.
func (c *Core) aloneIsAgreed() {
	if c.reconcile.set.left == 0 || c.ack.count() != 1 || c.removed != 0 {
		return
	}
	c.reconcile.set.clear()
	c.startCleaned()
}
