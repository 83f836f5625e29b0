package mirror

import (
	"fmt"
	"strings"
	"time"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/volume"
)

// joinJob brings one leg in sync (protocol §1.7.5, protocol-flush B.8, C.8):
//
//	RecordFence → CONFIG → every new write goes to it → writes sent without it have ended → copy set
//	→ copy → versions → acks need it → it answered its older writes → flush → AddLeg → CONFIG everywhere → read
//
// Acks need the leg before its older writes are awaited, so no dispatch has to stop: a write that
// was acknowledged without the leg was sent before, and is among those awaited. A failure before
// AddLeg is sent drops the leg and needs no commit; after that only RemoveLeg settles what it is.
type joinJob struct {
	active  bool
	number  uint64 // tells this join from earlier ones
	leg     LegIndex
	barrier uint64 // writes up to this one were sent without the leg, or before acks needed it
	asked   legSet // legs that were asked for marks
	marks   int    // answers that are still to come
	set     extents
	flushed bool
	retryAt time.Duration

	// stuck are extents with blocks that no leg in sync can read, unread is one of such blocks. They are
	// looked at again at stuckAt, and the leg is not promoted before they can be read (protocol §1.7.6):
	// the guest may overwrite them.
	stuck    []int64
	unread   block.Range
	stuckAt  time.Duration
	stamping bool // the source is being asked for its versions
	save     saveJob
}

// joinStuck is how long a join waits before it looks again at what no leg in sync can read.
const joinStuck = 5 * time.Second

// settleJoin takes the next step of the join that has become possible.
func (c *Core) settleJoin() {
	c.releaseForgotten()
	if c.phase != phaseServing {
		return
	}
	j := &c.join
	if !j.active {
		c.tryJoin()
		return
	}
	switch c.leg(j.leg).state {
	case LegSettling:
		if c.writtenThrough(j.barrier) {
			c.enter(j.leg, LegMarking, "every write that was sent without it has ended")
		}
	case LegMarking:
		c.lay.askCopySet(c)
	case LegCopying:
		c.settleSave()
		if c.leg(j.leg).state != LegCopying {
			return
		}
		if j.set.left == 0 && j.save.step == saveIdle && c.proven(j.leg) {
			c.enter(j.leg, LegStamping, "its copy set is copied")
			c.note(workJoin)
		}
	case LegStamping:
		c.lay.stamp(c)
	case LegDraining:
		if c.drained(j.leg, j.barrier) {
			c.enter(j.leg, LegFlushing, "it answered every write it was sent")
			c.lay.flushJoin(c)
		}
	case LegFlushing:
		if j.flushed || c.breaks(BreakNoJoinFlush) { // [M:noJoinFlush]
			c.enter(j.leg, LegAdding, "what it holds is durable")
		}
	}
}

// tryJoin begins to bring in the first leg that can and may be.
func (c *Core) tryJoin() {
	if c.read == 0 || c.reconcile.set.left > 0 || c.ack.count() >= volume.MaxInSync { // a record names no more legs
		return
	}
	for s := c.known &^ c.ack; s != 0; s = s.rest() {
		i := s.first()
		g := c.leg(i)
		if g.state != LegOutside || !g.up || g.bad != "" || !g.info.Join || g.info.Retiring || g.forget ||
			g.inflight > 0 || g.calls > 0 || g.resetAsked || g.recording {
			continue
		}
		if wait := max(g.flap.joinAt, g.recordAt); wait > c.now {
			c.wake(wait)
			continue
		}
		c.join = joinJob{active: true, number: c.join.number + 1, leg: i}
		c.enter(i, LegRecording, "it can be reached and is wanted")
		c.recordFence(i)
		return
	}
}

// settleIn lets a leg that has CONFIG receive every write from now on.
func (c *Core) settleIn(i LegIndex) {
	c.enter(i, LegSettling, "CONFIG is durable on it")
	c.join.barrier = c.seq
}

// joinSource returns the leg of read_set whose marks and checksums count, noLeg if there is none.
func (c *Core) joinSource() LegIndex {
	from := c.usableOf(c.read)
	if from == 0 {
		return noLeg
	}
	return from.first()
}

// askJoinMarks asks for the copy set: what is newer on the source than the leg's last in-sync
// configuration ∪ the leg's own marks [M:noOwnMarks] ∪ the source's marks. A leg that never was in
// sync, of which that is not known, or that was set back is compared in full.
func (c *Core) askJoinMarks() {
	j := &c.join
	src := c.joinSource()
	if j.asked != 0 || src == noLeg || j.retryAt > c.now {
		return
	}
	j.set = extents{}
	j.set.init(c.legBytes(), c.timing().CopyBytes)
	g := c.leg(j.leg)
	since := g.copySince()
	if since == 0 {
		if since = c.resume(g); since == 0 {
			j.set.add(block.Range{Len: c.legBytes()})
			c.enter(j.leg, LegCopying, "it is compared in full")
			return
		}
	}
	j.asked, j.marks = only(j.leg).with(src), 2
	ref := markJoin + j.number
	c.callLeg(src, &Command{Kind: CommandMarks, Since: since}, nil, ref)
	c.callLeg(j.leg, &Command{Kind: CommandMarks, Since: c.kcfg.CfgVer}, nil, ref)
}

func (c *Core) onJoinMarks(k call, err error, r *Reply) {
	j := &c.join
	if !j.active || k.ref != markJoin+j.number || c.leg(j.leg).state != LegMarking {
		return
	}
	c.note(workJoin)
	if err != nil {
		c.legCallFailed(k, err)
		j.asked, j.retryAt = 0, c.now+c.timing().Retry // asked anew, under a new number
		j.number++
		c.wake(j.retryAt)
		return
	}
	if k.leg != j.leg || !c.breaks(BreakNoOwnMarks) {
		for _, m := range r.Marked {
			j.set.add(m)
			if k.leg == j.leg {
				j.save.noteOwn(m)
			}
		}
	}
	if k.leg != j.leg {
		for _, m := range r.Newer {
			j.set.add(m)
		}
	}
	if j.marks--; j.marks == 0 {
		c.enter(j.leg, LegCopying, fmt.Sprintf("%d KiB are compared", j.set.left*j.set.bytes>>10))
		c.note(workCopy)
	}
}

// joinCopying reports whether extents of a join may be started now.
func (c *Core) joinCopying() bool {
	return c.join.active && c.leg(c.join.leg).state == LegCopying && c.join.retryAt <= c.now
}

// pumpJoin starts copies of the join.
func (c *Core) pumpJoin(depth int) {
	j := &c.join
	if !c.joinCopying() {
		return
	}
	if len(j.stuck) > 0 && j.stuckAt <= c.now {
		for _, x := range j.stuck {
			j.set.done(x, false)
		}
		j.stuck = j.stuck[:0]
	}
	for c.copies < depth && c.joinCopying() {
		x := j.set.takeNext()
		if x < 0 {
			break
		}
		c.startCopy(copyJob{kind: copyJoin, number: j.number, extent: x}, j.set.rangeOf(x), false)
	}
}

// joinBusy reports whether a join has something to do but to wait for blocks that cannot be read.
func (c *Core) joinBusy() bool {
	j := &c.join
	return j.active && (c.leg(j.leg).state != LegCopying || j.set.left > int64(len(j.stuck)))
}

// joinCopied goes on after an extent.
func (c *Core) joinCopied(k *copyJob, ok bool) {
	j := &c.join
	switch {
	case !j.active || k.number != j.number:
	case ok && k.unread && !c.breaks(BreakPromoteUnread): // [M:promoteUnread]
		j.stuck, j.stuckAt = append(j.stuck, k.extent), c.now+joinStuck
		c.wake(j.stuckAt)
		c.leg(j.leg).lastErr = c.whyUnread()
	case ok:
		j.set.done(k.extent, true)
	default:
		j.set.done(k.extent, false)
		j.retryAt = c.retryLater()
	}
}

// whyUnread says why a leg that is copied cannot be promoted.
func (c *Core) whyUnread() string {
	var legs []string
	for s := c.read; s != 0; s = s.rest() {
		legs = append(legs, c.describe(s.first()))
	}
	return fmt.Sprintf("block %s cannot be read on any leg in sync (%s): it is copied once the guest has "+
		"overwritten it", c.join.unread, strings.Join(legs, ", "))
}

// promote makes acks need a leg that is copied. From here on its flushes count too.
func (c *Core) promote() {
	j := &c.join
	c.enter(j.leg, LegDraining, "the source's versions are durable on it")
	j.barrier = c.seq
	if c.stop == nil {
		c.needFlushOf(j.leg)
	}
}

// drained reports whether the leg answered every write that it was sent up to seq [M:noWODrain].
func (c *Core) drained(i LegIndex, seq uint64) bool {
	if c.breaks(BreakNoWODrain) {
		return true
	}
	for o := c.writes.head; o != nil && o.seq <= seq; o = o.next {
		if o.targets.has(i) && !o.answered.has(i) {
			return false
		}
	}
	return true
}

// dropJoin lets go of a joining leg that the coordinators cannot have added.
func (c *Core) dropJoin(i LegIndex, why string) {
	c.leg(i).lastErr = why
	c.join.active = false
	c.enter(i, LegOutside, why)
}
