package parity

import (
	"context"

	"github.com/holdfast-storage/holdfast/tests/model/disk"
	"github.com/holdfast-storage/holdfast/tests/model/search"
)

// Options say what a search may use, and Result is what it found.
type (
	Options = search.Options
	Result  = search.Result
)

// Search looks at every state that the protocol reaches within the bounds while the rules are broken.
func Search(ctx context.Context, b Bounds, broken Rules, o Options) (Result, error) {
	if err := b.Validate(); err != nil {
		return Result{}, err
	}
	return search.Search(ctx, newMachine(b, broken), o)
}

// steps collects the successors of one state.
type steps = search.Steps[state]

// machine is what does not change during a search: the bounds, the broken rules and the contract.
type machine struct {
	Bounds
	broken   Rules
	contract *disk.Contract
	perms    []permutation
}

func newMachine(b Bounds, broken Rules) *machine {
	return &machine{Bounds: b, broken: broken, contract: disk.New(), perms: permutations(b.Data, b.Parity)}
}

// breaks reports whether one of the rules is broken on purpose.
func (m *machine) breaks(r Rules) bool { return m.broken&r != 0 }

func (m *machine) allLegs() legSet  { return 1<<(m.Data+m.Parity) - 1 }
func (m *machine) dataLegs() legSet { return 1<<m.Data - 1 }
func (m *machine) legs() int        { return m.Data + m.Parity }

// First is the state at the start: the host of epoch 1 serves, and all legs are in sync.
func (m *machine) First() state {
	s := state{epoch: 1, isr: m.allLegs(), active: true, next: 1}
	for l := range m.legs() {
		s.legs[l].fence = 1
		s.legs[l].syncHome()
	}
	s.hosts[1] = host{phase: serving, set: s.isr}
	for d := range m.Data {
		s.explained[d] = m.contract.Start()
	}
	return s
}

// Next adds every successor of s. What a party may do or not do is a step that may be taken or not.
func (m *machine) Next(s *state, x *steps) {
	for h := 1; h <= m.Epochs; h++ {
		switch s.hosts[h].phase {
		case serving:
			m.issue(s, h, x)
			m.flush(s, h, x)
			m.read(s, h, x)
			m.join(s, h, x)
		case recovering:
			m.recover(s, h, x)
		}
		if s.hosts[h].phase != unused {
			m.settle(s, h, x)
			m.remove(s, h, x)
		}
	}
	for w := 1; w < int(s.next); w++ {
		m.ack(s, w, x)
		m.deliver(s, w, x)
	}
	for l := range m.legs() {
		m.node(s, l, x)
		m.cut(s, l, x)
	}
	m.takeover(s, x)
	m.login(s, x)
	m.activate(s, x)
}

// Within reports whether a state is inside the bounds, which Next itself keeps.
func (m *machine) Within(*state) bool { return true }

// Judge returns what a state violates, "" if nothing.
func (m *machine) Judge(s *state) string {
	if s.garbage {
		return "G5: a stripe is decoded from a torn update"
	}
	for d := range m.Data {
		if s.explained[d] == disk.NoExplanation {
			return "contract"
		}
	}
	if m.broken == 0 && s.active && s.isr.count() < m.Data {
		return "I12: fewer than k legs are in sync"
	}
	return ""
}

// Normalise maps states with the same future to one. It forgets what nothing will look at again.
func (m *machine) Normalise(s *state) {
	for h := 1; h < int(s.epoch); h++ {
		H := &s.hosts[h]
		if H.phase == unused {
			continue
		}
		H.view, H.join, H.stage = 0, 0, notJoining // it issues, reads and adds nothing any more
		if H.flush && m.unreachable(s, h, H.set&^H.flushed) && !m.breaks(FlushEarly) {
			m.seen(s, disk.SawFlushLost, uint8(h))
			H.flush, H.flushed = false, 0
		}
	}
	for w := 1; w < int(s.next); w++ {
		W := &s.writes[w]
		if W.host == 0 {
			continue
		}
		for l := range m.legs() {
			if s.legs[l].fence > W.host && !s.legs[l].open {
				W.wire &^= one(l)
			}
		}
		if !W.flying {
			W.got = 0
		}
		if !W.flying && W.wire == 0 && !m.recorded(s, w) {
			*W = write{}
		}
	}
}

// unreachable reports whether some leg of a set refuses the host of an epoch for ever.
func (m *machine) unreachable(s *state, h int, set legSet) bool {
	for l := range m.legs() {
		if set.has(l) && int(s.legs[l].fence) > h && !s.legs[l].open {
			return true
		}
	}
	return false
}

// recorded reports whether any leg has a record of a write.
func (m *machine) recorded(s *state, w int) bool {
	for l := range m.legs() {
		g := &s.legs[l]
		if g.log[w] != none || g.rec(w) != none {
			return true
		}
		for i := range int(g.tails) {
			if g.tail[i].write() == w {
				return true
			}
		}
	}
	return false
}

// seen narrows what explains every symbol by one more thing that the guest saw of all of them.
func (m *machine) seen(s *state, what disk.Seen, arg uint8) {
	for d := range m.Data {
		m.saw(s, d, what, arg)
	}
}

// saw narrows what explains symbol d.
func (m *machine) saw(s *state, d int, what disk.Seen, arg uint8) {
	o := disk.Observation{From: s.explained[d], What: what, Arg: arg}
	for w := 1; w < int(s.next); w++ {
		if s.writes[w].target.has(d) {
			o.Issued |= 1 << w
		}
	}
	for e := range s.hosts {
		if s.hosts[e].flush {
			o.Flying |= 1 << e
		}
	}
	s.explained[d] = m.contract.Observe(o)
}
