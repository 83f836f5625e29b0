package sim

import (
	"time"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/leg"
	"github.com/holdfast-storage/holdfast/mirror"
)

// link is the network between one engine and one node. Each direction is cut on its own.
type link struct {
	cutTo, cutFrom bool
	delay          time.Duration // more than usual, each way
}

// session is one connection of an engine to a node. Each direction delivers in order, or breaks. Its
// two ends learn of its end at different times: what the engine sent before may still arrive after the
// engine has given the session up.
type session struct {
	h    *host
	n    *node
	leg  mirror.LegIndex
	link *link
	id   leg.SessionID // at the node
	seq  uint32        // as the engine's core counts the leg's sessions

	atHost, atNode   bool // still open at that end
	toAt, fromAt     time.Duration
	heldTo, heldFrom []func() // waiting for the network, in order
	pending          []*request
}

// request is something that an engine sent on a session and that is not answered there.
type request struct {
	x    mirror.Effect
	s    *session
	data []content // of a write, as it was sent
	done bool
}

// toNode carries a message to the node.
func (s *session) toNode(run func()) {
	w := s.h.w
	s.toAt = max(s.toAt, w.now+w.latency()+s.link.delay)
	w.after(s.toAt-w.now, func() {
		if s.link.cutTo || len(s.heldTo) > 0 {
			s.heldTo = append(s.heldTo, run)
			return
		}
		s.n.when(func() {
			if s.atNode {
				run()
			}
		})
	})
}

// toHost carries a message to the engine.
func (s *session) toHost(run func()) {
	w := s.h.w
	s.fromAt = max(s.fromAt, w.now+w.latency()+s.link.delay)
	w.after(s.fromAt-w.now, func() {
		if s.link.cutFrom || len(s.heldFrom) > 0 {
			s.heldFrom = append(s.heldFrom, run)
			return
		}
		s.h.run(func() {
			if s.atHost {
				run()
			}
		})
	})
}

// healed delivers what waited for the network.
func (s *session) healed() {
	to, from := s.heldTo, s.heldFrom
	s.heldTo, s.heldFrom = nil, nil
	s.toAt = max(s.toAt, s.h.w.now+s.h.w.pick(2*time.Second)) // the kernel's own time to try again
	for _, run := range to {
		s.toNode(run)
	}
	for _, run := range from {
		s.toHost(run)
	}
}

// send puts a request on its way.
func (s *session) send(r *request) {
	s.pending = append(s.pending, r)
	s.toNode(func() { s.n.serve(s, r) })
}

// answer carries the node's answer back.
func (s *session) answer(r *request, a answer) {
	if !s.atNode {
		return // the leg killed it: nothing is sent on it any more
	}
	s.toHost(func() {
		if r.done {
			return
		}
		r.done = true
		s.drop(r)
		s.h.answered(r, a)
	})
}

func (s *session) drop(r *request) {
	for i, p := range s.pending {
		if p == r {
			s.pending = append(s.pending[:i], s.pending[i+1:]...)
			return
		}
	}
}

// closeAtNode ends the session at the node: the leg killed it, or its process died.
func (s *session) closeAtNode(cause error) {
	if !s.atNode {
		return
	}
	s.h.w.logf("%s: session %d of %s ends: %v", s.n.name, s.id, s.h.name, cause)
	s.toHost(func() { s.closeAtHost(cause) })
	s.atNode = false
}

// closeAtHost ends the session at the engine: what is pending is answered, the core hears of the end,
// and only then does the adapter connect again. What was sent may still arrive.
func (s *session) closeAtHost(cause error) {
	if !s.atHost {
		return
	}
	s.atHost = false
	w := s.h.w
	w.logf("%s: session %d to %s ends: %v", s.h.name, s.id, s.n.name, cause)
	if w.chance(2) { // a reset: what is still on its way is thrown away with the connection
		w.after(w.latency(), func() {
			if !s.link.cutTo {
				s.n.when(func() { s.n.sessionLost(s) })
			}
		})
	} else {
		s.toNode(func() { s.n.sessionLost(s) })
	}
	pending := s.pending
	s.pending = nil
	for _, r := range pending {
		r.done = true
		s.h.answered(r, answer{err: cause})
	}
	s.h.sessionEnded(s, cause)
}

// answer is what a leg answers to a request.
type answer struct {
	err   error
	data  []content
	reply mirror.Reply
}

var errLost = block.ErrUnreachable
