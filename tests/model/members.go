package model

import "github.com/holdfast-storage/holdfast/tests/model/disk"

// shrinkISR makes isr the in-sync list; legs that leave remember the last version they were part of.
func (s *state) shrinkISR(isr legSet) {
	for l := range MaxLegs {
		if (s.raft.isr &^ isr).has(l) {
			s.raft.last[l] = s.raft.cfg
		}
	}
	s.raft.isr = isr
}

// removeLeg: the host asks raft to remove a leg, and gets the answer. The leg stays in ack_set until
// CONFIG is on every leg that receives writes.
func (m *machine) removeLeg(s0 *state, h int, x *steps) {
	H := &s0.hosts[h]
	for l := range m.Legs {
		b := one(l)
		if !H.ack.has(l) || H.removing != 0 || H.ack&^b == 0 {
			continue
		}
		if m.breaks(AckEarly) && H.write != 0 && !H.answered.has(l) {
			s := *s0
			s.hosts[h].ack &^= b
			s.hosts[h].read &^= b
			x.Add(&s, "h%d drops leg%d locally", h, l)
		}
		if H.ack&^b&^H.lost == 0 && !m.breaks(RemoveGood) {
			continue // never the last leg that is not known to have lost its cache
		}
		if int(s0.raft.epoch) == h && s0.raft.attached {
			m.applyRemoveLeg(s0, h, l, x)
		}
	}
}

func (m *machine) applyRemoveLeg(s0 *state, h, l int, x *steps) {
	b := one(l)
	rest := s0.raft.isr &^ b
	copies := m.Duplicates && s0.duplicates == 0
	if rest == 0 { // the last leg is never removed: refused
		if copies {
			s := *s0
			s.sendDuplicate(h, l)
			x.Add(&s, "raft: RemoveLeg(e%d, leg%d) refused, the last; a copy stays on its way", h, l)
		}
		return
	}
	s := *s0
	H := &s.hosts[h]
	gone := s.allGone()
	if s.raft.isr.has(l) || !m.breaks(NoBump) {
		s.shrinkISR(rest)
		s.raft.cfg++
	}
	if s.allGone() && !gone {
		for k := range m.Legs { // the host does not know: to it the power cut came just after
			if rest.has(k) && !(H.session | H.lost).has(k) {
				m.observe(&s, disk.SawLoss, 0)
				break
			}
		}
	}
	H.removing, H.knownCfg, H.knownISR, H.confirmed = b, s.raft.cfg, rest, 0
	H.joining &^= b
	H.copied &^= b
	x.Add(&s, "raft: RemoveLeg(e%d, leg%d) cfg=%d isr=%03b", h, l, int(s.raft.cfg), int(rest))
	if copies {
		s.sendDuplicate(h, l)
		s.hosts[h].dupCfg = s0.raft.cfg
		x.Add(&s, "raft: RemoveLeg(e%d, leg%d) cfg=%d isr=%03b; a copy stays on its way",
			h, l, int(s.raft.cfg), int(rest))
	}
}

// sendDuplicate leaves a second copy of a RemoveLeg request on its way. The newest configuration that
// it can have seen is the one that raft has now.
func (s *state) sendDuplicate(h, l int) {
	s.duplicates++
	s.hosts[h].dup, s.hosts[h].dupCfg = one(l), s.raft.cfg
}

// applyDuplicate: the copy arrives at raft, at any later time, even if the host is gone. A request
// that is older than any join is refused (protocol §1.8: STALE_REQUEST), since the host counts on a
// leg that joined. Its answer reaches nobody.
func (m *machine) applyDuplicate(s0 *state, h int, x *steps) {
	H := &s0.hosts[h]
	if H.dup == 0 || int(s0.raft.epoch) != h || !s0.raft.attached {
		return
	}
	rest := s0.raft.isr &^ H.dup
	if rest == 0 {
		return
	}
	for l := range m.Legs {
		counts := !m.breaks(NoSeenCfg) && !(m.breaks(OwnJoinOnly) && !H.dup.has(l))
		if counts && s0.raft.joined[l] > H.dupCfg {
			return
		}
	}
	s := *s0
	s.hosts[h].dup = 0
	s.shrinkISR(rest)
	s.raft.cfg++
	x.Add(&s, "raft: late copy of RemoveLeg(e%d, %03b) cfg=%d isr=%03b", h, int(H.dup), int(s.raft.cfg), int(rest))
}

// config: the host carries the newest configuration that it knows to each leg that receives writes,
// then acts on it (protocol-flush B.5, B.6).
func (m *machine) config(s0 *state, h int, x *steps) {
	H := &s0.hosts[h]
	receive := H.ack&^H.removing | H.joining
	for l := range m.Legs {
		if receive.has(l) && !H.confirmed.has(l) && s0.legs[l].cfg <= H.knownCfg && m.serves(s0, h, l) {
			s := *s0
			m.setConfig(&s, h, l)
			s.hosts[h].confirmed |= one(l)
			x.Add(&s, "h%d: CONFIG cfg=%d on leg%d", h, int(H.knownCfg), l)
		}
	}
	everywhere := m.everywhere(H, receive)
	if H.removing != 0 && (everywhere || m.breaks(ReleaseEarly)) {
		s := *s0
		s.hosts[h].ack &^= H.removing
		s.hosts[h].read &^= H.removing
		s.hosts[h].removing = 0
		x.Add(&s, "h%d: removal is everywhere, held acks go", h)
	}
	if grow := H.ack & H.knownISR &^ H.read &^ H.removing; grow != 0 && H.fresh && everywhere {
		s := *s0
		s.hosts[h].read |= grow
		x.Add(&s, "h%d reads %03b too", h, int(grow))
	}
	// The host asks raft: a reply was lost, or the operator acted.
	behind := H.knownCfg < s0.raft.cfg && H.adding == 0 && H.removing == 0
	if int(s0.raft.epoch) == h && s0.raft.attached && behind {
		s := *s0
		s.hosts[h].removing = H.ack & H.knownISR &^ s.raft.isr
		s.hosts[h].knownCfg, s.hosts[h].knownISR, s.hosts[h].confirmed = s.raft.cfg, s.raft.isr, 0
		x.Add(&s, "h%d asks raft: cfg=%d isr=%03b", h, int(s.raft.cfg), int(s.raft.isr))
	}
}

// everywhere reports whether each of the legs answered the host's newest CONFIG.
func (m *machine) everywhere(H *host, legs legSet) bool {
	if m.breaks(PushISROnly) {
		legs &^= H.joining
	}
	return legs&^H.confirmed == 0
}
