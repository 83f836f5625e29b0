package leg

import (
	"fmt"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/volume"
)

// Verdict is the gate's answer to one request.
type Verdict uint8

// The verdicts.
const (
	Refuse   Verdict = iota + 1 // with an error
	Admit                       // go on, and call Leave when the request has ended
	NeedMark                    // call Mark, wait for its reply, and ask again
)

// Ticket is what Enter gives a request that it admits.
type Ticket struct {
	session SessionID
	window  uint64
	changes bool
}

// Enter is the gate: it is asked right before a request reaches the data, not when it arrives.
// changes is true for a request that changes the data of r, which lies within the leg; of others r may
// be anything. After Admit the caller must call Leave with the ticket.
func (c *Core) Enter(id SessionID, changes bool, r block.Range) (Ticket, Verdict, error) {
	s, err := c.live(id)
	if err != nil {
		return Ticket{}, Refuse, err
	}
	if !c.admitted(s) {
		return Ticket{}, Refuse, c.refusal(ErrNotAdmitted)
	}
	if changes {
		first, end := c.regions.span(r)
		if !c.covered(first, end) {
			return Ticket{}, NeedMark, nil
		}
		c.touch(first, end)
		c.writes++
	}
	s.inflight++
	return Ticket{session: id, window: c.window, changes: changes}, Admit, nil
}

// Leave ends a request that Enter admitted.
func (c *Core) Leave(t Ticket) {
	if t.changes {
		c.changes++
		if t.window == c.window {
			c.writes--
		} else {
			c.older--
		}
	}
	s := c.session(t.session)
	s.inflight--
	if s.inflight > 0 {
		return
	}
	if s.ended {
		c.forget(s)
	}
	if len(c.pending) > 0 {
		c.settle()
	}
}

// admitted reports whether the CONFIG of the session's epoch is durable, in this boot where a cache
// was lost.
func (c *Core) admitted(s *session) bool {
	return c.durable.Admit && c.durable.FenceEpoch >= s.login.Epoch && !c.outdated(s.login.Epoch) &&
		(!lossy(c.durable, c.boot) || c.broken.breaks(BreakAdmitLossy))
}

// outdated is the fence: it reports whether the label's epoch shuts out sessions of epoch e.
func (c *Core) outdated(e volume.Epoch) bool {
	newest := c.label.FenceEpoch
	if c.broken.breaks(BreakNoFence) || c.broken.breaks(BreakAba) && (newest-e)%2 == 0 {
		return false
	}
	return e < newest
}

// live returns the session if it may still do anything at all, else why not. Only an older epoch
// is a fence: a host must never take the end of its own session for the end of its grant.
func (c *Core) live(id SessionID) (*session, error) {
	s := c.session(id)
	switch {
	case c.failed != nil:
		return nil, c.failed
	case s == nil:
		return nil, c.refusal(block.ErrClosed)
	case c.outdated(s.login.Epoch):
		c.counters.RefusedCommands++
		return nil, fmt.Errorf("leg %s: epoch %s: %w (%s)",
			c.label.LegID, s.login.Epoch, block.ErrFenced, c.label.FenceEpoch)
	case !s.open:
		return nil, c.refusal(block.ErrClosed)
	case c.closing || c.label.Closed:
		return nil, c.refusal(fmt.Errorf("the epoch is detached: %w", block.ErrClosed))
	}
	return s, nil
}

func (c *Core) refusal(err error) error { return fmt.Errorf("leg %s: %w", c.label.LegID, err) }

// Login asks for a session; see decideLogin. The reply comes once the label is durable and what the
// decision ends has drained. It returns the session that will be open then, zero if the login was
// refused at once.
func (c *Core) Login(op OpID, l Login) SessionID {
	decision := decideLogin(c.situation(l))
	if decision == RefuseOlder {
		c.counters.RefusedLogins++
	}
	o := &operation{id: op, kind: opLogin}
	if decision.Refuses() {
		c.reply(o, c.refuseLogin(decision))
		return 0
	}
	switch decision {
	case Fence:
		c.fence(l)
	case Reinstate:
		for _, s := range c.sessions {
			if c.replaces(l, s) {
				c.kill(s)
			}
		}
	}
	c.nextSession++
	c.sessions = append(c.sessions, &session{id: c.nextSession, login: l})
	o.session, o.label = c.nextSession, c.labelChange
	c.enqueue(o)
	return o.session
}

// replaces reports whether a login takes the place of an older session: it has the same ISID.
func (c *Core) replaces(l Login, older *session) bool {
	return older.login == l && !c.broken.breaks(BreakNoKillSess)
}

// fence closes the gate for every session there is and puts the new epoch into the label. The
// configuration stays: it is what a host brought, and evidence. So are the marks and the boot that
// they belong to (protocol-flush A).
func (c *Core) fence(l Login) {
	c.label.FenceEpoch, c.label.AttachID = l.Epoch, l.Attach
	for _, s := range c.sessions {
		if c.outdated(s.login.Epoch) {
			c.kill(s)
		}
	}
	c.label.Admit, c.label.Closed, c.label.Clean = false, false, false
	c.closing = false
	if !c.label.Marked || c.broken.breaks(BreakForgetLossy) {
		c.label.OpenBoot = c.boot
	}
	if !c.broken.breaks(BreakVolFence) {
		c.change()
	}
}

func (c *Core) situation(l Login) situation {
	s := situation{
		failed:     c.failed != nil,
		older:      l.Epoch < c.label.FenceEpoch,
		newer:      l.Epoch > c.label.FenceEpoch,
		sameAttach: l.Attach == c.label.AttachID && !l.Attach.IsZero(),
		closed:     c.closing || c.label.Closed,
	}
	if c.broken.breaks(BreakOldLogin) {
		s.older, s.newer = false, s.older || s.newer
	}
	for _, other := range c.sessions {
		s.sameISID = s.sameISID || other.login == l && (!other.ended || other.inflight > 0)
	}
	return s
}

func (c *Core) refuseLogin(d Decision) error {
	return &RefusedError{Leg: c.label.LegID, Decision: d, Epoch: c.label.FenceEpoch}
}

// ReportTo returns what READ LABEL answers to a session, before CONFIG and after DETACH too.
func (c *Core) ReportTo(id SessionID) (volume.LegReport, error) {
	if s := c.session(id); c.failed == nil && s != nil && s.open {
		return c.Report(), nil
	}
	_, err := c.live(id)
	return volume.LegReport{}, err
}

// kill ends a session of the core's own accord.
func (c *Core) kill(s *session) {
	if s.dead {
		return
	}
	s.open, s.dead = false, true
	c.emit(Effect{Kind: EffectKill, Session: s.id})
}

// end is the word of a session's owner that it is gone. It is forgotten once it has drained.
func (c *Core) end(s *session) {
	if s == nil {
		return
	}
	s.open, s.dead, s.ended = false, true, true
	if s.inflight == 0 {
		c.forget(s)
	}
}

// SessionClosed says that a session's owner has ended it: no request of it will be made any more.
func (c *Core) SessionClosed(id SessionID) {
	c.end(c.session(id))
	c.settle()
}

// drained reports whether nothing is in flight any more that a login has to wait for: requests of
// older epochs, and those of earlier sessions with its own ISID.
func (c *Core) drained(own *session) bool {
	for _, s := range c.sessions {
		if s != own && s.inflight > 0 && (c.fenced(own, s) || c.replaces(own.login, s)) {
			return false
		}
	}
	return true
}

// fenced reports whether a login has to wait for what an older session has in flight.
func (c *Core) fenced(own, s *session) bool {
	return s.login.Epoch < own.login.Epoch && c.outdated(s.login.Epoch) &&
		!c.broken.breaks(BreakNoDrain)
}

// advanceLogin completes a login, or refuses it if it was overtaken.
func (c *Core) advanceLogin(o *operation) bool {
	s := c.session(o.session)
	switch {
	case s == nil:
		c.reply(o, c.refuseLogin(Reinstate))
	case c.failed != nil:
		c.end(s)
		c.reply(o, c.refuseLogin(RefuseFailed))
	case s.dead && c.outdated(s.login.Epoch):
		c.end(s)
		c.counters.RefusedLogins++
		c.reply(o, c.refuseLogin(RefuseOlder))
	case s.dead:
		c.end(s)
		c.reply(o, c.refuseLogin(Reinstate))
	case c.durableChange < o.label || !c.drained(s):
		return false
	default:
		s.open = true
		c.reply(o, nil)
	}
	return true
}

// CheckEpoch refuses an epoch that is below the label's, before anybody has proved to have it.
func (c *Core) CheckEpoch(e volume.Epoch) error {
	if e >= c.label.FenceEpoch || c.broken.breaks(BreakOldLogin) {
		return nil
	}
	c.counters.RefusedLogins++
	return c.refuseLogin(RefuseOlder)
}
