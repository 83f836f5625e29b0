package leg

import "sync"

// syncer lets callers that want a sync at the same time share one. A call returns the result of a
// sync that began after the call did; one that was running before does not count.
//
// After an error there is no other sync: the kernel tells one caller that it dropped pages, and the next sync, which
// has nothing to write any more, succeeds. Whoever waits for that would take it for an answer, before the one who was
// told could fail the leg.
type syncer struct {
	sync func() error
	err  error // of the sync that failed; of who syncs

	mu      sync.Mutex
	running bool
	next    *syncBatch // of the callers that wait for the running one to end; nil when none does
}

// syncBatch is the callers of one sync.
type syncBatch struct {
	lead chan struct{} // one of them takes it and does the sync
	done chan struct{} // closed when err is set
	err  error
}

func (s *syncer) do() error {
	s.mu.Lock()
	if !s.running {
		s.running = true
		s.mu.Unlock()
		err := s.once()
		s.finish()
		return err
	}
	if s.next == nil {
		s.next = &syncBatch{lead: make(chan struct{}, 1), done: make(chan struct{})}
	}
	batch := s.next
	s.mu.Unlock()
	select {
	case <-batch.done:
		return batch.err
	case <-batch.lead:
	}
	batch.err = s.once()
	close(batch.done)
	s.finish()
	return batch.err
}

func (s *syncer) once() error {
	if s.err == nil {
		s.err = s.sync()
	}
	return s.err
}

// finish ends a sync and hands over to those who came while it ran.
func (s *syncer) finish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next == nil {
		s.running = false
		return
	}
	s.next.lead <- struct{}{}
	s.next = nil
}
