package model

import "github.com/holdfast-storage/holdfast/tests/model/disk"

// powerCuts: a power cut, or a crash of a node's operating system, leaves any one of the values that
// were in its cache since the last flush.
func (m *machine) powerCuts(s0 *state, x *steps) {
	if int(s0.cuts) >= m.Cuts {
		return
	}
	for l := range m.Legs {
		before := s0.legs[l]
		for v := uint8(0); int(v) <= m.Writes; v++ {
			if before.disk&just(v) == 0 {
				continue
			}
			s := *s0
			s.cuts++
			gone := s.allGone()
			g := &s.legs[l]
			g.value, g.disk = v, just(v)
			if m.breaks(LateMark) {
				g.mark = before.diskMark
			}
			if m.breaks(LateStamp) {
				g.stamp = before.diskStamp
			}
			if m.Class == ClassFlush {
				g.lossy = before.lossy || g.mark
				g.gone = before.gone || before.mark || !before.flushed()
			}
			s.endSessions(l)
			if !gone && s.allGone() {
				m.observe(&s, disk.SawLoss, 0)
			}
			x.Add(&s, "leg%d loses power, comes back with %d", l, int(v))
		}
	}
}

// forgetfulRestarts: a node whose fence is not durable restarts.
func (m *machine) forgetfulRestarts(s0 *state, x *steps) {
	for l := range m.Legs {
		if m.breaks(VolFence) && s0.restarts == 0 && s0.legs[l].fence > 1 {
			s := *s0
			s.restarts = 1
			s.legs[l].fence = 1
			s.endSessions(l)
			x.Add(&s, "leg%d restarts, its fence forgotten", l)
		}
	}
}

// operatorRemoves: the operator removes a leg behind the attached host. In class flush that is his
// word that what the other legs lost may be lost.
func (m *machine) operatorRemoves(s0 *state, x *steps) {
	if !m.Operator || !s0.raft.attached {
		return
	}
	for l := range m.Legs {
		rest := s0.raft.isr &^ one(l)
		if rest == 0 || rest == s0.raft.isr {
			continue
		}
		s := *s0
		gone := s.allGone()
		s.shrinkISR(rest)
		s.raft.cfg++
		if !gone && s.allGone() {
			m.observe(&s, disk.SawLoss, 0)
		}
		x.Add(&s, "raft: operator removes leg%d cfg=%d", l, int(s.raft.cfg))
	}
}

// backupAndRestore: the coordinator's state is saved once, and once replaced by what was saved.
func (m *machine) backupAndRestore(s0 *state, x *steps) {
	if m.Restore && s0.backup == backupNone {
		s := *s0
		s.saved, s.backup = s.raft, backupTaken
		x.Add(&s, "raft: backup")
	}
	if m.Restore && s0.backup == backupTaken && s0.saved != s0.raft {
		s := *s0
		s.raft, s.saved, s.backup = s.saved, coordinator{}, backupRestored
		r := &s.raft
		r.restored, r.attached, r.fenced, r.lossy = true, false, 0, 0
		x.Add(&s, "raft: restored from the backup")
	}
}
