package mirror

import (
	"errors"
	"fmt"
	"time"
)

// attachJob is the way from nothing to a volume that serves (protocol-flush B.1 to B.5):
// log in to the legs (the fence), report each login, Activate, CONFIG on S', marks of S', serve.
// No byte is read or written before Activate is committed and every leg of S' has CONFIG.
type attachJob struct {
	fenceBy  time.Duration // until then every in-sync leg is waited for
	retryAt  time.Duration
	declared legSet // legs whose lost cache Activate knows of
	clean    bool   // the last detach was clean: nothing is marked
	asked    legSet // legs that were asked for their marks
	marks    legSet // legs that answered
	fenced   bool
}

func (c *Core) onAttach() {
	if c.phase != phaseNew {
		return
	}
	c.phase = phaseFencing
	c.attach.fenceBy = c.now + c.timing().FenceWait
	for s := c.known; s != 0; s = s.rest() {
		c.emit(Effect{Kind: EffectStart, Leg: s.first()})
	}
	c.wake(c.attach.fenceBy)
	c.tickAt = c.now + c.timing().Ping/2
	c.wake(c.tickAt)
	c.setState(StateConnecting, "logging in to the legs")
}

// settleAttach takes the next step of the attach that has become possible.
func (c *Core) settleAttach() {
	switch c.phase {
	case phaseFencing:
		c.recordFences()
		c.askActivate()
	case phaseConfiguring:
		// [M:serveEarly] No read, write or reconcile before CONFIG is on every leg of S'.
		if c.ack != 0 && c.removed == 0 && c.configured() || c.breaks(BreakServeEarly) {
			c.phase = phaseMarking
			c.stage("configured")
			c.lay.prepare(c)
		}
	case phaseMarking:
		c.lay.prepare(c)
	}
}

// recordFences reports every login that the coordinators do not know yet.
func (c *Core) recordFences() {
	for s := c.known; s != 0; s = s.rest() {
		i := s.first()
		g := c.leg(i)
		if !g.up || g.recorded || g.recording || g.bad != "" {
			continue
		}
		if g.recordAt > c.now {
			c.wake(g.recordAt)
			continue
		}
		c.recordFence(i)
	}
}

func (c *Core) recordFence(i LegIndex) {
	g := c.leg(i)
	g.recording = true
	c.ask(i, &Command{Kind: CommandRecordFence, Report: g.report, SetBack: g.setBack}, 0)
}

func (c *Core) onRecordFence(k call, err error, r *Reply) {
	g := c.leg(k.leg)
	g.recording = false
	c.note(workAttach | workJoin)
	if err != nil {
		g.lastErr = err.Error()
		g.recordAt = c.now + c.timing().Retry
		c.wake(g.recordAt)
		if g.state == LegRecording {
			c.letGo(k.leg, err.Error())
		}
		return
	}
	g.full = g.full || r.SetBack
	if !g.up || g.sess != k.sess {
		return // another login since: that one is reported too
	}
	g.recorded = true
	if g.state == LegRecording {
		c.join.save = saveJob{done: r.Copied, dueAt: c.now + c.timing().CopySave}
		g.lost = false // it is copied from here on, whatever it lost
		c.enter(k.leg, LegConfiguring, "the coordinators know its login")
	}
}

// askActivate asks for Activate when every in-sync leg is fenced and reported, or when those that
// are missing had their time. Raft decides whether what is fenced is enough.
func (c *Core) askActivate() {
	if c.asking(CommandActivate) {
		return
	}
	var recorded, expected legSet
	for s := c.known; s != 0; s = s.rest() {
		g := c.leg(s.first())
		recorded = recorded.set(s.first(), g.recorded)
		expected = expected.set(s.first(), g.info.InSync)
	}
	if recorded == 0 || !expected.within(recorded) && c.now < c.attach.fenceBy {
		return
	}
	if !c.attach.fenced {
		c.attach.fenced = true
		c.stage("fenced")
	}
	if c.attach.retryAt > c.now {
		c.wake(c.attach.retryAt)
		return
	}
	c.ask(noLeg, &Command{Kind: CommandActivate}, 0)
}

func (c *Core) onActivate(k call, err error, r *Reply) {
	if k.leg != noLeg {
		c.onLook(k.leg, err, r)
		return
	}
	if c.phase != phaseFencing {
		return
	}
	c.note(workAttach)
	if err != nil {
		c.attach.retryAt = c.now + c.timing().Retry
		c.wake(c.attach.retryAt)
		what := "waiting for a coordinator"
		if errors.Is(err, ErrWait) {
			what = "waiting to activate"
		}
		c.setState(StateConnecting, fmt.Sprintf("%s: %s", what, err))
		return
	}
	if len(r.Config.InSync) == 0 {
		c.bug("Activate answered an empty in-sync list")
		return
	}
	c.phase = phaseConfiguring
	c.stage("activated")
	c.setState(StateConnecting, "bringing the configuration to the legs")
	for _, id := range r.Lossy {
		if i := c.indexOf(id); i != noLeg {
			c.attach.declared = c.attach.declared.with(i)
		}
	}
	c.attach.clean, c.uncleared = r.Clean, !r.Clean
	c.admit(r)
}

// admit takes the legs that Activate named into ack_set.
func (c *Core) admit(r *Reply) {
	for _, id := range r.Config.InSync {
		i := c.indexOf(id)
		if i == noLeg {
			c.bug("Activate named leg %s, which is not among the volume's legs", id)
			return
		}
		c.enter(i, LegAnnounced, "Activate named it")
		c.leg(i).full = false // an operator may take it for what it is
	}
	c.adopt(r.Config)
	for s := c.kisr; s != 0; s = s.rest() {
		i := s.first()
		g := c.leg(i)
		// [M:oldEvidence] What a later login showed binds the host, whatever Activate said.
		seen := g.lossySeen && !c.attach.declared.has(i) || g.setBack
		if seen && !c.breaks(BreakOldEvidence) {
			g.lost = true
			c.suspect(i, g.lostWhy())
		}
		if !g.up {
			c.troubled(i)
		}
	}
	c.checkCacheLost()
}

// askMarks asks every leg of S' what was in flight when the last attachment ended; with all answers
// the volume serves. What none of them has marked is equal on all of them. A single leg is asked as well:
// it agrees with itself, but may have blocks that were being written and are not whole.
func (c *Core) askMarks() {
	need := c.ack &^ c.removed
	if c.attach.clean {
		c.serve()
		return
	}
	for s := need &^ c.attach.asked; s != 0; s = s.rest() {
		if i := s.first(); c.usable(i) {
			c.attach.asked = c.attach.asked.with(i)
			c.callLeg(i, &Command{Kind: CommandMarks, Since: c.kcfg.CfgVer}, nil, markAttach)
		}
	}
	if need.within(c.attach.marks) {
		c.serve()
	}
}

// What a MARKS command was sent for.
const (
	markAttach uint64 = iota
	markJoin          // plus the number of the join
)

func (c *Core) onMarks(k call, err error, r *Reply) {
	if k.ref != markAttach {
		c.onJoinMarks(k, err, r)
		return
	}
	if c.phase != phaseMarking {
		return
	}
	c.note(workAttach)
	c.attach.asked = c.attach.asked.without(k.leg)
	if err != nil {
		c.legCallFailed(k, err)
		return
	}
	c.attach.asked = c.attach.asked.with(k.leg)
	c.attach.marks = c.attach.marks.with(k.leg)
	c.reconcile.set.init(c.opts.SizeBytes, c.timing().CopyBytes)
	for _, m := range r.Marked {
		c.reconcile.set.add(m)
	}
}

// serve begins to answer the guest.
func (c *Core) serve() {
	c.phase = phaseServing
	c.lastClear, c.lastWrite = c.now, c.now
	c.stage("serving")
	c.note(workMembers | workCopy)
	c.settleConfig()
	for n := c.parked.n; n > 0; n-- {
		o := c.parked.head
		c.parked.remove(o)
		c.startGuest(o)
	}
}
