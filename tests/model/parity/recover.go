package parity

// recover decides every write that was left staged: forward if a leg of Q in S' has committed it or all of them
// have it staged, else back. What is decided is durable before anything is served.
func (m *machine) recover(s *state, h int, x *steps) {
	H := &s.hosts[h]
	// Decide on what every leg of the set says now; a leg that came back without its cache is removed first.
	if m.live(s, h) != H.set && !m.breaks(RecStale) {
		return
	}
	left := false
	for w := 1; w < int(s.next); w++ {
		q := m.asked(s, w) & H.set
		all, anyStaged, anyCommitted := q != 0, false, false
		for l := range m.legs() {
			if !q.has(l) {
				continue
			}
			switch s.legs[l].rec(w) {
			case none:
				all = false
			case staged:
				anyStaged = true
			case committed:
				anyCommitted = true
			}
		}
		if !anyStaged {
			continue
		}
		left = true
		for l := range m.legs() {
			if !q.has(l) || s.legs[l].rec(w) != staged || !owns(s, h, l) {
				continue
			}
			if all || anyCommitted || m.breaks(AnyStaged) {
				m.forward(s, h, l, w, x)
			} else {
				m.back(s, h, l, w, x)
			}
		}
	}
	for l := range m.legs() {
		if H.set.has(l) && (!owns(s, h, l) || s.legs[l].tails > 0 && !m.breaks(RecNoFlush)) {
			left = true
		}
	}
	if left {
		return
	}
	n := *s
	t, ok := m.decode(s, H.set)
	n.garbage = !ok
	n.hosts[h].phase, n.hosts[h].view = serving, t
	x.Add(&n, "h%d serves", h)
}

// forward commits a write in recovery, in the order of the log.
func (m *machine) forward(s *state, h, l, w int, x *steps) {
	g := &s.legs[l]
	for _, o := range g.order {
		if int(o) == w {
			break
		}
		if o != 0 && g.rec(int(o)) == staged {
			return
		}
	}
	if m.breaks(RecUndurable|AnyStaged) || m.mayCommit(s, h, l, w) {
		m.commit(s, h, l, w, x)
	}
}

// back rolls a write back: of writes that share a chunk the newest first, for a later delta builds on it.
func (m *machine) back(s *state, h, l, w int, x *steps) {
	g := &s.legs[l]
	after := false
	for _, o := range g.order {
		if after && o != 0 && g.rec(int(o)) == staged && s.writes[o].target&s.writes[w].target != 0 &&
			!m.breaks(BackOrder) {
			return
		}
		after = after || int(o) == w
	}
	n := *s
	m.put(&n.legs[l], w, gone)
	x.Add(&n, "h%d rolls %d back on leg%d", h, w, l)
}
