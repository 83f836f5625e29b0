package parity

// settle commits and frees decided writes, leg by leg, in the order of each leg's log.
func (m *machine) settle(s *state, h int, x *steps) {
	H := &s.hosts[h]
	for l := range m.legs() {
		if !H.receivers().has(l) || !owns(s, h, l) {
			continue
		}
		g := &s.legs[l]
		first := true
		for _, o := range g.order {
			w := int(o)
			if w == 0 {
				break
			}
			r := g.rec(w)
			if r == staged {
				if H.phase == serving && !s.writes[w].flying && m.mayCommit(s, h, l, w) {
					m.commit(s, h, l, w, x)
				}
				break // commits go in the order of the log
			}
			if r == committed && (first || m.breaks(FreeOrder)) {
				first = false
				if m.mayFree(s, h, l, w) {
					n := *s
					m.put(&n.legs[l], w, gone)
					x.Add(&n, "leg%d frees %d", l, w)
				}
			}
		}
	}
}

// mayCommit is the rule of class flush: the record is durable on every leg of Q that is in the set. A leg that
// lacks it blocks the commit.
func (m *machine) mayCommit(s *state, h, l, w int) bool {
	if m.breaks(CommitUndurable) {
		return true
	}
	if m.breaks(CommitLocal) {
		return s.legs[l].log[w] != none
	}
	q := m.asked(s, w) & s.hosts[h].receivers()
	for i := range m.legs() {
		if q.has(i) && s.legs[i].log[w] == none {
			return false
		}
	}
	return true
}

// asked are the legs whose records decide a write: those that the record names, not those that the write would
// be staged on by now, and of these those that did not join since.
func (m *machine) asked(s *state, w int) legSet {
	if m.breaks(ListQ) {
		return m.touched(s.writes[w].target)
	}
	return s.writes[w].q &^ s.writes[w].past
}

func (m *machine) commit(s *state, h, l, w int, x *steps) {
	n := *s
	g := &n.legs[l]
	image := m.merge(&n, l, g.base(), w)
	g.image[w] = image
	m.put(g, w, committed)
	x.Add(&n, "h%d commits %d on leg%d", h, w, l)
}

// mayFree: the commit is durable on all of Q that is in the set, and the own home block is.
func (m *machine) mayFree(s *state, h, l, w int) bool {
	q := m.asked(s, w) & s.hosts[h].receivers()
	for i := range m.legs() {
		g := &s.legs[i]
		if !q.has(i) || m.breaks(DropEarly) {
			continue
		}
		if g.rec(w) == staged || g.rec(w) == committed && g.log[w] != committed && !m.breaks(FreeEarly) {
			return false
		}
	}
	g := &s.legs[l]
	if m.breaks(FreeUnflushed) {
		return g.home == g.base()
	}
	if !g.homeDurable() {
		return false
	}
	from := false
	for _, o := range g.order {
		from = from || int(o) == w
		if from && o != 0 && g.rec(int(o)) == committed && g.image[o] == g.home {
			return true
		}
	}
	return false
}
