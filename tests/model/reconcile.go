package model

// reconcile: before anything is served, CONFIG is on all of S' and marked regions agree, with any
// leg of S' as the source (protocol §3, protocol-flush C.6).
func (m *machine) reconcile(s0 *state, h int, x *steps) {
	H := &s0.hosts[h]
	if H.serving || H.removing != 0 || !m.everywhere(H, H.ack) && !m.breaks(ServeEarly) {
		return
	}
	marked := false
	for l := range m.Legs {
		if !H.ack.has(l) {
			continue
		}
		if !m.serves(s0, h, l) {
			return
		}
		marked = marked || s0.legs[l].mark
	}
	if !marked || m.breaks(NoRecon) {
		s := *s0
		s.hosts[h].serving = true
		x.Add(&s, "h%d serves", h)
		return
	}
	for source := range m.Legs {
		if !H.ack.has(source) {
			continue
		}
		s := *s0
		for l := range m.Legs {
			if H.ack.has(l) && l != source {
				m.store(&s, l, s.legs[source].value, !m.breaks(UnmarkedCopy))
			}
		}
		s.hosts[h].serving = true
		x.Add(&s, "h%d reconciles from leg%d and serves", h, source)
	}
}

// stable: STABLE goes to a leg of ack_set, once every leg of ack_set has answered and flushed what
// the mark covers (protocol-flush C.7).
func (m *machine) stable(s0 *state, h int, x *steps) {
	H := &s0.hosts[h]
	quiet := H.serving && H.write == 0 && H.removing == 0
	for l := range m.Legs {
		if H.ack.has(l) {
			flushed := s0.legs[l].flushed() || m.breaks(ClearUnflushed)
			quiet = quiet && m.serves(s0, h, l) && flushed
		}
	}
	to := H.ack
	if m.breaks(StableJoining) {
		to |= H.joining
	}
	for l := range m.Legs {
		early := m.breaks(ClearEarly) && H.answered.has(l)
		if (quiet && to.has(l) || early) && s0.legs[l].mark && m.serves(s0, h, l) {
			s := *s0
			s.legs[l].mark, s.legs[l].diskMark = false, false
			x.Add(&s, "h%d clears the mark of leg%d", h, l)
		}
	}
}
