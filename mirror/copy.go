package mirror

import (
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-storage/holdfast/block"
)

// copyKind says what an extent is compared for.
type copyKind uint8

const (
	copyReconcile copyKind = iota // after an unclean end: the legs of S' must agree
	copyJoin                      // a joining leg gets what it lacks
	copyHeal                      // a leg in sync could not read something of it
	copyScrub                     // a scrub looks at it
)

// copyPass is how often the legs of a heal or a scrub have been compared.
type copyPass uint8

const (
	passMend   copyPass = iota // compare, and rewrite what a leg lacks
	passLook                   // of a scrub, before passMend: compare, beside readers
	passVerify                 // after passMend: read back what was rewritten
)

// copyJob is the work on one extent: under a range lock the checksums of legs are compared, and each
// run of blocks that some leg lacks is read from one that has it, and written there as an ordinary
// write. What a leg lacks, and who has it, is judged block by block, see judge.go.
type copyJob struct {
	kind   copyKind
	pass   copyPass
	number uint64 // of the join or scrub
	extent int64  // of the job's set of extents
	upTo   int64  // of a scrub: where the next one begins in the volume
	// part of the extent is compared now; what follows it comes after it. It is the whole extent, unless
	// a leg answered that it cannot read some of a range, without saying which.
	part    block.Range
	calls   int    // commands under way
	failed  bool   // the extent has to be done again
	vague   bool   // a leg cannot read something of the part, and the part is more than one block
	need    legSet // legs that are compared
	next    int    // block of the part from which the work goes on
	adopted legSet // legs that were asked to ADOPT the part, or its next blocks
	written legSet // legs that were written to
	failing legSet // legs on which something is bad that was rewritten before
	full    legSet // legs that had no room for what another one has
	unread  bool   // some block cannot be read on any leg in sync
	buf     *copyBuffers
}

// copyBuffers stay with the slot of an operation.
type copyBuffers struct {
	sums   [MaxLegs][]uint32 // of the part, by leg
	blocks []blockState      // of the part
	mended []legSet          // by block of the extent: legs on which it was rewritten
}

// blockState is what is known of a block of the part.
type blockState struct {
	bad   legSet // legs on which it is not what was written last
	right legSet // legs that can give it; none if nobody can, or nobody knows who
	lacks legSet // legs that are to be given it
}

// mergeBlocks is how many equal blocks a run may contain, because one longer request costs less
// than two.
const mergeBlocks = 8

// guestAnswered counts a request of the guest that is answered.
func (c *Core) guestAnswered(o *op) {
	c.guestOps--
	if o.kind != opFlush { // which takes as long as what was written before it
		c.pace.answered(c.now, o.askedAt, o.beside || c.copies > 0, c.timing().CopyDepth)
	}
}

// pumpCopies starts the copies that are due: what the guest waits for first, then the rest, as many at
// once as the guest's own requests allow.
func (c *Core) pumpCopies() {
	switch c.phase {
	case phaseDraining:
		c.pumpReconcile(0)
		c.pumpHeals()
	case phaseServing:
		depth := c.paceCopies()
		c.pumpReconcile(depth)
		c.pumpHeals()
		c.pumpJoin(depth)
	}
	c.pumpScrub()
}

// paceCopies returns how many extents may be copied at once now, zero while the copy rests.
func (c *Core) paceCopies() int {
	if at := c.pace.due(c.now, c.guestOps > 0); at > c.now {
		if c.reconcile.set.left > 0 || c.joinCopying() {
			c.wake(at)
		}
		return 0
	}
	return c.pace.limit(c.now, c.guestOps > 0, c.timing().CopyDepth)
}

// mends reports whether the operation rewrites what a leg in sync cannot read.
func (o *op) mends() bool { return o.kind == opCopy && o.copy.kind >= copyHeal }

// startCopy begins the work on r. A lock that is not exclusive keeps out writers only.
func (c *Core) startCopy(j copyJob, r block.Range, exclusive bool) *op {
	o := c.newOp(opCopy)
	j.buf = o.copy.buf
	if j.buf == nil {
		j.buf = &copyBuffers{}
	}
	n := int(r.Len / BlockBytes)
	if cap(j.buf.mended) < n {
		j.buf.mended, j.buf.blocks = make([]legSet, n), make([]blockState, n)
	}
	j.buf.mended = j.buf.mended[:n]
	clear(j.buf.mended)
	j.part = r
	o.copy, o.rng, o.verb = j, r, block.OpWrite
	c.lay.place(o)
	c.copies++
	c.pace.began(c.now)
	if j.kind == copyHeal {
		c.heal.running = append(c.heal.running, o)
		if c.breaks(BreakHealStale) { // [M:healStale]
			c.lay.copy(c, o)
			return o
		}
	}
	c.lockRange(o, exclusive)
	return o
}

// current reports whether the job that the copy belongs to still goes on, with the legs that it compares.
func (o *op) current(c *Core) bool {
	j := &o.copy
	switch j.kind {
	case copyReconcile:
		return j.need.within(c.ack &^ c.removed)
	case copyJoin:
		return c.join.active && j.number == c.join.number && c.read != 0
	case copyScrub:
		if !c.scrub.active || j.number != c.scrub.number {
			return false
		}
	}
	// Whoever reconciles the range makes it whole as well, by rules of its own.
	return j.need.within(c.read) && !c.needsReconcile(o.rng)
}

// compared returns the legs whose checksums are asked for.
func (c *Core) compared(o *op) legSet {
	j := &o.copy
	switch {
	case j.kind == copyReconcile:
		return c.ack &^ c.removed // every leg of S' has a say
	case j.kind == copyJoin:
		if src := c.joinSource(); src != noLeg {
			return only(src).with(c.join.leg)
		}
		return 0
	case j.pass == passVerify:
		return j.written & c.read
	case j.kind == copyHeal:
		return c.usableOf(c.read)
	}
	return c.read
}

// copySums asks the legs for the checksums of the part.
func (c *Core) copySums(o *op) {
	j := &o.copy
	j.need, j.failed, j.vague, j.next = c.compared(o), false, false, 0
	if j.need == 0 || !o.current(c) || !j.need.within(c.usableOf(j.need)) {
		c.copyDone(o, false)
		return
	}
	j.buf.blocks = j.buf.blocks[:j.part.Len/BlockBytes]
	clear(j.buf.blocks)
	medium := j.kind == copyScrub || j.pass == passVerify
	for s := j.need; s != 0; s = s.rest() {
		j.calls++
		c.callLeg(s.first(), &Command{Kind: CommandSums, Range: j.part, Medium: medium}, o, 0)
	}
}

// onSums takes one leg's checksums of the part.
func (c *Core) onSums(k call, err error, r *Reply) {
	o := k.op
	j := &o.copy
	j.calls--
	if o.list == &c.zombies {
		c.retire(o)
		return
	}
	if err == nil {
		err = j.takeSums(k.leg, r, c.breaks(BreakBadEqual))
	}
	switch {
	case err == nil:
	case errors.Is(err, block.ErrMedium): // it did not say which block
		j.vague = j.part.Len > BlockBytes
		for b := range j.buf.blocks {
			j.buf.blocks[b].bad = j.buf.blocks[b].bad.with(k.leg)
		}
	default:
		j.failed = true
		c.legCallFailed(k, err)
	}
	if j.calls > 0 {
		return
	}
	switch {
	case j.failed || !o.current(c):
		c.copyDone(o, false)
	case j.vague:
		c.narrow(o, j.part)
	default:
		c.lay.compare(c, o)
	}
}

// takeSums takes over what a leg answered.
func (j *copyJob) takeSums(i LegIndex, r *Reply, badEqual bool) error {
	blocks := j.buf.blocks
	if len(r.Sums) != len(blocks) {
		return fmt.Errorf("%d checksums of %d blocks: %w", len(r.Sums), len(blocks), block.ErrFailed)
	}
	j.buf.sums[i] = r.Sums
	for _, b := range r.Bad {
		if int(b) >= len(blocks) {
			return fmt.Errorf("block %d of %d is bad: %w", b, len(blocks), block.ErrFailed)
		}
		if !badEqual { // [M:badEqual]
			blocks[b].bad = blocks[b].bad.with(i)
		}
	}
	return nil
}

// compare judges the blocks of the part, and begins to give legs what they lack.
func (c *Core) compare(o *op) {
	j := &o.copy
	if j.pass == passVerify {
		c.verify(o)
		return
	}
	amiss := false
	for b := range j.buf.blocks {
		c.judge(o, b)
		amiss = amiss || j.buf.blocks[b].right == 0 || j.buf.blocks[b].lacks != 0
	}
	if j.pass == passLook {
		if amiss {
			c.mendAlone(o)
			return
		}
		c.nextPart(o)
		return
	}
	c.found(o)
	c.copyRun(o)
}

// mendAlone takes the extent of a scrub again, without readers: something is amiss there.
func (c *Core) mendAlone(o *op) {
	o.copy.pass, o.copy.part = passMend, o.rng
	c.unlock(o)
	c.lockRange(o, true)
}

// copyRun goes on with the next block of the part that some leg lacks; behind the last one the part is
// done.
func (c *Core) copyRun(o *op) {
	j := &o.copy
	blocks := j.buf.blocks
	if j.kind == copyJoin && c.breaks(BreakNoResync) {
		j.next = len(blocks)
	}
	for ; j.next < len(blocks); j.next++ {
		b := &blocks[j.next]
		if b.right == 0 {
			if j.kind == copyReconcile {
				c.adoptBlocks(o)
				return
			}
			c.unreadBlock(o)
		} else if b.lacks != 0 {
			n, from := j.run()
			o.io = j.rangeOf(j.next, n)
			c.startFetch(o, o.io, from)
			return
		}
	}
	c.nextPart(o)
}

// run returns how many blocks from next on can be copied with one request, and who can give all of them.
func (j *copyJob) run() (n int, from legSet) {
	blocks := j.buf.blocks[j.next:]
	n, from = 1, blocks[0].right
	all := from
	for x := 1; x < len(blocks) && x-n < mergeBlocks; x++ {
		if all &= blocks[x].right; all == 0 {
			break
		}
		if blocks[x].lacks != 0 {
			n, from = x+1, all
		}
	}
	return n, from
}

// rangeOf returns the bytes of n blocks of the part.
func (j *copyJob) rangeOf(first, n int) block.Range {
	return block.Range{Off: j.part.Off + int64(first)*BlockBytes, Len: int64(n) * BlockBytes}
}

// copyFetched writes a run to the legs that lack it.
func (c *Core) copyFetched(o *op, data Handle) {
	o.data = data
	if !o.current(c) {
		c.copyDone(o, false)
		return
	}
	j := &o.copy
	var to legSet
	for b := range o.io.Len / BlockBytes {
		to |= j.buf.blocks[j.next+int(b)].lacks
	}
	if j.kind == copyReconcile {
		to |= c.wo
	}
	c.dispatch(o, to)
	c.advanceCopy(o)
}

// advanceCopy goes on when the run is on every leg that needs it. Whatever happens, the range is not given
// back while a leg that gets the next write of it still has this one: the two could overtake each other.
func (c *Core) advanceCopy(o *op) {
	// A leg that is not needed any more is not waited for; one that begins to join waits for this write to
	// end, and not the write for it.
	need := o.targets & c.receivers()
	if !need.within(o.answered | o.noSpace) {
		return
	}
	// A leg that cannot rewrite a bad block keeps it; one on which legs would differ has failed.
	if full := o.noSpace & need; full != 0 && !o.mends() {
		c.noRoom(o, full)
		return
	}
	if o.inflight != 0 || !o.current(c) { // a removed leg still holds the payload: looked at again
		c.copyDone(o, false)
		return
	}
	c.writes.remove(o)
	c.emit(Effect{Kind: EffectRelease, Data: o.data})
	o.data = nil
	c.note(workIdle)
	c.lay.rewrote(c, o)
}

// rewrote goes on behind a run that is on every leg that lacked it.
func (c *Core) rewrote(o *op) {
	c.mended(o)
	o.copy.next += int(o.io.Len / BlockBytes)
	c.copyRun(o)
}

// narrow goes on with the first half of r, of which somebody cannot read something: what can be read is
// copied all the same, block by block if need be.
func (c *Core) narrow(o *op, r block.Range) {
	blocks := r.Len / BlockBytes
	o.copy.part = block.Range{Off: r.Off, Len: (blocks + 1) / 2 * BlockBytes}
	c.copySums(o)
}

// nextPart goes on behind the part; behind the last one the extent is done.
func (c *Core) nextPart(o *op) {
	j := &o.copy
	j.adopted = 0
	if off := j.part.End(); off < o.rng.End() {
		j.part = block.Range{Off: off, Len: o.rng.End() - off}
		c.copySums(o)
		return
	}
	if j.pass == passMend && j.kind >= copyHeal && j.written != 0 {
		j.pass, j.part = passVerify, o.rng
		c.copySums(o)
		return
	}
	c.copyDone(o, true)
}

// copyUnreadable goes on when nobody who was thought to have a run can read all of it.
func (c *Core) copyUnreadable(o *op) {
	j := &o.copy
	switch {
	case o.fetch.tried == 0 || !o.current(c): // nobody is left to ask: later
		c.copyDone(o, false)
	case o.io.Len > BlockBytes:
		c.narrow(o, o.io)
	default:
		j.buf.blocks[j.next].bad |= o.fetch.tried
		c.judge(o, j.next)
		c.copyRun(o)
	}
}

// copyDone ends the work on an extent.
func (c *Core) copyDone(o *op, ok bool) {
	j := o.copy
	c.endFetch(o)
	c.copies--
	c.note(workCopy | workJoin)
	switch j.kind {
	case copyReconcile:
		c.reconcile.set.done(j.extent, ok)
		if !ok {
			c.reconcile.retryAt = c.retryLater()
		}
	case copyJoin:
		c.joinCopied(&j, ok)
	case copyHeal:
		c.heal.ended(o)
	case copyScrub:
		c.scrubbed(&j, ok)
	}
	c.retire(o)
	switch {
	case j.kind == copyReconcile && ok:
		c.startCleaned()
	case j.kind == copyHeal:
		c.lay.startMended(c)
	}
	for s := j.failing; s != 0; s = s.rest() {
		c.relapsed(s.first())
	}
}

// retryLater returns when what failed is tried again.
func (c *Core) retryLater() time.Duration {
	at := c.now + c.timing().Retry
	c.wake(at)
	return at
}
