package mirror

import (
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/volume"
)

// errOldSession is how an answer counts that belongs to a session which is over: whatever it says,
// it says it of a leg that may have changed since.
var errOldSession = fmt.Errorf("answer of an ended session: %w", block.ErrUnreachable)

func unreachable(err error) bool {
	return errors.Is(err, block.ErrUnreachable) || errors.Is(err, block.ErrClosed)
}

// onUp takes a login into account.
func (c *Core) onUp(i LegIndex, r *volume.LegReport) {
	if !c.known.has(i) {
		return
	}
	g := c.leg(i)
	if g.up {
		c.onDown(i, fmt.Errorf("replaced by a new session: %w", block.ErrUnreachable))
	}
	restarted := g.report.Instance != r.Instance || g.report.BootID != r.BootID
	g.up, g.upSince, g.resetAsked, g.retryAt = true, c.now, false, 0
	g.sess++
	g.report, g.recorded = *r, false
	g.lossySeen = g.lossySeen || r.Lossy
	g.slow.late = 0
	older := false
	if g.bad = c.checkReport(i, r); g.bad != "" {
		g.lastErr = g.bad
	} else {
		older = c.compareShown(i, r)
	}
	c.note(workMembers | workAttach | workCopy)
	if c.phase < phaseConfiguring || c.phase > phaseDraining {
		return
	}
	if g.bad != "" {
		c.suspect(i, g.bad)
		return
	}
	if c.breaks(BreakJoinReboot) && g.state.Joining() { // it is copying, or copied
		c.join.stamping = false // that command went with the session
		c.resend(i)
		return
	}
	if c.ack.has(i) {
		c.backInAck(i, restarted, older)
	}
}

// backInAck decides what a leg is worth that logs in again while acks need it.
func (c *Core) backInAck(i LegIndex, restarted, older bool) {
	g := c.leg(i)
	// A loss that Activate declared is no new one as long as the leg has not been opened.
	declared := c.attach.declared.has(i) && g.confirmed == 0
	// [M:blindRelogin] A leg that lost its cache, or more, is not touched before it joins anew.
	lossy := g.report.Lossy && !declared && !c.breaks(BreakBlindRelogin)
	if lossy || older {
		g.lost = true
		c.suspect(i, g.lostWhy())
		c.checkCacheLost()
		return
	}
	if restarted {
		c.uncleared = true // what it could not read of its marks it takes for marked
	}
	if g.state == LegAdding && restarted && !c.breaks(BreakJoinReboot) { // [M:joinReboot]
		c.suspect(i, "it restarted while it was being added")
	}
	c.rehabilitate(i)
	c.resend(i)
	c.ping(i)
}

// rehabilitate takes a suspect leg back whose removal nobody has asked for: acks needed it all the
// time, so it lacks nothing.
func (c *Core) rehabilitate(i LegIndex) {
	g := c.leg(i)
	// A late RemoveLeg can still come through, unless the others are not enough without the leg.
	removed := g.unresolved && c.enough(c.kisr.without(i))
	if g.state != LegSuspect || removed || !c.usable(i) || c.retireDue(i) {
		return
	}
	g.unresolved, g.slow.accused = false, false
	if c.conf.has(i) && c.configured() {
		c.enter(i, LegInSync, "it came back")
		return
	}
	c.enter(i, LegAnnounced, "it came back")
}

// onDown takes the end of a session into account. Requests that it held complete on their own.
func (c *Core) onDown(i LegIndex, cause error) {
	if errors.Is(cause, block.ErrFenced) {
		c.over(fmt.Errorf("leg %s: %w", c.describe(i), cause))
		return
	}
	if !c.known.has(i) {
		return
	}
	g := c.leg(i)
	g.up, g.bad, g.resetAsked = false, "", false
	if cause != nil {
		g.lastErr = cause.Error()
	}
	c.note(workMembers | workAttach)
	if c.phase < phaseConfiguring || c.phase > phaseDraining {
		return
	}
	// [M:joinReboot] What a joining leg got in a session that ended may be lost: it starts anew.
	if g.state.Joining() && (g.state < LegCopying || !c.breaks(BreakJoinReboot)) {
		c.dropJoin(i, "its session ended")
		return
	}
	if c.ack.has(i) {
		c.troubled(i)
		c.abortClear()
	}
}

// troubled starts the time within which a leg must have answered again (T_leg).
func (c *Core) troubled(i LegIndex) {
	g := c.leg(i)
	if g.trouble == 0 {
		g.trouble = max(c.now, 1)
		c.wake(g.trouble + c.timing().LegLost)
	}
}

// suspect stops reading a leg and wants it removed. A joining leg is just dropped.
func (c *Core) suspect(i LegIndex, why string) {
	g := c.leg(i)
	switch {
	case g.state.Joining():
		c.dropJoin(i, why)
		return
	case g.state == LegAdding:
		g.unresolved = true
		c.join.active = false
		defer c.checkCacheLost()
	case g.state != LegAnnounced && g.state != LegInSync:
		return
	}
	g.why = why
	c.enter(i, LegSuspect, why)
	c.abortClear()
}

// legFailed takes into account that a leg answered with a failure of its own.
func (c *Core) legFailed(i LegIndex, err error) {
	g := c.leg(i)
	c.suspect(i, err.Error())
	if g.retryAt == 0 {
		g.retryAt = c.now + time.Second
		c.wake(g.retryAt)
	}
}

// checkCacheLost ends the attachment when no leg of the committed in-sync list kept its cache. A leg
// that is being added has every acknowledged write and may be in that list by now: as long as it is
// well, the answer to AddLeg is awaited; when it failed meanwhile, raft is asked what it is.
func (c *Core) checkCacheLost() {
	i := c.join.leg
	adding := c.join.active && c.leg(i).state == LegAdding && !c.leg(i).lost && c.kisr.within(c.conf)
	if c.cacheLost() && !adding && c.perhapsAdded() == noLeg {
		c.over(fmt.Errorf("volume: %w: the guest must start anew in a new epoch", ErrCacheLost))
	}
}

// cacheLost reports whether too few legs of the in-sync list that the engine knows kept their cache.
func (c *Core) cacheLost() bool { return c.kisr != 0 && !c.enough(c.kept(c.kisr)) }

// perhapsAdded returns a leg that kept its cache and failed while AddLeg was under way, when every
// other one lost its own: if raft has it in sync, it is all there is. noLeg if there is none.
func (c *Core) perhapsAdded() LegIndex {
	for s := c.ack &^ c.kisr; s != 0 && c.cacheLost(); s = s.rest() {
		if g := c.leg(s.first()); g.state == LegSuspect && g.unresolved && !g.lost {
			return s.first()
		}
	}
	return noLeg
}

// confirm notes that a leg answered, in its present session, a request sent at a time.
func (c *Core) confirm(i LegIndex, sentAt time.Duration) {
	g := c.leg(i)
	if g.trouble != 0 {
		g.trouble = 0
		c.note(workConfig | workRound) // CONFIG and ROLLBACK waited for the leg to answer
	}
	if sentAt > g.lastConfirm {
		g.lastConfirm = sentAt
		if c.stale.n > 0 {
			c.note(workStale)
		}
	}
}

// send sends a dispatched write or flush to one leg.
func (c *Core) send(o *op, i LegIndex) {
	if !c.usable(i) || !c.receivers().has(i) || o.inflight.has(i) {
		return // it is sent when the leg is back, or when the answer of the old session came
	}
	g := c.leg(i)
	o.inflight = o.inflight.with(i)
	o.noSpace = o.noSpace.without(i)
	g.inflight++
	if o.verb == block.OpWrite {
		g.slow.bytes += o.io.Len
		c.challenged.touch = o.io.Off
	}
	g.lastSent = c.now
	x := Effect{Kind: EffectSubmit, Leg: i, Op: o.verb, Flags: o.flags, Range: o.io, Data: o.data,
		Req: Req{Op: o.slot, Sess: g.sess, Leg: i}}
	if o.part.staged {
		x.Stage, x.Chunk = &o.part.plan, c.lay.chunk(o, g.info.Slot)
	}
	c.emit(x)
}

// resend sends what a leg has not answered. Nothing is sent twice at a time: what is still in the
// hands of an old session is sent again when its answer comes.
func (c *Core) resend(i LegIndex) {
	for _, l := range [...]*opList{&c.writes, &c.flushes} {
		for o := l.head; o != nil; o = o.next {
			if o.targets.has(i) && !o.answered.has(i) {
				c.send(o, i)
			}
		}
	}
}

// onDone takes a leg's answer to a request.
func (c *Core) onDone(ev *Event) {
	i := ev.Req.Leg
	if int(ev.Req.Op) >= len(c.ops) {
		c.bug("answer to an operation %d that never was", ev.Req.Op)
		return
	}
	o, g, err := c.ops[ev.Req.Op], c.leg(i), ev.Err
	if errors.Is(err, block.ErrFenced) {
		c.over(fmt.Errorf("leg %s: %s %s: %w", c.describe(i), ev.Op, o.io, err))
		return
	}
	if g.inflight--; g.inflight == 0 {
		c.note(workJoin)
	}
	current := g.up && g.sess == ev.Req.Sess
	if err == nil && !current {
		err = errOldSession
	}
	if ev.Req.Read {
		if g.reads--; err == nil || g.reads == 0 {
			g.slow.late = 0
		}
		c.onReadDone(o, i, ev.Req.Step, err, ev.Data)
		return
	}
	if !o.inflight.has(i) {
		c.bug("leg %s answered a request that it does not hold", c.describe(i))
		return
	}
	o.inflight = o.inflight.without(i)
	if o.verb == block.OpWrite {
		g.slow.bytes -= o.io.Len
	}
	if err == nil {
		c.confirm(i, o.sentAt)
		g.shown.answered(o)
	}
	if o.list == &c.zombies {
		c.retire(o)
		return
	}
	c.onWriteDone(o, i, err, current)
}

// onWriteDone takes a leg's answer to a write or flush that somebody still waits for.
func (c *Core) onWriteDone(o *op, i LegIndex, err error, current bool) {
	switch {
	case err == nil:
		if o.answered == 0 {
			o.firstAt = c.now
		}
		o.answered = o.answered.with(i)
	case unreachable(err):
		if !current && o.targets.has(i) {
			c.send(o, i)
		} else if c.ack.has(i) {
			c.troubled(i)
		} else if c.leg(i).state.Joining() {
			c.dropJoin(i, err.Error())
		}
	case errors.Is(err, block.ErrNoSpace) && c.ack.has(i) && o.kind != opFlush && !o.acked:
		o.noSpace = o.noSpace.with(i)
	case o.mends():
		c.notMended(o, i, err)
	default:
		c.legFailed(i, err)
	}
	if o.kind == opFlush {
		c.advanceFlush(o)
	} else {
		c.advanceWrite(o)
	}
}

// ping asks a leg for a sign of life.
func (c *Core) ping(i LegIndex) {
	g := c.leg(i)
	if g.pinging || !g.up {
		return
	}
	g.pinging, g.pingAt, g.lastSent = true, c.now, c.now
	g.inflight++
	c.emit(Effect{Kind: EffectPing, Leg: i, Req: Req{Leg: i, Sess: g.sess}})
}

// onPong takes the answer to a ping.
func (c *Core) onPong(ev *Event) {
	g := c.leg(ev.Leg)
	if errors.Is(ev.Err, block.ErrFenced) {
		c.over(fmt.Errorf("leg %s: %w", c.describe(ev.Leg), ev.Err))
		return
	}
	g.pinging = false
	if g.inflight--; g.inflight == 0 {
		c.note(workJoin)
	}
	if ev.Err == nil && g.up && g.sess == ev.Sess {
		c.confirm(ev.Leg, g.pingAt)
	} else if ev.Err != nil && c.ack.has(ev.Leg) && c.phase <= phaseDraining {
		c.troubled(ev.Leg)
	}
}
