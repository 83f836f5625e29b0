package node

import (
	"time"

	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/volume"
)

// health returns what the node says of itself.
func (m *membership) health(clock *clockWatch) peer.NodeHealth {
	cert := m.identity.Certificate()
	return peer.NodeHealth{Build: peer.Build(), Clock: clock.status(time.Now()),
		Cert: peer.CertStatus{From: cert.NotBefore, Until: cert.NotAfter, Fault: m.certFault()}}
}

// certFault returns what is wrong with the file of the node's certificate, and logs it when that changes.
func (m *membership) certFault() string {
	text := ""
	if fault := m.identity.Fault(); fault != nil {
		text = fault.Error()
	}
	if text != m.certTold {
		m.certTold = text
		if text != "" {
			m.log.Error("the file of the node's certificate is of no use: "+
				"the one from before is used until the daemon ends", "error", text)
		} else {
			m.log.Info("the file of the node's certificate is in order again")
		}
	}
	return text
}

const (
	// exchangesKept is how many exchanges with a leader the clock is held against: the quickest of them counts.
	exchangesKept = 20
	// stepLeast is the least by which a clock was set and not slewed.
	stepLeast = 100 * time.Millisecond
)

// clockWatch follows the node's clock: by how much it is off the leader's, and whether somebody sets it. The zero
// value is ready. Times come with their monotonic reading.
type clockWatch struct {
	ticked    time.Time
	step      time.Duration
	steppedAt time.Time
	leader    volume.NodeID
	exchanges []exchange // newest last
}

// exchange is one measurement: the node's clock is ahead by offset, give or take bound.
type exchange struct{ offset, bound time.Duration }

// tick notices a step of the clock: between two ticks the wall clock has to advance as the monotonic one does.
func (c *clockWatch) tick(now time.Time) {
	last := c.ticked
	c.ticked = now
	if last.IsZero() {
		return
	}
	c.noteStep(now.Round(0).Sub(last.Round(0))-now.Sub(last), now)
}

// noteStep takes in by how much the wall clock has moved against the monotonic one.
func (c *clockWatch) noteStep(step time.Duration, now time.Time) {
	if max(step, -step) < stepLeast {
		return
	}
	c.step, c.steppedAt = step, now
	c.exchanges = nil // they were with the clock before
}

// heard takes in the answers to a heartbeat. What counts is the leader's own.
func (c *clockWatch) heard(replies []peer.HeartbeatReply) {
	for _, r := range replies {
		if r.From != r.Leader || r.From.IsZero() || r.At.IsZero() {
			continue
		}
		if r.From != c.leader {
			c.leader, c.exchanges = r.From, nil
		}
		c.exchanges = append(c.exchanges, measure(r.Sent, r.Received, r.At))
		if n := len(c.exchanges) - exchangesKept; n > 0 {
			c.exchanges = c.exchanges[n:]
		}
	}
}

// measure holds the clock against another one that said at while a question travelled there and back.
func measure(sent, received, at time.Time) exchange {
	half := received.Sub(sent) / 2
	return exchange{offset: sent.Round(0).Add(half).Sub(at.Round(0)), bound: half}
}

// status returns what is known now.
func (c *clockWatch) status(now time.Time) peer.ClockStatus {
	s := peer.ClockStatus{}
	for i, x := range c.exchanges {
		if i == 0 || x.bound < s.Bound {
			s.Leader, s.Offset, s.Bound = c.leader, x.offset, x.bound
		}
	}
	if !c.steppedAt.IsZero() {
		s.Step, s.StepAge = c.step, now.Sub(c.steppedAt)
	}
	return s
}
