package engine

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/mirror"
	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// scrubbedSet is a mirror that keeps the orders for scrubs that it gets.
type scrubbedSet struct {
	set
	mu     sync.Mutex
	orders []mirror.ScrubOrder
	err    error
}

func (s *scrubbedSet) Scrub(o mirror.ScrubOrder) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.orders = append(s.orders, o)
	}
	return s.err
}

// take returns the orders since it was asked last.
func (s *scrubbedSet) take() []mirror.ScrubOrder {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	got := s.orders
	s.orders = nil
	return got
}

// scrubbing is a process whose scrubber works, with everything around it played.
type scrubbing struct {
	*process
	set     *scrubbedSet
	mu      sync.Mutex
	reports []raft.ReportScrub
	down    bool
	refuse  *raft.Refusal
}

func inScrubbing(t *testing.T, ordered *peer.ScrubOrder, test func(*testing.T, *scrubbing)) {
	synctest.Test(t, func(t *testing.T) {
		s := &scrubbing{set: &scrubbedSet{}}
		s.process = newProcess(Start{Ticket: peer.Ticket{Volume: volume.NewID(), Epoch: 7, Scrub: ordered}}, nil,
			slog.New(slog.DiscardHandler))
		s.process.set = s.set
		s.authority = &authority{volume: s.start.Ticket.Volume, coordinators: answering(s.commit)}
		s.running.Go(s.scrubs.run)
		defer s.running.Wait()
		defer s.stop()
		test(t, s)
	})
}

func (s *scrubbing) commit(c raft.Command) (raft.Result, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return raft.Result{}, errors.New("nobody answers")
	}
	s.reports = append(s.reports, *c.ReportScrub)
	return raft.Result{Err: s.refuse}, nil
}

func (s *scrubbing) setDown(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

// reported returns the reports that were committed since it was asked last.
func (s *scrubbing) reported() []raft.ReportScrub {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	got := s.reports
	s.reports = nil
	return got
}

func TestScrub_ordersAndReport(t *testing.T) {
	first := &peer.ScrubOrder{ID: 3, Rate: 1 << 20, From: 4096}
	inScrubbing(t, first, func(t *testing.T, s *scrubbing) {
		s.scrubs.order(first)
		require.Empty(t, s.set.take(), "not before the volume is served")
		s.scrubs.serve()
		require.Equal(t, []mirror.ScrubOrder{{ID: 3, Rate: 1 << 20, From: 4096}}, s.set.take())
		s.scrubs.order(first)
		require.Empty(t, s.set.take(), "it is at it")
		s.scrubs.order(&peer.ScrubOrder{ID: 3, Rate: 5, From: 4096})
		require.Equal(t, []mirror.ScrubOrder{{ID: 3, Rate: 5, From: 4096}}, s.set.take(), "another rate")

		leg := volume.NewLegID()
		s.setDown(true)
		s.scrubs.ended(mirror.ScrubReport{ID: 3, From: 4096, Next: 1 << 20, Complete: true,
			Legs:      []mirror.ScrubbedLeg{{ID: volume.NewLegID()}, {ID: leg, Bad: 2, Healed: 1}},
			DivergedN: 9, Unreadable: 4, Diverged: []block.Range{{Off: 8192, Len: 4096}}})
		require.Empty(t, s.reported())
		s.setDown(false)
		time.Sleep(2 * scrubPause)
		require.Equal(t, []raft.ReportScrub{{Volume: s.start.Ticket.Volume, Epoch: 7, ID: 3, From: 4096, Next: 1 << 20,
			Complete: true, Found: raft.ScrubFound{Legs: []raft.ScrubbedLeg{{Leg: leg, Bad: 2, Healed: 1}}, Diverged: 9,
				Ranges: []raft.ScrubRange{{Off: 8192, Len: 4096}}, Unreadable: 4}}}, s.reported())
		s.scrubs.order(first) // a ticket from before
		require.Empty(t, s.set.take(), "it is done")
		s.scrubs.order(&peer.ScrubOrder{ID: 4})
		require.Equal(t, []mirror.ScrubOrder{{ID: 4}}, s.set.take())
	})
}

func TestScrub_stopAndNext(t *testing.T) {
	inScrubbing(t, &peer.ScrubOrder{ID: 1}, func(t *testing.T, s *scrubbing) {
		s.scrubs.serve()
		s.set.take()
		s.scrubs.order(nil)
		s.scrubs.order(nil)
		require.Equal(t, []mirror.ScrubOrder{{ID: 1, Stop: true}}, s.set.take())
		s.scrubs.order(&peer.ScrubOrder{ID: 2})
		require.Empty(t, s.set.take(), "one at a time")
		s.refuse = &raft.Refusal{Code: raft.CodeStale, Message: "nobody remembers it"}
		s.scrubs.ended(mirror.ScrubReport{ID: 1, Next: 8192})
		require.Len(t, s.reported(), 1)
		require.Equal(t, []mirror.ScrubOrder{{ID: 2}}, s.set.take(), "a report that is refused is dropped")
	})
}

// A scrub that ends before its end goes on where it was, not at once, whatever the ticket says yet.
func TestScrub_goesOn(t *testing.T) {
	inScrubbing(t, &peer.ScrubOrder{ID: 1}, func(t *testing.T, s *scrubbing) {
		s.scrubs.serve()
		s.set.take()
		s.scrubs.ended(mirror.ScrubReport{ID: 1, Next: 8192})
		require.Len(t, s.reported(), 1)
		require.Empty(t, s.set.take())
		time.Sleep(2 * scrubPause)
		require.Equal(t, []mirror.ScrubOrder{{ID: 1, From: 8192}}, s.set.take())
		s.scrubs.order(&peer.ScrubOrder{ID: 1, From: 4096}) // from before the report
		s.scrubs.ended(mirror.ScrubReport{ID: 1, From: 8192, Next: 16384})
		s.scrubs.order(&peer.ScrubOrder{ID: 1, From: 8192})
		time.Sleep(2 * scrubPause)
		s.scrubs.order(&peer.ScrubOrder{ID: 1, From: 8192})
		require.Equal(t, []mirror.ScrubOrder{{ID: 1, From: 16384}}, s.set.take())
	})
}

// What a long scrub did is not lost with its engine: it is reported on the way.
func TestScrub_isInterruptedForAReport(t *testing.T) {
	inScrubbing(t, &peer.ScrubOrder{ID: 1}, func(t *testing.T, s *scrubbing) {
		time.Sleep(scrubReport)
		s.scrubs.serve()
		require.Equal(t, []mirror.ScrubOrder{{ID: 1}}, s.set.take())
		time.Sleep(scrubReport)
		require.Equal(t, []mirror.ScrubOrder{{ID: 1, Stop: true}}, s.set.take())
		s.scrubs.order(&peer.ScrubOrder{ID: 1, Rate: 5})
		time.Sleep(scrubReport)
		require.Empty(t, s.set.take(), "it is about to be reported")
		s.scrubs.ended(mirror.ScrubReport{ID: 1, Next: 8192})
		require.Len(t, s.reported(), 1)
		require.Equal(t, []mirror.ScrubOrder{{ID: 1, Rate: 5, From: 8192}}, s.set.take(), "and goes on at once")
	})
}

func TestScrub_refusedByTheMirror(t *testing.T) {
	inScrubbing(t, &peer.ScrubOrder{ID: 1}, func(t *testing.T, s *scrubbing) {
		s.set.err = block.ErrClosed
		s.scrubs.serve()
		require.Empty(t, s.set.take())
		s.scrubs.settle(t.Context()) // nothing is under way
		s.set.err = nil
		s.scrubs.order(&peer.ScrubOrder{ID: 1})
		require.Len(t, s.set.take(), 1)
	})
}

// A detach waits for the last report, but not for ever.
func TestScrub_settle(t *testing.T) {
	inScrubbing(t, &peer.ScrubOrder{ID: 1}, func(t *testing.T, s *scrubbing) {
		s.scrubs.serve()
		s.set.take()
		settled := make(chan time.Duration, 1)
		settle := func() {
			began := time.Now()
			s.scrubs.settle(context.Background())
			settled <- time.Since(began)
		}
		go settle()
		synctest.Wait()
		require.Empty(t, settled)
		s.scrubs.ended(mirror.ScrubReport{ID: 1, Next: 8192})
		require.Zero(t, <-settled)
		require.Len(t, s.reported(), 1)

		s.setDown(true)
		s.scrubs.ended(mirror.ScrubReport{ID: 1, From: 8192, Next: 9000})
		go settle()
		require.Equal(t, scrubSettle, <-settled)
	})
}
