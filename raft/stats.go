package raft

import hraft "github.com/hashicorp/raft"

// Stats is how far a coordinator's raft member is, for metrics.
type Stats struct {
	Term          uint64
	LastIndex     uint64 // of its log
	CommitIndex   uint64
	AppliedIndex  uint64
	SnapshotIndex uint64 // of the latest snapshot, zero if there is none
	SnapshotBytes int64  // its size, which is that of the state then
	Leader        bool   // raft itself says that it leads; see Leading
}

// Stats returns how far this member is. It reads the list of snapshots from the disk.
func (c *Coordinator) Stats() Stats {
	s := Stats{
		Term: c.raft.CurrentTerm(), LastIndex: c.raft.LastIndex(), CommitIndex: c.raft.CommitIndex(),
		AppliedIndex: c.raft.AppliedIndex(), Leader: c.raft.State() == hraft.Leader,
	}
	// A list that cannot be read is told by raft when it makes the next one.
	if snaps, err := c.store.snaps.List(); err == nil && len(snaps) > 0 {
		s.SnapshotIndex, s.SnapshotBytes = snaps[0].Index, snaps[0].Size
	}
	return s
}
