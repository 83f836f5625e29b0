package mirror

import (
	"fmt"
)

// onTick looks at everything that depends on time. Between ticks nothing does: there is no timer
// for a request.
func (c *Core) onTick() {
	c.deadline = 0
	if c.phase == phaseNew || c.phase == phaseDetached {
		return
	}
	c.note(workMembers | workAttach | workCopy)
	c.work &^= workSweep | workConfig
	if c.now >= c.tickAt {
		c.tickAt = c.now + c.timing().Ping/2
		c.regular()
	}
	c.wake(c.tickAt)
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
	c.unsent()
	c.overdue()
	c.challenge()
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
	if g.retryAt != 0 && c.now >= g.retryAt {
		g.retryAt = 0
		c.resend(i)
		return
	}
	if g.state == LegSuspect && g.trouble == 0 && g.retryAt == 0 && !c.owes(i) && !c.tooSlow(i) &&
		c.now-g.lastConfirm < t.TRead {
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

// overdueCalls ends sessions on which a command hangs.
func (c *Core) overdueCalls() {
	for _, k := range c.calls {
		if !k.kind.ToLeg() || k.ref == sumsChallenge {
			continue
		}
		limit := c.timing().SlowFlush
		if k.kind == CommandConfig {
			limit = 2 * c.timing().LegLost
			if c.removed != 0 && c.leg(k.leg).state.Joining() {
				limit = c.timing().SlowLeg // held answers wait for it
			}
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
		switch {
		case g.state >= LegSuspect:
			l.Error = g.why
		case g.state == LegInSync && g.up && g.trouble == 0:
			l.Error = "" // whatever it was, it is over
		}
		if c.join.active && c.join.leg == i && g.state == LegCopying {
			l.CopyDone, l.CopyTotal = c.join.set.bytesDone()
		}
		l.SetBack, l.RejoinIn, l.Lag = g.setBack, c.banned(i), g.slow.lag[lagQuick]
		l.MediumErrors, l.Healed = g.mend.errors, g.mend.healed
		s.Legs = append(s.Legs, l)
	}
	c.mendStatus(&s)
	return s
}
