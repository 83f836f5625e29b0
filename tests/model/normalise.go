package model

import "github.com/holdfast-storage/holdfast/tests/model/disk"

// Normalise maps states with the same future to one. It forgets what nothing will look at again.
func (m *machine) Normalise(s *state) {
	for l := range m.Legs {
		g := &s.legs[l]
		if !m.breaks(LateMark) {
			g.diskMark = g.mark
		}
		if !m.breaks(LateStamp) {
			g.diskStamp = g.stamp
		}
		if !m.Restore {
			g.isr = 0 // only a restored coordinator reads it
			if s.raft.isr.has(l) {
				s.raft.last[l] = 0
			}
		}
	}
	pending := m.Duplicates && s.duplicates == 0
	for h := 1; h <= m.Epochs; h++ {
		H := &s.hosts[h]
		if H.adding == 0 {
			H.addingCfg = 0
		}
		if int(s.raft.epoch) > h && !m.Restore {
			H.dup = 0 // raft refuses it by its epoch, for ever
		}
		if H.dup == 0 {
			H.dupCfg = 0
		}
		pending = pending || H.dup != 0
		m.bury(s, h)
	}
	if !pending {
		s.raft.joined = [MaxLegs]uint8{}
	}
}

// bury forgets what a superseded host cannot use any more.
func (m *machine) bury(s *state, h int) {
	H := &s.hosts[h]
	zombiesReturn := m.breaks(NoFence | NoDrain | VolFence | OldLogin | Aba)
	if H.phase == phaseUnused || H.phase == phaseDead || zombiesReturn || m.Restore {
		return
	}
	var open legSet // legs that may still serve or admit this epoch
	for l := range m.Legs {
		if int(s.legs[l].fence) <= h {
			open |= one(l)
		} else {
			s.wire[h][l] = 0
		}
	}
	if int(s.raft.epoch) <= h {
		return
	}
	if H.phase == phaseAttaching {
		H.seen, H.seenLossy = 0, 0
	}
	if !H.fresh && H.removing == 0 && !m.breaks(NoLease) {
		H.read = 0
	}
	// Raft answers it nothing, so what a fenced leg has not answered stays unanswered.
	if H.flush && H.ack&^H.flushed&^H.removing&^open != 0 && !m.breaks(FlushEarly) {
		H.flushed = 0
		m.observe(s, disk.SawFlushLost, uint8(h))
		H.flush = false
	}
	canAck := H.write != 0 && H.ack&^H.answered&^H.removing&^open == 0
	if open == 0 && H.adding == 0 && !H.flush && !canAck {
		*H = host{phase: phaseDead}
	}
}
