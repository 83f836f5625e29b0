package parity

// remove is RemoveLeg in the middle of an epoch; its commit and CONFIG are one step.
func (m *machine) remove(s0 *state, h int, x *steps) {
	if int(s0.removes) >= m.Removes || int(s0.epoch) != h || !s0.active {
		return
	}
	for l := range m.legs() {
		if !s0.isr.has(l) {
			continue
		}
		rest := s0.isr &^ one(l)
		good := rest
		if !m.breaks(RemoveGood) {
			good &= m.live(s0, h)
		}
		if good.count() < m.Data {
			continue
		}
		s := *s0
		s.removes++
		s.isr = rest
		s.hosts[h].set &^= one(l)
		m.leave(&s, l)
		x.Add(&s, "h%d removes leg%d", h, l)
	}
}

// leave takes a leg out of everything. What it holds matters only if it may join again.
func (m *machine) leave(s *state, l int) {
	g := &s.legs[l]
	if int(s.joins) >= m.Joins {
		*g = leg{off: true}
		g.syncHome()
	}
	g.off = true
	for w := range s.writes {
		s.writes[w].wire &^= one(l)
	}
}

// join brings a leg back: its records are dropped; its block is decoded from the others while no write of the
// stripe is in flight, and from then on it gets the stripe's writes; acks need it; what it holds is made durable,
// and so is what the copy was made from; then it is in sync.
func (m *machine) join(s0 *state, h int, x *steps) {
	if int(s0.epoch) != h || !s0.active {
		return
	}
	H := &s0.hosts[h]
	if H.stage == notJoining {
		m.enter(s0, h, x)
		return
	}
	l := int(H.join) - 1
	if !owns(s0, h, l) {
		s := *s0
		s.hosts[h].join, s.hosts[h].stage = 0, notJoining
		m.leave(&s, l)
		x.Add(&s, "h%d gives up the join of leg%d", h, l)
		return
	}
	s := *s0
	g, next := &s.legs[l], &s.hosts[h]
	switch H.stage {
	case entered:
		if flying(s0, h) != 0 && !m.breaks(CopyUnlocked) || m.live(s0, h).count() < m.Data {
			return
		}
		t, ok := m.decode(s0, m.live(s0, h))
		s.garbage = !ok
		g.setHome(t & m.mask(l))
		next.stage = copied
		x.Add(&s, "h%d copies to leg%d", h, l)
	case copied:
		if m.owes(s0, l) && !m.breaks(NoJoinDrain) {
			return
		}
		next.stage = acking
		x.Add(&s, "acks of h%d need leg%d", h, l)
	case acking:
		if m.live(s0, h) != H.set && !m.breaks(JoinUndurable) {
			return // a leg that is away may lack what the copy has: it is removed first
		}
		if !m.breaks(NoJoinFlush) {
			g.syncLog()
			g.syncHome()
		}
		for i := range m.legs() {
			if H.set.has(i) && !m.breaks(JoinUndurable) {
				s.legs[i].syncLog()
			}
		}
		next.stage = settled
		x.Add(&s, "leg%d of h%d is flushed", l, h)
	case settled:
		s.isr |= one(l)
		next.set |= one(l)
		next.join, next.stage = 0, notJoining
		x.Add(&s, "h%d adds leg%d", h, l)
	}
}

// enter begins a join: the leg is fenced, and what its log holds of writes that others have settled is dropped.
func (m *machine) enter(s0 *state, h int, x *steps) {
	if int(s0.joins) >= m.Joins {
		return
	}
	for l := range m.legs() {
		if s0.isr.has(l) {
			continue
		}
		s := *s0
		s.joins++
		g := &s.legs[l]
		g.fence, g.off, g.lossy, g.lost = s.epoch, false, false, false
		if !m.breaks(JoinRecords) {
			g.forgetLog()
		}
		if !m.breaks(NoFloor) {
			// It remembers up to which write it dropped records: for those it is not asked any more.
			for w := range s.writes {
				s.writes[w].past |= one(l) & s.writes[w].q
			}
		}
		s.hosts[h].join, s.hosts[h].stage = uint8(l)+1, entered
		x.Add(&s, "leg%d joins h%d", l, h)
	}
}

// owes reports whether a write is on its way to a leg.
func (m *machine) owes(s *state, l int) bool {
	for w := range s.writes {
		if s.writes[w].wire.has(l) {
			return true
		}
	}
	return false
}
