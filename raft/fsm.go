package raft

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"

	hraft "github.com/hashicorp/raft"
)

// fsm holds the replica's State and implements hraft.FSM. Raft calls Apply, Snapshot and Restore one
// at a time; readers come at any time.
//
// An entry that cannot be understood stops the replica for good: skipping it would let this replica
// differ from the others (protocol §5, row 51).
type fsm struct {
	log    *slog.Logger
	failed chan struct{} // closed when the replica can no longer be trusted

	mu       sync.Mutex // guards the fields below; never held while applying
	state    *State     // never changed once it is here
	revision uint64     // index of the last command applied
	wake     chan struct{}
	err      error
}

var errStopped = errors.New("this coordinator has stopped")

func newFSM(log *slog.Logger) *fsm {
	return &fsm{log: log, failed: make(chan struct{}), state: NewState(), wake: make(chan struct{})}
}

// Apply applies one committed entry. It returns a Result, or an error if the replica has stopped.
func (f *fsm) Apply(entry *hraft.Log) any {
	if err := f.failure(); err != nil {
		return err
	}
	cmd, err := decodeCommand(entry.Data)
	if err != nil {
		return f.fail(fmt.Errorf("raft log entry %d: %w", entry.Index, err))
	}
	state, _ := f.current()
	next, result, changed := state.applied(cmd)
	f.publish(next, entry.Index, changed)
	return result
}

// Snapshot returns the current state, which needs no copy since it is never changed.
func (f *fsm) Snapshot() (hraft.FSMSnapshot, error) {
	if err := f.failure(); err != nil {
		return nil, err // raft believes that entries were applied which this replica refused
	}
	state, revision := f.current()
	return &fsmSnapshot{state: state, revision: revision}, nil
}

// Restore replaces the state by a snapshot's.
func (f *fsm) Restore(r io.ReadCloser) error {
	defer func() { _ = r.Close() }() // only read from
	state, revision, err := ReadSnapshot(r)
	if err != nil {
		return f.fail(fmt.Errorf("restore a raft snapshot: %w", err))
	}
	f.publish(state, revision, true)
	return nil
}

func (f *fsm) current() (*State, uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state, f.revision
}

func (f *fsm) publish(s *State, revision uint64, changed bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.state, f.revision = s, revision
	if changed {
		close(f.wake)
		f.wake = make(chan struct{})
	}
}

func (f *fsm) changed(after uint64) <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.revision > after {
		now := make(chan struct{})
		close(now)
		return now
	}
	return f.wake
}

// fail stops the replica. The first cause is kept.
func (f *fsm) fail(err error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.err = fmt.Errorf("%w: %w", errStopped, err)
		close(f.failed)
	}
	return f.err
}

func (f *fsm) failure() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// fsmSnapshot is a state on its way to a snapshot.
type fsmSnapshot struct {
	state    *State
	revision uint64
}

// Persist writes the snapshot. It implements hraft.FSMSnapshot.
func (s *fsmSnapshot) Persist(sink hraft.SnapshotSink) error {
	if err := WriteSnapshot(sink, s.state, s.revision); err != nil {
		return errors.Join(fmt.Errorf("write raft snapshot %s: %w", sink.ID(), err), sink.Cancel())
	}
	if err := sink.Close(); err != nil {
		return fmt.Errorf("write raft snapshot %s: %w", sink.ID(), err)
	}
	return nil
}

// Release has nothing to release. It implements hraft.FSMSnapshot.
func (s *fsmSnapshot) Release() {}
