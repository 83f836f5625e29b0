package mirror

import (
	"errors"

	"github.com/holdfast-storage/holdfast/block"
)

// copyJob is the work on one extent, for reconcile or for a join: under a range lock, the checksums
// of the legs are compared, and each run of blocks that differ is read from one leg and written to
// the others as an ordinary write.
type copyJob struct {
	of     uint64 // copyReconcile, or the number of the join
	extent int64
	part   block.Range // of the extent, which is compared now; the rest follows it
	calls  int         // CHECKSUMS under way
	failed bool        // the extent has to be done again
	need   legSet      // legs that are compared
	source LegIndex    // whose content the others get
	sums   [][]uint32  // by leg; nil = unreadable there, so every block differs
	next   int         // block of the part from which the comparison goes on
}

const copyReconcile uint64 = 0

// mergeBlocks is how many equal blocks a run may contain, because one longer request costs less
// than two.
const mergeBlocks = 8

// pumpCopies starts the copies that are due: what the guest waits for first, then the rest, with
// fewer at once while the guest has requests of its own.
func (c *Core) pumpCopies() {
	if c.phase == phaseDraining {
		c.pumpReconcile(0)
	}
	if c.phase != phaseServing {
		return
	}
	depth := c.timing().CopyDepth
	if c.guestOps > 0 {
		depth = max(1, depth/2)
	}
	c.pumpReconcile(depth)
	for c.joinCopying() && c.copies < depth {
		x := c.join.set.takeNext()
		if x < 0 {
			break
		}
		c.startCopy(c.join.number, x, c.join.set.rangeOf(x), false)
	}
}

// startCopy begins the work on an extent. A reconcile locks readers out; a join only writers.
func (c *Core) startCopy(of uint64, x int64, r block.Range, exclusive bool) {
	o := c.newOp(opCopy)
	sums := o.copy.sums
	if sums == nil {
		sums = make([][]uint32, MaxLegs)
	}
	clear(sums)
	o.copy = copyJob{of: of, extent: x, part: r, source: noLeg, sums: sums}
	o.rng, o.verb = r, block.OpWrite
	c.copies++
	c.lockRange(o, exclusive)
}

// current reports whether the job that the copy belongs to still goes on.
func (o *op) current(c *Core) bool {
	return o.copy.of == copyReconcile || c.join.active && o.copy.of == c.join.number
}

// copySums asks the legs for the checksums of a part of the extent.
func (c *Core) copySums(o *op) {
	k := &o.copy
	if k.of == copyReconcile {
		k.need = c.ack &^ c.removed
	} else if o.current(c) {
		if src := c.joinSource(); src != noLeg {
			k.need = only(src).with(c.join.leg)
		}
	}
	if !o.current(c) || k.need == 0 || !k.need.within(c.usableOf(k.need)) {
		c.copyDone(o, false)
		return
	}
	if k.need.count() == 1 { // a single leg agrees with itself
		c.copyDone(o, true)
		return
	}
	for s := k.need; s != 0; s = s.rest() {
		k.calls++
		c.callLeg(s.first(), &Command{Kind: CommandSums, Range: k.part}, o, 0)
	}
}

// onSums takes one leg's checksums of a part of an extent.
func (c *Core) onSums(k call, err error, sums []uint32) {
	o := k.op
	j := &o.copy
	j.calls--
	if o.list == &c.zombies {
		c.retire(o)
		return
	}
	switch {
	case err == nil && int64(len(sums)) == j.part.Len/BlockBytes:
		j.sums[k.leg] = sums
	case err == nil:
		j.failed = true
		c.legFailed(k.leg, errors.New("CHECKSUMS: wrong number of checksums"))
	case errors.Is(err, block.ErrMedium): // some block of it cannot be read there: all of it differs
	default:
		j.failed = true
		c.legCallFailed(k, err)
	}
	if j.calls > 0 {
		return
	}
	if j.failed || !o.current(c) {
		c.copyDone(o, false)
		return
	}
	c.chooseSource(o)
}

// chooseSource picks whose content the others get. Nothing of a marked extent was ever read, so any
// leg that can be read is as good as another.
func (c *Core) chooseSource(o *op) {
	j := &o.copy
	j.source = noLeg
	for s := j.need; s != 0 && j.source == noLeg; s = s.rest() {
		if i := s.first(); j.sums[i] != nil && (j.of == copyReconcile || i != c.join.leg) {
			j.source = i
		}
	}
	if j.source == noLeg {
		c.copyUnreadable(o)
		return
	}
	c.copyRun(o)
}

// copyRun copies the next run of blocks that differ; with none left the part is done.
func (c *Core) copyRun(o *op) {
	part := o.copy.part
	first, n := o.copy.run(int(part.Len / BlockBytes))
	if n == 0 || c.breaks(BreakNoResync) && o.copy.of != copyReconcile {
		c.copyPart(o, part.End())
		return
	}
	o.copy.next = first + n
	o.io = block.Range{Off: part.Off + int64(first)*BlockBytes, Len: int64(n) * BlockBytes}
	from := legSet(0) // a join reads from whichever leg of read_set is free
	if o.copy.of == copyReconcile {
		from = only(o.copy.source)
	}
	c.startFetch(o, o.io, from)
}

// run returns the next run of blocks that differ between the source and some other leg.
func (j *copyJob) run(blocks int) (first, n int) {
	b := j.next
	for ; b < blocks && !j.differs(b); b++ {
	}
	if b == blocks {
		return 0, 0
	}
	last := b
	for x := b + 1; x < blocks && x-last <= mergeBlocks; x++ {
		if j.differs(x) {
			last = x
		}
	}
	return b, last + 1 - b
}

func (j *copyJob) differs(b int) bool {
	want := j.sums[j.source][b]
	for s := j.need.without(j.source); s != 0; s = s.rest() {
		if sums := j.sums[s.first()]; sums == nil || sums[b] != want {
			return true
		}
	}
	return false
}

// copyFetched writes a run to the legs that lack it.
func (c *Core) copyFetched(o *op, data Handle) {
	o.data = data
	if !o.current(c) {
		c.copyDone(o, false)
		return
	}
	if o.copy.of == copyReconcile {
		c.dispatch(o, c.receivers().without(o.copy.source))
	} else {
		c.dispatch(o, only(c.join.leg))
	}
	c.advanceCopy(o)
}

// advanceCopy goes on when the run is on every leg that needs it.
func (c *Core) advanceCopy(o *op) {
	if !o.current(c) {
		c.copyDone(o, false)
		return
	}
	need := o.targets
	if o.copy.of == copyReconcile {
		// A leg that begins to join waits for this write to end; the write does not wait for it.
		need &= c.receivers()
	}
	if o.noSpace&need != 0 {
		for s := o.noSpace & need; s != 0; s = s.rest() {
			c.legFailed(s.first(), block.ErrNoSpace)
		}
		c.copyDone(o, false)
		return
	}
	if !need.within(o.answered) {
		return
	}
	if o.inflight != 0 { // a removed leg still holds the payload: the extent is looked at again
		c.copyDone(o, false)
		return
	}
	c.writes.remove(o)
	c.emit(Effect{Kind: EffectRelease, Data: o.data})
	o.data = nil
	c.note(workIdle)
	c.copyRun(o)
}

// copyPart goes on with the block at off; behind the last one the extent is done.
func (c *Core) copyPart(o *op, off int64) {
	if off >= o.rng.End() {
		c.copyDone(o, true)
		return
	}
	j := &o.copy
	j.part, j.next, j.source = block.Range{Off: off, Len: BlockBytes}, 0, noLeg
	clear(j.sums)
	c.copySums(o)
}

// copyUnreadable goes on when the source cannot read a run.
func (c *Core) copyUnreadable(o *op) {
	j := &o.copy
	if j.of != copyReconcile {
		// No in-sync leg can read it: the leg is not promoted without it (protocol §1.7.6).
		c.join.skip++
		c.leg(c.join.leg).lastErr = "a block cannot be read on any in-sync leg"
		c.copyDone(o, false)
		return
	}
	if j.source != noLeg {
		j.sums[j.source] = nil
		j.next = max(0, int((o.io.Off-j.part.Off)/BlockBytes))
		c.chooseSource(o)
		return
	}
	if j.part.Len > BlockBytes { // no leg can read all of it: block by block
		c.copyPart(o, j.part.Off)
		return
	}
	// No leg can read the block, so none will ever serve it: there is nothing to disagree on.
	c.copyPart(o, j.part.End())
}

// copyDone ends the work on an extent.
func (c *Core) copyDone(o *op, ok bool) {
	set := &c.reconcile.set
	if o.copy.of != copyReconcile {
		set = &c.join.set
	}
	if o.current(c) {
		set.done(o.copy.extent, ok)
	}
	c.endFetch(o)
	c.copies--
	c.note(workCopy | workJoin)
	if !ok {
		retryAt := &c.reconcile.retryAt
		if o.copy.of != copyReconcile {
			retryAt = &c.join.retryAt
		}
		*retryAt = c.now + c.timing().Retry
		c.wake(*retryAt)
	}
	c.retire(o)
	if ok && o.copy.of == copyReconcile {
		c.startCleaned()
	}
}
