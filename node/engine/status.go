package engine

import (
	"os"
	"time"

	"github.com/holdfast-storage/holdfast/mirror"
	"github.com/holdfast-storage/holdfast/node/peer"
)

// status returns the engine's view of its set, for heartbeats and the control socket.
func (p *process) status() peer.EngineStatus {
	m, memory := p.set.Status(), anonymousBytes()
	p.mu.Lock()
	defer p.mu.Unlock()
	s := peer.EngineStatus{
		Volume:   p.start.Ticket.Volume,
		Epoch:    p.start.Ticket.Epoch,
		AttachID: p.start.Ticket.AttachID,
		PID:      os.Getpid(),
		State:    stateOf(m.State, p.serving),
		Reason:   m.Reason,
		CfgVer:   m.CfgVer,
		Exports:  p.offers,
		Faults:   p.faults,
		Legs:     make([]peer.EngineLeg, 0, len(m.Legs)),
		Stages:   make([]peer.Stage, 0, len(m.Stages)),

		Unreadable: m.Unreadable, Build: peer.Build(), MemoryBytes: memory,
		Uptime: time.Since(p.began),
	}
	if m.ScrubTotal > 0 {
		s.Scrub = &peer.ScrubStatus{ID: m.ScrubID, Done: m.ScrubDone, Total: m.ScrubTotal}
	}
	s.Copy = p.copies.status()
	if p.end != "" {
		s.State, s.Reason, s.Exports, s.Faults = p.end, p.endReason, nil, nil
	}
	for _, l := range m.Legs {
		s.Legs = append(s.Legs, peer.EngineLeg{ID: l.ID, State: legStateOf(l), Error: l.Error,
			CopyDone: l.CopyDone, CopyTotal: l.CopyTotal, MediumErrors: l.MediumErrors, Healed: l.Healed,
			BannedFor: bannedFor(l)})
	}
	for _, stage := range m.Stages {
		s.Stages = append(s.Stages, peer.Stage{Name: stage.Name, At: p.connecting.Sub(p.began) + stage.At})
	}
	return s
}

// stateOf says what the mirror's state means outside. The engine serves only once its export is
// open, and until a detach is done it is held: it is still the one that holds the grant.
func stateOf(s mirror.State, serving bool) peer.EngineState {
	switch s {
	case mirror.StateServing:
		if serving {
			return peer.EngineServing
		}
	case mirror.StateHeld, mirror.StateDetaching:
		if serving {
			return peer.EngineHeld
		}
	case mirror.StateDetached:
		return peer.EngineDetached
	case mirror.StateStopped:
		return peer.EngineFailed
	}
	return peer.EngineConnecting
}

// The states of a leg as peer.EngineLeg names them.
const (
	legInSync     = "in_sync"
	legJoining    = "joining"
	legConnecting = "connecting"
	legDown       = "down"
	legLost       = "lost"
)

func legStateOf(l mirror.LegStatus) string {
	switch l.State {
	case mirror.LegInSync, mirror.LegAnnounced:
		return legInSync
	case mirror.LegRecording, mirror.LegConfiguring, mirror.LegSettling, mirror.LegMarking, mirror.LegCopying,
		mirror.LegStamping, mirror.LegDraining, mirror.LegFlushing, mirror.LegAdding:
		return legJoining
	}
	switch {
	case l.Lossy:
		return legLost
	case l.Connected:
		return legConnecting
	}
	return legDown
}

// bannedLeast is the shortest ban that is worth telling.
const bannedLeast = 10 * time.Second

// bannedFor returns for how long a leg that failed again and again is not tried.
func bannedFor(l mirror.LegStatus) time.Duration {
	if l.RejoinIn < bannedLeast {
		return 0
	}
	return l.RejoinIn
}

// finish records how the engine ended; the first end counts.
func (p *process) finish(state peer.EngineState, reason string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.end == "" {
		p.end, p.endReason = state, reason
	}
}

// isServing reports whether the volume was attached and its export opened.
func (p *process) isServing() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.serving
}

// leaving records that a detach has begun: from now on it is the mirror that learns, from the
// answers to it, whether the grant is lost.
func (p *process) leaving() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.isDetaching = true
}

// isLeaving reports whether a detach has begun.
func (p *process) isLeaving() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.isDetaching
}

// sleep waits and reports false if the process is ending.
func (p *process) sleep(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-p.life.Done():
		return false
	}
}
