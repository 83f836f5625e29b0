package mirror

import (
	"fmt"
	"time"

	"github.com/holdfast-storage/holdfast/volume"
)

// leg is what the Core knows of one leg.
type leg struct {
	info  LegInfo
	state LegState

	up     bool
	sess   uint32 // counts the sessions
	report volume.LegReport
	bad    string // why the present session cannot be used: the leg is not what it should be
	// lost: the leg lost its cache in this attachment. It takes no read, write or CONFIG before it
	// joins anew (protocol-flush C.3).
	lost      bool
	lossySeen bool          // some login of this epoch showed a lost cache
	setBack   bool          // it showed an older state than it had in this epoch
	backWhy   string        // how
	full      bool          // the coordinators know that it was set back: nothing that it holds counts
	recorded  bool          // the coordinators know the latest login
	recording bool          // RecordFence is under way
	recordAt  time.Duration // not before this
	since     volume.CfgVer // what it missed is newer
	confirmed volume.CfgVer // the newest CONFIG it answered in this epoch
	confCall  bool          // a CONFIG is under way
	lastErr   string        // of its sessions and commands
	why       string        // why it is suspect or being removed

	lastConfirm time.Duration // SEND time of the newest request that it answered
	lastRead    time.Duration // the same of reads alone
	lastSent    time.Duration
	upSince     time.Duration
	trouble     time.Duration // since when it has not answered after a failure; zero = no trouble
	pinging     bool
	pingAt      time.Duration
	resetAsked  bool
	retryAt     time.Duration // of requests that it failed while it cannot be removed
	inflight    int           // requests that it holds, pings included
	reads       int           // reads among them
	calls       int           // commands that it holds

	lookAt     time.Duration // raft is not asked again before what it is
	unresolved bool          // raft may have removed or added it: only RemoveLeg settles that
	// joinedUnseen: RemoveLeg was refused because the leg joined in a configuration that the engine
	// has not seen.
	joinedUnseen bool
	forget       bool

	flap   flapping
	slow   slowness
	shown  shown
	medium medium
	mend   legMend
}

// copySince returns the configuration up to which the leg surely has everything; zero is none.
func (g *leg) copySince() volume.CfgVer {
	if g.setBack || g.full {
		return 0
	}
	return g.since
}

// enter changes a leg's state; the sets of legs follow from it.
func (c *Core) enter(i LegIndex, to LegState, why string) {
	g := c.leg(i)
	if !legalTransition(g.state, to) {
		c.bug("leg %s: from %s to %s (%s)", g.info.ID, g.state, to, why)
		return
	}
	c.emit(Effect{Kind: EffectLeg, Leg: i, From: g.state, To: to, Text: why})
	g.state = to
	s := legStates[to]
	ack, wo := s.ack, s.wo
	if c.breaks(BreakCommitFirst) && to >= LegDraining && to <= LegAdding {
		ack, wo = false, true
	}
	if c.breaks(BreakAckEarly) && (to == LegSuspect || to == LegRemoving) {
		ack = false
	}
	read := s.read || c.breaks(BreakReadSuspect) && (to == LegSuspect || to == LegRemoving) ||
		c.breaks(BreakReadUncommit) && (to == LegAdding || to == LegAnnounced)
	if c.ack.has(i) != ack {
		c.abortClear() // STABLE goes to the same legs that were asked to ROTATE, or not at all
	}
	c.ack, c.wo, c.read = c.ack.set(i, ack), c.wo.set(i, wo), c.read.set(i, read)
	c.removed = c.removed.set(i, to == LegRemoved)
	switch to {
	case LegSettling:
		g.flap.joiningAt, g.flap.excuses = c.now, 0
	case LegInSync:
		g.lastErr = ""
		if g.flap.inSyncAt == 0 {
			g.flap.inSyncAt = max(c.now, 1)
		}
	case LegOutside:
		c.leave(i)
	}
	c.note(workMembers)
}

// leave takes a leg that takes no part any more out of everything that counts on it.
func (c *Core) leave(i LegIndex) {
	g := c.leg(i)
	for o := c.writes.head; o != nil; o = o.next {
		o.targets = o.targets.without(i)
	}
	for o := c.flushes.head; o != nil; o = o.next {
		o.targets = o.targets.without(i)
	}
	c.lay.gone(c, i)
	c.conf = c.conf.without(i)
	g.flap.slow = g.slow.accused
	g.slow = slowness{bytes: g.slow.bytes}
	g.unresolved, g.joinedUnseen, g.trouble, g.retryAt = false, false, 0, 0
	if g.up {
		// What it still holds must have ended before it joins again, in a session of its own.
		c.reset(i, "it left the in-sync list")
	}
	c.backOff(i)
}

func (c *Core) reset(i LegIndex, why string) {
	g := c.leg(i)
	if !g.up || g.resetAsked {
		return
	}
	g.resetAsked = true
	c.emit(Effect{Kind: EffectReset, Leg: i, Req: Req{Sess: g.sess, Leg: i}, Text: why})
}

// indexOf returns the leg with this identity, noLeg if it is not known.
func (c *Core) indexOf(id volume.LegID) LegIndex {
	for s := c.known; s != 0; s = s.rest() {
		if c.legs[s.first()].info.ID == id {
			return s.first()
		}
	}
	return noLeg
}

// onLeg makes a leg known or brings it up to date.
func (c *Core) onLeg(i LegIndex, info *LegInfo) {
	g := c.leg(i)
	if !c.known.has(i) {
		*g = leg{info: *info, since: info.Since, sess: g.sess}
		c.known = c.known.with(i)
		if c.phase != phaseNew {
			c.emit(Effect{Kind: EffectStart, Leg: i})
		}
		return
	}
	g.info, g.forget = *info, false
	if g.state == LegOutside {
		g.since = max(g.since, info.Since)
	}
	c.note(workJoin | workChange)
}

// onForget lets a leg go as soon as it takes no part.
func (c *Core) onForget(i LegIndex) {
	if !c.known.has(i) {
		return
	}
	c.leg(i).forget = true
	if c.leg(i).state.Joining() {
		c.letGo(i, "it is not wanted any more")
	}
	c.note(workJoin)
}

// releaseForgotten stops the legs that are to be let go and hold nothing any more.
func (c *Core) releaseForgotten() {
	for s := c.known; s != 0; s = s.rest() {
		g, i := c.leg(s.first()), s.first()
		if g.forget && g.state == LegOutside && g.inflight == 0 && g.calls == 0 {
			c.known = c.known.without(i)
			c.emit(Effect{Kind: EffectStop, Leg: i})
		}
	}
}

// describe returns a leg's name for messages.
func (c *Core) describe(i LegIndex) string { return c.leg(i).info.ID.Short() }

// checkReport returns why a leg that logged in must not be used, "" if it may (protocol §1.7.9,
// I14): a label is compared with what raft and the engine know before anything is read.
func (c *Core) checkReport(i LegIndex, r *volume.LegReport) string {
	g := c.leg(i)
	switch {
	case r.Label.LegID != g.info.ID:
		return fmt.Sprintf("it says that it is leg %s", r.Label.LegID)
	case r.Label.FenceEpoch != c.opts.Epoch:
		return fmt.Sprintf("its label has epoch %s, the login was for %s", r.Label.FenceEpoch, c.opts.Epoch)
	case c.kcfg.CfgVer != 0 && r.Label.Config.CfgVer > c.kcfg.CfgVer:
		return fmt.Sprintf("its label has configuration %s, the newest is %s", r.Label.Config.CfgVer, c.kcfg.CfgVer)
	}
	return ""
}
