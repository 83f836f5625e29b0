package host

import (
	"time"

	"github.com/holdfast-storage/holdfast/domain"
	"github.com/holdfast-storage/holdfast/node/peer"
)

// keep begins to follow an engine. The loop calls it.
func (h *Host) keep(e *running, s peer.EngineStatus) {
	h.engines[e.hello.Volume] = e
	h.core.engineSeen(e.name, s, h.now())
	ended := make(chan struct{})
	h.jobs.Go(func() {
		if e.handle.Wait(h.life) == nil {
			close(ended)
		}
	})
	h.jobs.Go(func() { h.follow(e, s.State, ended) })
}

// follow reports an engine's state until its process has ended or the host does. Only the end of
// the process counts as its end: an engine that does not answer may still write.
func (h *Host) follow(e *running, state peer.EngineState, ended <-chan struct{}) {
	defer e.handle.Close()
	for {
		wait := askPause
		if state == peer.EngineConnecting {
			wait = askSoon
		}
		select {
		case <-ended:
			h.noteEnd(e)
			return
		case <-h.life.Done():
			return
		case <-time.After(wait):
		}
		if g, s, err := statusWithin(h.life, e.dir); err == nil && g.hello == e.hello {
			state = s.State
			h.post(func() { h.core.engineSeen(e.name, s, h.now()) })
		}
	}
}

func (h *Host) noteEnd(e *running) {
	cause := "unknown: it was not this daemon's child"
	if e.child != nil {
		_ = e.child.Wait() // how it ended stands in ProcessState, whatever Wait makes of it
		cause = e.child.ProcessState.String()
	}
	h.options.Logger.Info("engine ended", "volume", e.name, "epoch", e.hello.Epoch, "cause", cause)
	h.post(func() {
		h.core.engineGone(e.hello.Volume, e.hello.AttachID, h.now())
		if h.engines[e.hello.Volume] == e {
			delete(h.engines, e.hello.Volume)
		}
		close(e.gone)
	})
}

// watch begins to follow a guest, running or ended. The loop calls it.
func (h *Host) watch(name string, g hosted) {
	h.guests[name] = g
	h.core.guestSeen(seenGuest(g.process))
	if g.process.State().Phase.Ended() {
		return
	}
	h.jobs.Go(func() {
		select {
		case <-h.life.Done():
		case <-g.process.Done():
			h.post(func() {
				if h.guests[name].process == g.process {
					h.core.guestSeen(seenGuest(g.process))
				}
			})
		}
	})
}

func seenGuest(p domain.Process) guest {
	id := p.ID()
	return guest{order: p.Order(), pid: id.PID, start: id.Start, state: p.State()}
}
