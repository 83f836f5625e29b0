package mirror

import (
	"fmt"
	"time"

	"github.com/holdfast-storage/holdfast/block"
)

// onTick looks at everything that depends on time. Between ticks nothing does: there is no timer
// for a request.
func (c *Core) onTick() {
	c.deadline = 0
	if c.phase == phaseNew || c.phase == phaseDetached {
		return
	}
	if c.now >= c.tickAt {
		c.tickAt = c.now + c.timing().Ping/2
		c.regular()
	}
	c.wake(c.tickAt)
	c.note(workMembers | workAttach | workCopy)
	c.work &^= workSweep | workConfig
}

// regular is the look at legs and old requests, twice in a ping interval.
func (c *Core) regular() {
	c.overdueCalls()
	if c.phase < phaseConfiguring || c.phase > phaseDraining {
		return
	}
	for s := c.ack | c.wo; s != 0; s = s.rest() {
		c.look(s.first())
	}
	c.overdueWrites(&c.writes)
	c.overdueWrites(&c.flushes)
	c.overdueReads()
	c.note(workConfig) // a CONFIG that failed without a lost session is sent again
}

// look checks on one leg: signs of life, T_leg, and whether a suspect leg is well again.
func (c *Core) look(i LegIndex) {
	g, t := c.leg(i), c.timing()
	if g.up && c.now-g.lastSent >= t.Ping {
		c.ping(i)
	}
	if g.trouble != 0 && c.now-g.trouble >= t.LegLost {
		c.suspect(i, fmt.Sprintf("no answer for %v: %s", t.LegLost, g.lastErr))
		if g.up && c.now-g.upSince >= t.LegLost {
			c.reset(i, "it does not answer")
		}
	}
	if g.pinging && c.now-g.pingAt >= t.SlowLeg && c.othersConfirmed(i, g.pingAt) {
		c.accuse(i, "it does not answer signs of life")
	}
	if g.retryAt != 0 && c.now >= g.retryAt {
		g.retryAt = 0
		c.resend(i)
		return
	}
	if g.state == LegSuspect && g.trouble == 0 && g.retryAt == 0 && !c.owes(i) && c.now-g.lastConfirm < t.TRead {
		c.rehabilitate(i)
	}
}

// owes reports whether the leg has not answered some write for longer than a slow leg may take.
func (c *Core) owes(i LegIndex) bool {
	for _, l := range [...]*opList{&c.writes, &c.flushes} {
		for o := l.head; o != nil; o = o.next {
			if o.targets.has(i) && !(o.answered | o.noSpace).has(i) && c.now-o.sentAt >= c.timing().SlowLeg {
				return true
			}
		}
	}
	return false
}

// othersConfirmed reports whether some other leg answered a request that was sent after at. A leg is
// slow only in comparison: if none answers, it is the network or the load, and removing one of them
// would not help.
func (c *Core) othersConfirmed(i LegIndex, at time.Duration) bool {
	for s := c.ack.without(i); s != 0; s = s.rest() {
		if c.leg(s.first()).lastConfirm > at {
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

// accuse makes a slow leg suspect, and ends the session of one that is so already.
func (c *Core) accuse(i LegIndex, why string) {
	g := c.leg(i)
	if g.state == LegSuspect || g.state == LegRemoving {
		if c.now-g.upSince >= 2*c.timing().SlowLeg {
			c.reset(i, why)
		}
		return
	}
	c.suspect(i, why)
}

// overdueWrites accuses the legs that keep others waiting.
func (c *Core) overdueWrites(l *opList) {
	for o := l.head; o != nil; o = o.next {
		limit := c.timing().SlowLeg
		if c.now-o.sentAt < limit {
			return // the rest is younger
		}
		if o.verb != block.OpWrite || o.flags&block.FUA != 0 {
			limit = c.timing().SlowFlush
		}
		if o.answered == 0 && o.kind != opCopy && o.purpose != flushJoin {
			continue
		}
		for s := o.targets & (c.ack | c.wo) & o.inflight &^ o.answered; s != 0; s = s.rest() {
			i := s.first()
			if c.now-max(o.sentAt, o.firstAt, c.leg(i).upSince) >= limit {
				c.accuse(i, fmt.Sprintf("a %s took longer than %v", o.verb, limit))
			}
		}
	}
}

// overdueReads sends old reads to a second leg, and accuses legs that keep the guest waiting.
func (c *Core) overdueReads() {
	for o, n := c.fetching.head, c.fetching.n; o != nil && n > 0; n-- {
		next := o.next
		if f := &o.fetch; f.reading != 0 && c.now-f.sentAt >= c.timing().Hedge {
			if c.now-f.sentAt >= c.timing().SlowLeg {
				for s := f.reading; s != 0; s = s.rest() {
					if c.othersRead(s.first(), f.sentAt) {
						c.accuse(s.first(), "a read took too long")
					}
				}
			}
			if f.reading.count() == 1 {
				c.sendFetch(o)
			}
		}
		o = next
	}
}

// overdueCalls ends sessions on which a command hangs.
func (c *Core) overdueCalls() {
	for _, k := range c.calls {
		if !k.kind.ToLeg() {
			continue
		}
		limit := c.timing().SlowFlush
		if k.kind == CommandConfig {
			limit = 2 * c.timing().LegLost
		}
		if c.now-k.at >= limit && c.leg(k.leg).sess == k.sess {
			c.leg(k.leg).lastErr = fmt.Sprintf("%s took longer than %v", k.kind, limit)
			c.reset(k.leg, c.leg(k.leg).lastErr)
		}
	}
}

// settleState derives what the engine says of itself.
func (c *Core) settleState() {
	if c.phase != phaseServing {
		return
	}
	for s := c.ack; s != 0; s = s.rest() {
		switch g := c.leg(s.first()); g.state {
		case LegSuspect, LegRemoving, LegRemoved:
			why := fmt.Sprintf("leg %s is %s: %s", c.describe(s.first()), g.state, g.why)
			if c.change.why != "" {
				why += "; the coordinators: " + c.change.why
			}
			c.setState(StateHeld, why)
			return
		}
	}
	c.setState(StateServing, "")
}

// Status appends what the Core does now to legs and returns it.
func (c *Core) Status(legs []LegStatus) Status {
	s := Status{State: c.state, Reason: c.reason, CfgVer: c.kcfg.CfgVer, Legs: legs}
	for k := c.known; k != 0; k = k.rest() {
		i := k.first()
		g := c.leg(i)
		l := LegStatus{ID: g.info.ID, State: g.state, Connected: g.up, Lossy: g.lost, Error: g.lastErr}
		if g.state >= LegSuspect {
			l.Error = g.why
		}
		if c.join.active && c.join.leg == i && g.state == LegCopying {
			l.CopyDone, l.CopyTotal = c.join.set.bytesDone()
		}
		s.Legs = append(s.Legs, l)
	}
	return s
}
