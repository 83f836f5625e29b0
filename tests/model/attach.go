package model

import "github.com/holdfast-storage/holdfast/tests/model/disk"

// beginAttach: BeginAttach commits. From here on raft refuses older epochs.
func (m *machine) beginAttach(s0 *state, x *steps) {
	s := *s0
	r := &s.raft
	if r.restored && !m.breaks(NoLabelCheck) {
		for l := range m.Legs { // a login that a newer label refused moves the epoch on
			r.epoch = max(r.epoch, s.legs[l].fence)
		}
	}
	r.epoch++
	for int(r.epoch) <= m.Epochs && s.hosts[r.epoch].phase != phaseUnused {
		r.epoch++
	}
	if int(r.epoch) > m.Epochs {
		return
	}
	r.attached, r.fenced, r.lossy = false, 0, 0
	s.hosts[r.epoch] = host{phase: phaseAttaching}
	x.Add(&s, "raft: BeginAttach(e%d)", int(r.epoch))
}

// login: an attaching host logs in to a leg, which fences it, and reports the label to raft.
func (m *machine) login(s0 *state, h int, x *steps) {
	H := &s0.hosts[h]
	for l := range m.Legs {
		first := int(s0.legs[l].fence) < h
		again := int(s0.legs[l].fence) == h && !H.session.has(l) // the leg restarted since
		if first || again {
			s := *s0
			m.fence(&s, h, l)
			s.hosts[h].seen |= one(l)
			if s.legs[l].lossy {
				s.hosts[h].seenLossy |= one(l)
			}
			if m.breaks(ForgetLossy) {
				s.legs[l].lossy = false
			}
			x.Add(&s, "h%d logs in to leg%d: fenced", h, l)
		}
		news := !s0.raft.fenced.has(l) || (H.seenLossy &^ s0.raft.lossy).has(l)
		if int(s0.raft.epoch) == h && !s0.raft.attached && H.seen.has(l) && news {
			s := *s0
			s.raft.fenced |= one(l)
			s.raft.lossy |= H.seenLossy & one(l)
			x.Add(&s, "raft: RecordFence(e%d, leg%d, lossy=%d)", h, l, count(H.seenLossy.has(l)))
		}
	}
}

// activate: raft computes S' and grants it (protocol-flush B.4, C.4).
func (m *machine) activate(s0 *state, h int, x *steps) {
	H := &s0.hosts[h]
	if int(s0.raft.epoch) != h || s0.raft.attached {
		return
	}
	s := *s0
	if use := H.seen & s.raft.isr; m.breaks(ServeOnLogin) && use != 0 {
		s2 := s
		s2.hosts[h] = activeHost(use, H.session, s.raft.cfg)
		x.Add(&s2, "h%d serves without Activate", h)
	}
	if s.raft.restored && !m.breaks(NoLabelCheck) && !m.adoptLabels(&s) {
		return
	}
	use, declared := m.chooseLegs(&s.raft)
	if use == 0 || m.mustWaitForReads(&s, h) {
		return
	}
	// What the host saw in a login later than the one that it reported, it must not forget.
	later := H.seenLossy &^ s.raft.lossy
	gone := s0.allGone()
	s.shrinkISR(use)
	s.raft.cfg++
	s.raft.attached, s.raft.granted = true, use
	if s.allGone() && !gone {
		// A power cut after the reported login is, to any observer, one after Activate.
		unseen := !m.breaks(OldEvidence) && use&later != 0
		for l := range m.Legs {
			unseen = unseen || use.has(l) && s.legs[l].gone && !H.session.has(l)
		}
		if declared || unseen || s.raft.restored {
			m.observe(&s, disk.SawLoss, 0)
		}
	}
	s.raft.restored, s.raft.fenced, s.raft.lossy = false, 0, 0
	s.hosts[h] = activeHost(use, H.session, s.raft.cfg)
	if !m.breaks(OldEvidence) {
		s.hosts[h].lost = use & later
		s.hosts[h].session &^= use & later
	}
	x.Add(&s, "raft: Activate(e%d) cfg=%d isr=%03b", h, int(s.raft.cfg), int(use))
}

func activeHost(use, session legSet, cfg uint8) host {
	return host{
		phase: phaseActive, ack: use, read: use, session: session, knownCfg: cfg, knownISR: use, fresh: true,
	}
}

// chooseLegs returns S', empty if Activate has to wait for legs, and whether un-flushed writes are
// declared lost by policy. Legs that kept their cache have every acked write. Legs that lost it have
// every flushed one, and are good enough only if no in-sync leg can have more.
func (m *machine) chooseLegs(r *coordinator) (use legSet, declared bool) {
	kept := r.isr & r.fenced &^ r.lossy
	switch {
	case m.breaks(StaleOK):
		return r.fenced, false
	case m.breaks(IgnoreLossy):
		return r.isr & r.fenced, false
	case kept != 0:
		return kept, false
	case r.isr&^r.fenced == 0:
		return r.isr, false
	case m.Accept || m.breaks(AnyLossy):
		return r.isr & r.fenced, m.Accept
	}
	return 0, false
}

// mustWaitForReads: while a granted leg is not fenced, an older host may still read it, until T_read
// has passed since its last confirmation (protocol §1.6).
func (m *machine) mustWaitForReads(s *state, h int) bool {
	must := s.raft.isr | s.raft.granted
	if m.breaks(IsrOnly) && s.raft.isr&^s.raft.fenced == 0 {
		must = s.raft.isr
	}
	if must&^s.raft.fenced == 0 || m.breaks(NoLease) {
		return false
	}
	for e := 1; e < h; e++ {
		if s.hosts[e].phase == phaseActive && s.hosts[e].fresh {
			return true
		}
	}
	return false
}

// adoptLabels is Activate's first step after a restore (verify_all): the newest configuration of all
// labels counts. It reports false while a label has not been seen.
func (m *machine) adoptLabels(s *state) bool {
	r := &s.raft
	if r.fenced != m.allLegs() {
		return false
	}
	for l := range m.Legs {
		if s.legs[l].cfg > r.cfg {
			r.cfg, r.isr = s.legs[l].cfg, s.legs[l].isr
		}
	}
	for l := range m.Legs {
		if !r.isr.has(l) {
			r.last[l] = 0
		}
	}
	return true
}

// outliveLease: T_read passes for a host that is no longer confirmed.
func (m *machine) outliveLease(s0 *state, h int, x *steps) {
	if s0.hosts[h].fresh && int(s0.raft.epoch) != h {
		s := *s0
		s.hosts[h].fresh = false
		x.Add(&s, "h%d: T_read passes", h)
	}
}
