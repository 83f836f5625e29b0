package parity

import "github.com/holdfast-storage/holdfast/tests/model/disk"

// takeover is BeginAttach of the next epoch.
func (m *machine) takeover(s0 *state, x *steps) {
	if int(s0.epoch) >= m.Epochs {
		return
	}
	s := *s0
	if H := &s.hosts[s.epoch]; H.stage != notJoining {
		m.leave(&s, int(H.join)-1) // nobody knows how far it came
		H.join, H.stage = 0, notJoining
	}
	s.epoch++
	s.active, s.fenced, s.lossy = false, 0, 0
	x.Add(&s, "TAKEOVER by h%d", int(s.epoch))
}

// login is the fence of a leg, and its record.
func (m *machine) login(s0 *state, x *steps) {
	if s0.active {
		return
	}
	for l := range m.legs() {
		g := &s0.legs[l]
		if !s0.isr.has(l) || g.fence >= s0.epoch && !g.off {
			continue
		}
		s := *s0
		c := &s.legs[l]
		c.fence, c.off, c.open = s.epoch, false, false
		s.fenced |= one(l)
		if c.lossy {
			s.lossy |= one(l)
		}
		if m.breaks(ForgetLossy) {
			c.lossy = false
		}
		x.Add(&s, "h%d fences leg%d, lossy %d", int(s.epoch), l, count(g.lossy))
	}
}

// chosen returns S', false while it waits.
func (m *machine) chosen(s *state) (legSet, bool) {
	use := s.isr & s.fenced
	kept := use &^ s.lossy
	switch {
	case m.breaks(IgnoreLossy):
	case kept.count() >= m.Data:
		use = kept
	case m.breaks(KeptFew) && kept != 0 && use == s.isr:
		use = kept
		for l := range m.legs() { // as few as are enough
			if use.count() < m.Data {
				use |= s.isr & one(l)
			}
		}
	case use == s.isr, m.breaks(AnyLossy):
	case m.breaks(FewFence) && kept.count() == m.Data-1:
		use = kept
		for l := range m.legs() { // one that was not fenced
			if use.count() < m.Data {
				use |= s.isr &^ s.fenced & one(l)
			}
		}
	default:
		return 0, false
	}
	return use, use.count() >= m.Data
}

// activate is Activate with the CONFIG that follows it, as one step.
func (m *machine) activate(s0 *state, x *steps) {
	use, ok := m.chosen(s0)
	if s0.active || !ok {
		return
	}
	s := *s0
	var lost legSet
	for l := range m.legs() {
		if s.legs[l].lost {
			lost |= one(l)
		}
	}
	loss := (s.isr &^ lost).count() < m.Data
	if loss {
		m.seen(&s, disk.SawLoss, 0)
	}
	for l := range m.legs() {
		g := &s.legs[l]
		switch {
		case !use.has(l) && s.isr.has(l):
			m.leave(&s, l)
		case !use.has(l):
		case g.fence != s.epoch:
			g.open, g.off = true, false // it was never fenced: whoever knows it may use it
		case !g.off:
			g.lossy, g.lost = false, false
		}
	}
	s.isr, s.active, s.fenced, s.lossy = use, true, 0, 0
	s.hosts[s.epoch] = host{phase: recovering, set: use}
	x.Add(&s, "h%d is active with legs %05b, a loss is declared: %d", int(s.epoch), int(use), count(loss))
}
