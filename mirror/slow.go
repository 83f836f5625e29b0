package mirror

import (
	"fmt"
	"time"

	"github.com/holdfast-storage/holdfast/block"
)

// A leg is slow when it keeps waiting what another leg has done. What it may cost is a budget, the lag:
// the time in which something waited for it alone, which leaks away at a 24th of the time that passes.
// When the budget is used up the leg leaves. So one hiccup shorter than the budget removes nobody,
// and a leg that is late again and again does not stall the guest longer than one that hangs.

// lagScale tells what waits for a page cache from what waits for a medium.
type lagScale uint8

const (
	lagQuick  lagScale = iota // writes, reads, signs of life: Timing.SlowLeg
	lagMedium                 // flush, FUA, zero, reads that another leg has given: Timing.SlowFlush
	lagScales
)

// What a leg is given before a request counts as waiting for it: a fifth of the budget, and on top what a
// slow disk or link needs for what the leg holds. Under load a request waits for those ahead of it,
// and the slower of two good legs has always something left to do.
const (
	lagPerRequest = 5 * time.Millisecond
	lagBytesPerS  = 64 << 20
	lagLeak       = 24
)

// A leg whose read another leg had to give is not read for a while, then by one request at a time.
const (
	avoidLeast = 5 * time.Second
	avoidMost  = time.Minute
)

// slowness is what the Core knows of a leg's pace.
type slowness struct {
	lag     [lagScales]time.Duration // used up of each budget
	charged [lagScales]time.Duration // what was open before this was charged already
	bytes   int64                    // of writes that it holds

	avoid   time.Duration // not read before this if another leg can be
	penalty time.Duration // how long it was avoided last; zero = it reads well
	late    time.Duration // since when it owes a read that another leg gave; zero = it owes none
	accused bool          // it is suspect because it is slow
}

// openLags says for each leg since when something waits for it alone; zero = nothing does.
type openLags [MaxLegs][lagScales]time.Duration

func (l *openLags) add(i LegIndex, s lagScale, since time.Duration) {
	if at := &l[i][s]; *at == 0 || since < *at {
		*at = since
	}
}

func (c *Core) lagBudget(s lagScale) time.Duration {
	if s == lagMedium {
		return c.timing().SlowFlush
	}
	return c.timing().SlowLeg
}

// overdue looks at everything that waits for legs, charges their budgets and accuses those that used
// them up.
func (c *Core) overdue() {
	gap := c.now - c.lastLook
	if c.lastLook = c.now; gap > 2*c.timing().Ping {
		// The engine itself was held up: answers may lie about that it did not get to see.
		c.awake = c.now
	}
	var open openLags
	c.openWrites(&c.writes, &open)
	c.openWrites(&c.flushes, &open)
	c.openReads(&open)
	for s := c.ack | c.wo; s != 0; s = s.rest() {
		g, i := c.leg(s.first()), s.first()
		if g.pinging && c.othersConfirmed(i, g.pingAt) {
			open.add(i, lagQuick, g.pingAt)
		}
		if g.slow.late != 0 {
			open.add(i, lagMedium, g.slow.late)
		}
		if g.trouble != 0 {
			c.chargeAbsence(i, gap)
			continue
		}
		for scale := range lagScales {
			c.charge(i, scale, open[i][scale], gap)
		}
	}
	c.hedge()
}

// charge counts what waits for a leg since a time against its budget, or lets the budget recover.
func (c *Core) charge(i LegIndex, s lagScale, since, gap time.Duration) {
	g := &c.leg(i).slow
	limit := c.lagBudget(s)
	if since != 0 {
		since = max(since, c.awake)
	}
	if since == 0 || c.now-since < c.lagGrace(i, limit) {
		g.lag[s] = max(0, g.lag[s]-gap/lagLeak)
		return
	}
	g.lag[s] = min(2*limit, g.lag[s]+c.now-max(since, g.charged[s]))
	g.charged[s] = c.now
	switch {
	case c.onTrial(i):
		c.accuse(i, "it is slow still")
	case g.lag[s] >= limit && (c.now-since >= limit || c.betterThan(i, s)):
		c.accuse(i, fmt.Sprintf("it is slow: others waited %v for it", limit))
	}
}

// chargeAbsence counts half of the time in which something waits for a leg that is away: being away once is
// bounded by Timing.LegLost, being away again and again is not.
func (c *Core) chargeAbsence(i LegIndex, gap time.Duration) {
	g, limit := &c.leg(i).slow, c.timing().SlowLeg
	if c.awake == c.now || c.writes.n+c.flushes.n+c.stale.n == 0 {
		return
	}
	g.lag[lagQuick] = min(2*limit, g.lag[lagQuick]+gap/2)
	if g.lag[lagQuick] >= limit && c.betterThan(i, lagQuick) {
		c.accuse(i, "it comes and goes")
	}
}

// lagGrace returns how long a request may take on a leg before it counts.
func (c *Core) lagGrace(i LegIndex, limit time.Duration) time.Duration {
	g := c.leg(i)
	load := time.Duration(g.inflight)*lagPerRequest +
		time.Duration(g.slow.bytes)*(time.Second/(1<<20))/(lagBytesPerS>>20)
	if c.onTrial(i) {
		// What piles up at a leg that is slow still would earn it more time: the guest waits for each block that
		// such a leg holds when it writes the block again.
		limit /= 2
	}
	return min(limit, limit/5+load)
}

// betterThan reports whether another leg in sync is clearly faster than leg i. Where each is late in its
// turn, removing one would not help.
func (c *Core) betterThan(i LegIndex, s lagScale) bool {
	for o := c.ack.without(i); o != 0; o = o.rest() {
		k := c.leg(o.first())
		if (k.state == LegInSync || k.state == LegAnnounced) && 2*k.slow.lag[s] <= c.leg(i).slow.lag[s] {
			return true
		}
	}
	return false
}

// tooSlow reports whether a suspect leg has to win back trust before it is used again, while another
// one can do without it.
func (c *Core) tooSlow(i LegIndex) bool {
	for s := range lagScales {
		if 2*c.leg(i).slow.lag[s] > c.lagBudget(s) && c.betterThan(i, s) {
			return c.removable(i)
		}
	}
	return false
}

// accuse makes a slow leg suspect, drops it if it joins, and ends the session of one that is suspect
// already. The last leg that is any good is never accused: all there is to do is to wait for it.
func (c *Core) accuse(i LegIndex, why string) {
	g := c.leg(i)
	if g.state == LegSuspect || g.state == LegRemoving {
		wait := 2 * c.timing().SlowLeg
		if !c.removable(i) {
			wait = 2 * c.timing().SlowFlush // all there is: a disk that needs long is given the time
		}
		if c.now-g.upSince >= wait {
			c.reset(i, why)
		}
		return
	}
	if c.ack.has(i) && !c.removable(i) && !c.breaks(BreakLagLast) { // [M:lagLast]
		return
	}
	g.slow.accused = true
	c.suspect(i, why)
}

// openWrites finds the legs that keep writes or flushes waiting which another leg has done.
func (c *Core) openWrites(l *opList, open *openLags) {
	for o := l.head; o != nil && c.now-o.sentAt >= c.timing().SlowLeg/5; o = o.next {
		scale := lagQuick
		if o.verb != block.OpWrite || o.flags&block.FUA != 0 {
			scale = lagMedium
		}
		for s := o.targets & (c.ack | c.wo) & o.inflight &^ o.answered; s != 0; s = s.rest() {
			i := s.first()
			g := c.leg(i)
			switch {
			case o.answered != 0:
				open.add(i, scale, max(o.firstAt, g.upSince))
			case o.kind == opCopy || o.purpose.ofJoin():
				// Nobody else was asked: only one that hangs counts.
				since := max(o.sentAt, g.upSince)
				if c.now-since >= c.lagBudget(scale) && c.othersConfirmed(i, o.sentAt) {
					open.add(i, scale, since)
				}
			}
		}
	}
}

// openReads finds the legs that keep reads waiting while another one reads.
func (c *Core) openReads(open *openLags) {
	for o := c.fetching.head; o != nil; o = o.next {
		f := &o.fetch
		if f.reading == 0 || c.now-f.sentAt < c.timing().Hedge {
			continue
		}
		for s := f.reading; s != 0; s = s.rest() {
			if c.othersRead(s.first(), f.sentAt) {
				open.add(s.first(), lagQuick, max(f.sentAt, c.leg(s.first()).upSince))
			}
		}
	}
}

// othersConfirmed reports whether some other leg answered a request that was not sent before at. A leg is
// slow only in comparison: if none answers, it is the network or the load, and removing one of them
// would not help.
func (c *Core) othersConfirmed(i LegIndex, at time.Duration) bool {
	for s := c.ack.without(i); s != 0; s = s.rest() {
		if c.leg(s.first()).lastConfirm >= at {
			return true
		}
	}
	return false
}

// othersRead is the same for reads alone: a sign of life costs a leg nothing, so a leg that answers those
// at once may read as slowly as the accused one.
func (c *Core) othersRead(i LegIndex, at time.Duration) bool {
	for s := c.read.without(i); s != 0; s = s.rest() {
		if c.leg(s.first()).lastRead > at {
			return true
		}
	}
	return false
}

// hedge sends old reads to another leg.
func (c *Core) hedge() {
	for o, n := c.fetching.head, c.fetching.n; o != nil && n > 0; n-- {
		next := o.next
		f := &o.fetch
		if waits := f.reading.count() == 1 || f.reading != 0 && f.decode != nil; waits &&
			c.now-f.sentAt >= c.timing().Hedge {
			c.lay.fetch(c, o)
		}
		o = next
	}
}

// readsBetter reports whether a read goes rather to leg i than to leg k: not to one that is avoided, then
// to the less busy one; equals take turns.
func (c *Core) readsBetter(i, k LegIndex) bool {
	if a, b := c.avoided(i), c.avoided(k); a != b {
		return b
	}
	if a, b := c.legs[i].reads, c.legs[k].reads; a != b {
		return a < b
	}
	return k <= c.lastRead && i > c.lastRead
}

// avoided reports whether a leg is not to be read if another can be. After its time one read tries it.
func (c *Core) avoided(i LegIndex) bool {
	g := c.leg(i)
	return c.now < g.slow.avoid || g.slow.penalty != 0 && g.reads > 0
}

// readWon takes into account that leg i gave what a fetch asked for: the one that was asked first and let
// the hedge win is avoided for a while, longer each time.
func (c *Core) readWon(f *fetch, i LegIndex) {
	if f.first == i {
		if c.now-f.sentAt < c.timing().Hedge {
			c.leg(i).slow.penalty = 0
		}
		return
	}
	if f.reading.has(f.first) { // else it answered with an error
		c.outrun(f.first, f.sentAt)
	}
}

// outrun avoids a leg for a while, longer each time: what it was asked for is had elsewhere sooner.
func (c *Core) outrun(i LegIndex, sentAt time.Duration) {
	g := &c.leg(i).slow
	if g.late == 0 {
		g.late = sentAt
	}
	if c.now >= g.avoid { // of several reads that wait for it one counts
		g.penalty = min(max(2*g.penalty, avoidLeast), avoidMost)
		g.avoid = c.now + g.penalty
	}
}
