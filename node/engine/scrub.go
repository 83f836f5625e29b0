package engine

import (
	"context"
	"sync"
	"time"

	"github.com/holdfast-storage/holdfast/mirror"
	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/raft"
)

// scrubPause is how long a scrub that ended before its end waits before it goes on, and a report that was
// not answered before it is sent again.
const scrubPause = time.Second

// scrubSettle is how long a detach waits for the last report of a scrub. Without it the next scrub looks
// at some of the volume again.
const scrubSettle = time.Second

// scrubReport is how often a scrub under way is interrupted for a report: that much of it, and of what it
// found, is lost with an engine that dies.
const scrubReport = 15 * time.Minute

// scrubber has the scrub carried out that the ticket orders, and reports what came of it. Its goroutine
// alone gives orders to the mirror, so that they keep their order.
type scrubber struct {
	process *process
	kick    chan struct{} // holds a token when there is something to look at

	mu      sync.Mutex // protects what follows; never held across I/O
	serving bool
	want    *peer.ScrubOrder     // of the newest ticket, from where it goes on; nil is none
	reports []mirror.ScrubReport // not committed yet
	at      uint64               // the scrub that the mirror is at, zero is none
	settled chan struct{}        // closed, and made anew, when a report was committed or dropped

	// Of its goroutine alone:
	rate     int64  // of the scrub that the mirror is at
	complete uint64 // the scrub that was completed last
	stopping bool   // the mirror was told to stop
}

func newScrubber(p *process) *scrubber {
	return &scrubber{process: p, kick: make(chan struct{}, 1), settled: make(chan struct{}), want: p.start.Ticket.Scrub}
}

func (s *scrubber) wake() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// order takes what a ticket orders. It may be older than a report that was committed since.
func (s *scrubber) order(o *peer.ScrubOrder) {
	s.mu.Lock()
	if o != nil && s.want != nil && s.want.ID == o.ID && s.want.From > o.From {
		on := *o
		on.From = s.want.From
		o = &on
	}
	s.want = o
	s.mu.Unlock()
	s.wake()
}

// serve says that the volume is served: from now on it can be scrubbed.
func (s *scrubber) serve() {
	s.mu.Lock()
	s.serving = true
	s.mu.Unlock()
	s.wake()
}

// ended takes the mirror's report. It does not wait.
func (s *scrubber) ended(r mirror.ScrubReport) {
	s.mu.Lock()
	s.reports = append(s.reports, r)
	if s.at == r.ID {
		s.at = 0
	}
	s.mu.Unlock()
	s.wake()
}

// run works until the process ends.
func (s *scrubber) run() {
	report := time.NewTicker(scrubReport)
	defer report.Stop()
	for {
		select {
		case <-s.process.life.Done():
			return
		case <-s.kick:
		case <-report.C:
			s.interrupt()
		}
		for s.send() {
		}
		s.step()
	}
}

// interrupt has the scrub under way reported. It goes on from there.
func (s *scrubber) interrupt() {
	s.mu.Lock()
	at := s.at
	s.mu.Unlock()
	if at == 0 || s.stopping {
		return
	}
	if err := s.process.set.Scrub(mirror.ScrubOrder{ID: at, Stop: true}); err != nil {
		s.process.log.Warn("scrub order refused", "scrub", at, "error", err)
		return
	}
	s.stopping = true
}

// step brings the mirror's scrub in line with the order.
func (s *scrubber) step() {
	s.mu.Lock()
	want, at, serving := s.want, s.at, s.serving
	owing := len(s.reports) > 0 // what comes next depends on what was reported
	s.mu.Unlock()
	var o mirror.ScrubOrder
	switch {
	case !serving || owing || at != 0 && s.stopping:
		return
	case at != 0 && (want == nil || want.ID != at):
		o = mirror.ScrubOrder{ID: at, Stop: true}
	case want == nil || want.ID == s.complete || at != 0 && want.Rate == s.rate:
		return
	default: // begin, go on, or change the rate
		o = mirror.ScrubOrder{ID: want.ID, Rate: want.Rate, From: want.From}
	}
	s.stopping = o.Stop
	if !o.Stop {
		s.rate = o.Rate
		s.mu.Lock()
		s.at = o.ID
		s.mu.Unlock()
	}
	if err := s.process.set.Scrub(o); err != nil {
		s.process.log.Warn("scrub order refused", "scrub", o.ID, "error", err)
		s.stopping = false
		s.mu.Lock()
		s.at = at
		s.mu.Unlock()
	}
}

// send has the first report committed and returns whether another may follow. A report that is refused
// is of a scrub that nobody wants any more.
func (s *scrubber) send() bool {
	s.mu.Lock()
	if len(s.reports) == 0 {
		s.mu.Unlock()
		return false
	}
	r := s.reports[0]
	s.mu.Unlock()
	p := s.process
	answer, err := p.authority.ask(p.life, "report scrub", raft.Command{ReportScrub: s.report(&r)})
	if err != nil && answer.Err == nil {
		p.log.Debug("scrub report", "scrub", r.ID, "error", err)
		if p.sleep(scrubPause) {
			s.wake()
		}
		return false
	}
	if err != nil {
		p.log.Info("scrub report refused", "scrub", r.ID, "cause", err)
	}
	s.mu.Lock()
	s.reports = s.reports[1:]
	if r.Complete {
		s.complete = r.ID
	} else if err == nil && s.want != nil && s.want.ID == r.ID {
		on := *s.want
		on.From = r.Next
		s.want = &on
	}
	close(s.settled)
	s.settled = make(chan struct{})
	s.mu.Unlock()
	// One that ended by itself goes on, but not in a tight loop.
	return r.Complete || s.stopping || p.sleep(scrubPause)
}

// report puts the mirror's report into raft's words.
func (s *scrubber) report(r *mirror.ScrubReport) *raft.ReportScrub {
	t := &s.process.start.Ticket
	out := &raft.ReportScrub{Volume: t.Volume, Epoch: t.Epoch, ID: r.ID, From: r.From, Next: r.Next,
		Complete: r.Complete, Found: raft.ScrubFound{Diverged: r.DivergedN, Unreadable: r.Unreadable}}
	for _, l := range r.Legs {
		if l.Bad > 0 {
			out.Found.Legs = append(out.Found.Legs, raft.ScrubbedLeg{Leg: l.ID, Bad: l.Bad, Healed: l.Healed})
		}
	}
	for _, d := range r.Diverged[:min(len(r.Diverged), raft.ScrubRangesMax)] {
		out.Found.Ranges = append(out.Found.Ranges, raft.ScrubRange{Off: d.Off, Len: d.Len})
	}
	return out
}

// settle waits until what the mirror's scrub found is reported, for a while.
func (s *scrubber) settle(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, scrubSettle)
	defer cancel()
	for {
		s.mu.Lock()
		busy, settled := s.at != 0 || len(s.reports) > 0, s.settled
		s.mu.Unlock()
		if !busy {
			return
		}
		select {
		case <-settled:
		case <-ctx.Done():
			return
		}
	}
}
