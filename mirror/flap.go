package mirror

import "time"

// flapping is what the Core knows of a leg that fails again and again. Each failure soon after it joined
// doubles the time that it has to wait before it joins again, up to Timing.JoinBan; from the second on it
// also has to be well for a while as a write-only leg before acks need it (failure matrix 43). A leg in
// sync is never banned, so the last one cannot be; a replacement is another leg and starts afresh.
type flapping struct {
	fails     int           // failures in a row, each before it had been well for long
	wait      time.Duration // how long it has to wait, or had to before it joined
	joinAt    time.Duration // it joins not before this
	joiningAt time.Duration // since when it gets every write, in the present join
	inSyncAt  time.Duration // since when it is in sync; zero = it is not
	slow      bool          // it leaves because others waited for it
	excused   bool          // it leaves for a reason that is not its own
	excuses   int           // such in a row
}

// probationMost bounds how long a leg that failed before is write-only at least; excusesMost how often the
// wait doubles after joins that ended without the leg's fault.
const (
	probationMost = time.Minute
	excusesMost   = 6
	// slowFails is how many failures it counts for that others waited for a leg: the guest pays for each trial
	// of a leg that is slow still, so the first one comes late, and the leg has to show first that it is well.
	slowFails = 4
)

// backOff makes a leg that left wait before it joins, longer with each failure.
func (c *Core) backOff(i LegIndex) {
	f, t := &c.leg(i).flap, c.timing()
	if f.inSyncAt != 0 && c.now-f.inSyncAt >= t.JoinWell {
		f.fails = 0
	}
	if f.slow {
		f.fails = max(f.fails, slowFails)
	}
	if f.excused {
		f.wait = min(t.JoinBackOff<<min(f.excuses, excusesMost), t.JoinBan)
		f.excuses++
	} else {
		f.wait = min(t.JoinBackOff<<min(f.fails, 20), t.JoinBan)
		f.fails++
	}
	f.inSyncAt, f.excused, f.slow = 0, false, false
	f.joinAt = c.now + f.wait
	c.wake(f.joinAt)
}

// letGo drops a joining leg for a reason that is not its own.
func (c *Core) letGo(i LegIndex, why string) {
	c.leg(i).flap.excused = true
	c.dropJoin(i, why)
}

// onProbation reports whether a joining leg has to show first that it is well.
func (c *Core) onProbation(i LegIndex) bool { return c.leg(i).flap.fails > 1 }

// trialLeast is for how long at least a leg that failed before is dropped as soon as others wait for it.
const trialLeast = 5 * time.Second

// onTrial reports whether a leg that failed before has begun to get writes so lately that nothing is lost by
// dropping it at the first sign that it is slow: a write that it holds keeps its blocks locked.
func (c *Core) onTrial(i LegIndex) bool {
	g := c.leg(i)
	return g.state.Joining() && g.flap.fails > 0 && c.now-g.flap.joiningAt < max(g.flap.wait, trialLeast)
}

// stillSlow reports whether a leg that failed before took long for the CONFIG with which its join began.
func (c *Core) stillSlow(k call) bool {
	return c.leg(k.leg).flap.fails > 0 && c.now-k.at >= c.timing().SlowLeg/2 && c.othersConfirmed(k.leg, k.at)
}

// proven reports whether a leg that is copied has been well for long enough to be needed for acks: as long
// as it had to wait before, its medium answered in that time, and it was not slow.
func (c *Core) proven(i LegIndex) bool {
	g := c.leg(i)
	return !c.onProbation(i) ||
		c.now-g.flap.joiningAt >= min(g.flap.wait, probationMost) &&
			g.medium.answered >= g.flap.joiningAt && 2*g.slow.lag[lagQuick] <= c.timing().SlowLeg
}

// banned returns for how long the leg may not join, zero if it may or takes part.
func (c *Core) banned(i LegIndex) time.Duration {
	if g := c.leg(i); g.state == LegOutside && g.info.Join && !g.info.Retiring && g.flap.joinAt > c.now {
		return g.flap.joinAt - c.now
	}
	return 0
}
