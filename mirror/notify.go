package mirror

import (
	"github.com/holdfast-storage/holdfast/volume"
)

// notice is one thing that the observer and the log are told.
type notice struct {
	state    State
	leg      volume.LegID
	isLeg    bool
	from, to LegState
	text     string
	stopped  error
	scrub    *ScrubReport
}

// tell queues a notice; e.mu is held, so that notices keep the order of the steps.
func (e *Engine) tell(n notice) {
	e.notices = append(e.notices, n)
	e.signal()
}

func (e *Engine) signal() {
	select {
	case e.wakeNote <- struct{}{}:
	default:
	}
}

// notify is the engine's goroutine for the observer and the log. It ends with Close, when everything
// was told.
func (e *Engine) notify() {
	defer close(e.noted)
	for range e.wakeNote {
		for {
			e.mu.Lock()
			list, closed := e.notices, e.closed
			e.notices = nil
			e.mu.Unlock()
			for _, n := range list {
				e.observe(n)
			}
			if len(list) > 0 {
				continue
			}
			if closed {
				return
			}
			break
		}
	}
}

func (e *Engine) observe(n notice) {
	o := &e.opts.Observer
	switch {
	case n.stopped != nil:
		e.log.Error("attachment is over", "cause", n.stopped)
		if o.Stopped != nil {
			o.Stopped(n.stopped)
		}
	case n.scrub != nil:
		e.logScrub(n.scrub)
		if o.Scrubbed != nil {
			o.Scrubbed(*n.scrub)
		}
	case n.isLeg:
		e.log.Info("leg state", "leg", n.leg.String(), "from", n.from.String(), "to", n.to.String(),
			"cause", n.text)
		if o.Leg != nil {
			o.Leg(n.leg, n.from, n.to, n.text)
		}
	default:
		e.log.Info("engine state", "state", string(n.state), "reason", n.text)
		if o.State != nil {
			o.State(n.state, n.text)
		}
	}
}

func (e *Engine) logScrub(r *ScrubReport) {
	e.log.Info("scrub ended", "scrub", r.ID, "complete", r.Complete, "from", r.From, "next", r.Next,
		"diverged", r.DivergedN, "unreadable", r.Unreadable)
	for _, l := range r.Legs {
		if l.Bad > 0 {
			e.log.Warn("scrub found bad blocks", "scrub", r.ID, "leg", l.ID.String(), "bad", l.Bad,
				"healed", l.Healed)
		}
	}
}
