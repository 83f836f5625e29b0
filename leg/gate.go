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

// Enter is the gate: it is asked right before a request reaches the data, not when it arrives.
// changes is true for a request that changes data. After Admit the caller must call Leave.
func (c *Core) Enter(id SessionID, changes bool) (Verdict, error) {
	s, err := c.live(id)
	if err != nil {
		return Refuse, err
	}
	if !c.admitted(s) {
		return Refuse, c.refusal(ErrNotAdmitted)
	}
	if changes {
		if !c.marked() {
			return NeedMark, nil
		}
		c.lastWrite = c.window
		c.writes++
	}
	s.inflight++
	return Admit, nil
}

// Leave ends a request that Enter admitted.
func (c *Core) Leave(id SessionID, changes bool) {
	if changes {
		c.writes--
	}
	s := c.session(id)
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
	return c.durable.Admit && c.durable.FenceEpoch == s.login.Epoch && !lossy(c.durable, c.boot)
}

// marked reports whether the mark that covers a write is durable and not about to be cleared.
func (c *Core) marked() bool { return c.label.Marked && c.durableVersion >= c.markVersion }

// live returns the session if it may still do anything at all, else why not. Only an older epoch
// is a fence: a host must never take the end of its own session for the end of its grant.
func (c *Core) live(id SessionID) (*session, error) {
	s := c.session(id)
	switch {
	case c.failed != nil:
		return nil, c.failed
	case s == nil:
		return nil, c.refusal(block.ErrClosed)
	case s.login.Epoch < c.label.FenceEpoch:
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
			if s.login == l {
				c.kill(s)
			}
		}
	}
	c.nextSession++
	c.sessions = append(c.sessions, &session{id: c.nextSession, login: l})
	o.session, o.version = c.nextSession, c.version
	c.enqueue(o)
	return o.session
}

// fence closes the gate for every session there is and puts the new epoch into the label. The
// configuration stays: it is what a host brought, and evidence. So are the marks and the boot that
// they belong to (protocol-flush A).
func (c *Core) fence(l Login) {
	for _, s := range c.sessions {
		c.kill(s)
	}
	c.label.FenceEpoch, c.label.AttachID = l.Epoch, l.Attach
	c.label.Admit, c.label.Closed, c.label.Clean = false, false, false
	c.closing = false
	if !c.label.Marked {
		c.label.OpenBoot = c.boot
	}
	c.change()
}

func (c *Core) situation(l Login) situation {
	s := situation{
		failed:     c.failed != nil,
		older:      l.Epoch < c.label.FenceEpoch,
		newer:      l.Epoch > c.label.FenceEpoch,
		sameAttach: l.Attach == c.label.AttachID && !l.Attach.IsZero(),
		closed:     c.closing || c.label.Closed,
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
		if s != own && s.inflight > 0 && (s.login.Epoch < own.login.Epoch || s.login == own.login) {
			return false
		}
	}
	return true
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
	case s.dead && s.login.Epoch < c.label.FenceEpoch:
		c.end(s)
		c.counters.RefusedLogins++
		c.reply(o, c.refuseLogin(RefuseOlder))
	case s.dead:
		c.end(s)
		c.reply(o, c.refuseLogin(Reinstate))
	case c.durableVersion < o.version || !c.drained(s):
		return false
	default:
		s.open = true
		c.reply(o, nil)
	}
	return true
}

// marksHash is a digest of the marks: zero if and only if there are none. Until regions are
// tracked there is one other set, all of them.
func marksHash(l volume.Label) uint64 {
	if !l.Marked {
		return 0
	}
	return uint64(regions(l.SizeBytes))
}

// regions is how many regions a leg of this size has.
func regions(sizeBytes int64) uint32 {
	return uint32((sizeBytes + volume.RegionBytes - 1) / volume.RegionBytes)
}

// CheckEpoch refuses an epoch that is below the label's, before anybody has proved to have it.
func (c *Core) CheckEpoch(e volume.Epoch) error {
	if e >= c.label.FenceEpoch {
		return nil
	}
	c.counters.RefusedLogins++
	return c.refuseLogin(RefuseOlder)
}
