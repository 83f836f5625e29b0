package model

// join: a leg outside the in-sync list gets the writes, is copied, drained, flushed, counted in
// ack_set, and then asked for with AddLeg (protocol-flush B.8, C.8).
func (m *machine) join(s0 *state, h int, x *steps) {
	H := &s0.hosts[h]
	if !H.serving {
		return
	}
	for l := range m.Legs {
		switch {
		case H.joining.has(l):
			m.dropJoining(s0, h, l, x)
			m.copyJoining(s0, h, l, x)
			m.promote(s0, h, l, x)
		case !(H.knownISR | H.ack).has(l):
			m.joinLogin(s0, h, l, x)
		}
	}
}

// joinLogin: the host logs in to the leg, and CONFIG goes to it before its first write.
func (m *machine) joinLogin(s0 *state, h, l int, x *steps) {
	H := &s0.hosts[h]
	if H.removing != 0 || int(s0.legs[l].fence) > h || s0.legs[l].cfg > H.knownCfg {
		return
	}
	s, b := *s0, one(l)
	if !m.breaks(NoKillSess) {
		s.wire[h][l] = 0
	}
	m.fence(&s, h, l)
	m.setConfig(&s, h, l)
	n := &s.hosts[h]
	n.confirmed |= b
	n.joining |= b
	n.owing &^= b
	n.copied &^= b
	n.lost &^= b
	x.Add(&s, "h%d logs in to leg%d, write-only", h, l)
}

// dropJoining: a joining leg is let go without a commit. A restart of the leg, marked or not, is a
// reason that cannot be overlooked.
func (m *machine) dropJoining(s0 *state, h, l int, x *steps) {
	b := one(l)
	s := *s0
	s.hosts[h].joining &^= b
	s.hosts[h].owing &^= b
	s.hosts[h].copied &^= b
	x.Add(&s, "h%d drops joining leg%d", h, l)
	if m.breaks(JoinReboot) && !s0.hosts[h].session.has(l) && int(s0.legs[l].fence) == h {
		s := *s0
		s.hosts[h].session |= b
		x.Add(&s, "h%d relogs in to joining leg%d", h, l)
	}
}

// drained reports whether a joining leg has answered every write.
func (m *machine) drained(H *host, l int) bool { return !H.owing.has(l) || m.breaks(NoWODrain) }

// copyJoining copies the region from an in-sync leg if it is in the copy set: written since the leg
// left, marked on the leg, or marked on the source.
func (m *machine) copyJoining(s0 *state, h, l int, x *steps) {
	H := &s0.hosts[h]
	if H.copied.has(l) || H.write != 0 || !m.drained(H, l) || !m.serves(s0, h, l) {
		return
	}
	for source := range m.Legs {
		if !(H.knownISR & H.ack &^ H.lost).has(source) || !m.serves(s0, h, source) {
			continue
		}
		s := *s0
		from := s.legs[source]
		newer := from.stamp > s.raft.last[l]
		marked := from.mark && !m.breaks(NoSrcMarks) || s.legs[l].mark && !m.breaks(NoOwnMarks)
		wanted := (newer || marked) && !m.breaks(NoResync)
		if wanted {
			m.store(&s, l, from.value, false)
			s.legs[l].stamp, s.legs[l].diskStamp = from.stamp, from.stamp
		}
		s.hosts[h].copied |= one(l)
		x.Add(&s, "h%d resyncs leg%d from leg%d, copies=%d", h, l, source, count(wanted))
	}
}

// promote: the copied leg is counted in ack_set and flushed, then AddLeg goes to raft.
func (m *machine) promote(s0 *state, h, l int, x *steps) {
	H, b := &s0.hosts[h], one(l)
	ready := H.copied.has(l) && H.adding == 0 && H.removing == 0 && m.serves(s0, h, l)
	if ready && (m.drained(H, l) || m.breaks(CommitFirst)) {
		s := *s0
		n := &s.hosts[h]
		if !m.breaks(CommitFirst) {
			n.ack |= b
			n.joining &^= b
			n.copied &^= b
		}
		if !m.breaks(NoJoinFlush) {
			s.legs[l].flush()
		}
		n.adding, n.addingCfg = b, H.knownCfg
		x.Add(&s, "h%d flushes leg%d, asks AddLeg at cfg=%d", h, l, int(H.knownCfg))
	}
	if m.breaks(CommitFirst) && H.knownISR.has(l) && H.write == 0 {
		s := *s0
		s.hosts[h].ack |= b
		s.hosts[h].read |= b
		s.hosts[h].joining &^= b
		x.Add(&s, "h%d learns AddLeg of leg%d", h, l)
	}
}

// applyAddLeg: the request arrives at raft at any later time, even if the host is gone. Refused, the
// host keeps needing the leg's ack until a removal is committed (protocol-flush B.9).
func (m *machine) applyAddLeg(s0 *state, h int, x *steps) {
	H := &s0.hosts[h]
	if H.adding == 0 {
		return
	}
	s := *s0
	s.hosts[h].adding = 0
	x.Add(&s, "AddLeg of h%d is lost", h)
	r := &s.raft
	if int(r.epoch) != h || !r.attached || r.cfg != H.addingCfg && !m.breaks(NoCAS) {
		return
	}
	r.isr |= H.adding
	r.granted |= H.adding
	r.cfg++
	for l := range m.Legs {
		if H.adding.has(l) {
			r.joined[l] = r.cfg
		}
	}
	x.Add(&s, "raft: AddLeg(e%d, %03b) cfg=%d, reply lost", h, int(H.adding), int(r.cfg))
	if H.phase == phaseActive && H.removing == 0 {
		s.hosts[h].knownCfg, s.hosts[h].knownISR, s.hosts[h].confirmed = r.cfg, r.isr, 0
		x.Add(&s, "raft: AddLeg(e%d, %03b) cfg=%d", h, int(H.adding), int(r.cfg))
	}
}
