package model

// invariants returns the first invariant of protocol §4 that a state violates, "" if all hold. They
// are checked with all rules in force; a broken rule must be shown by the contract, which is what
// the guest sees.
func (m *machine) invariants(s *state) string {
	if !s.raft.attached || s.raft.restored || s.backup == backupRestored {
		return ""
	}
	H := &s.hosts[s.raft.epoch]
	if s.raft.isr == 0 {
		return "I12: the in-sync list is empty"
	}
	if H.phase == phaseActive && s.raft.isr&^H.ack != 0 {
		return "I9: ack_set misses an in-sync leg"
	}
	if H.phase == phaseActive && H.read&^H.removing&^s.raft.isr != 0 && !m.Operator {
		return "I10: read_set has a leg that is not in sync"
	}
	for l := range m.Legs {
		g := &s.legs[l]
		switch {
		case g.cfg > s.raft.cfg || g.fence > s.raft.epoch:
			return "I19: a label is ahead of raft"
		case s.raft.isr.has(l) && !g.flushed() && !g.mark:
			return "un-flushed content without a mark"
		case s.raft.isr.has(l) && g.lossy != g.gone:
			return "lossy does not tell the truth"
		}
	}
	return ""
}
