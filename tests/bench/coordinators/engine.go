package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"github.com/holdfast-storage/holdfast/node/pause"
	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// engine is a simulated engine: what a real one says to coordinators, with a client of its own.
type engine struct {
	machine *machine
	ticket  peer.Ticket
	client  *peer.Client
	ctx     context.Context
	stop    context.CancelFunc
	work    sync.WaitGroup

	mu      sync.Mutex
	state   peer.EngineState
	cfgver  volume.CfgVer
	serving time.Time
}

func newEngine(m *machine, t peer.Ticket) *engine {
	e := &engine{machine: m, ticket: t, client: m.world.newClient(m.self.ID), state: peer.EngineConnecting}
	e.ctx, e.stop = context.WithCancel(m.ctx)
	return e
}

// run plays the engine until it is stopped or superseded.
func (e *engine) run() {
	e.work.Go(e.beat)
	for e.ctx.Err() == nil && !e.attach() {
		pause.For(e.ctx, retryPause)
	}
	e.work.Go(e.watch)
	e.work.Wait()
	e.client.Close()
}

// attach fences every leg, activates the epoch and confirms its configuration. It reports whether that is
// done, or has no end.
func (e *engine) attach() bool {
	var fences sync.WaitGroup
	for _, l := range e.ticket.Legs {
		fences.Go(func() {
			report, ok := e.machine.world.disks.fence(l.ID, e.ticket.Epoch, e.ticket.AttachID)
			if ok {
				_, _ = e.ask(raft.Command{RecordFence: &raft.RecordFence{Volume: e.ticket.Volume, Epoch: e.ticket.Epoch,
					Leg: l.ID, Report: report}})
			}
		})
	}
	fences.Wait()
	r, err := e.ask(raft.Command{Activate: &raft.Activate{Volume: e.ticket.Volume, Epoch: e.ticket.Epoch}})
	if err != nil {
		return errors.Is(err, errSuperseded)
	}
	confirm := raft.ConfirmConfig{Volume: e.ticket.Volume, Epoch: e.ticket.Epoch, CfgVer: r.Config.CfgVer}
	for _, leg := range r.Config.InSync {
		if seq, ok := e.machine.world.disks.configure(leg, e.ticket.Epoch, r.Config); ok {
			confirm.Seqs = append(confirm.Seqs, seq)
		}
	}
	e.mu.Lock()
	e.state, e.cfgver, e.serving = peer.EngineServing, r.Config.CfgVer, time.Now()
	e.mu.Unlock()
	e.machine.world.served(e.ticket.Name, e.ticket.Epoch, time.Now())
	_, err = e.ask(raft.Command{ConfirmConfig: &confirm})
	return err == nil || errors.Is(err, errSuperseded)
}

var errSuperseded = errors.New("superseded")

// ask has a command committed; a refusal is an error.
func (e *engine) ask(c raft.Command) (raft.Result, error) {
	r, err := e.client.Command(e.ctx, c)
	switch {
	case err != nil:
		return r, err
	case r.Err != nil && r.Err.Code == raft.CodeFenced:
		return r, fmt.Errorf("%w: %s", errSuperseded, r.Err.Message)
	case r.Err != nil:
		e.machine.world.refused(c.Name(), r.Err)
		return r, r.Err
	}
	return r, nil
}

// beat sends the engine's own heartbeats, at the pace that the coordinators ask for, spread as real ones are.
func (e *engine) beat() {
	before := beatEvery
	for e.ctx.Err() == nil {
		h := peer.EngineHeartbeat{Node: e.machine.self.ID, Engine: e.status()}
		e.machine.world.sizes.note("heartbeat of an engine", h)
		replies, _ := e.client.EngineHeartbeat(e.ctx, h) // one that is lost is followed by the next
		every := beatEvery
		if h.Engine.State == peer.EngineServing && len(replies) > 0 {
			slowest := replies[0].Pace
			for _, r := range replies {
				slowest = min(slowest, r.Pace)
			}
			every = max(every, slowest)
		}
		wait := every
		if every > before {
			wait = time.Duration(rand.Float64() * float64(every))
		}
		before = every
		pause.For(e.ctx, wait)
	}
}

// watch follows the ticket, as an engine does.
func (e *engine) watch() {
	for after := e.ticket.Revision; e.ctx.Err() == nil; {
		t, err := e.client.Ticket(e.ctx, e.ticket.Volume, e.ticket.AttachID, after)
		if errors.Is(err, peer.ErrSuperseded) {
			return
		}
		if err != nil {
			pause.For(e.ctx, retryPause)
			continue
		}
		e.machine.world.sizes.note("ticket", t)
		after = t.Revision
	}
}

func (e *engine) status() peer.EngineStatus {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := peer.EngineStatus{Volume: e.ticket.Volume, Epoch: e.ticket.Epoch, AttachID: e.ticket.AttachID,
		PID: os.Getpid(), State: e.state, CfgVer: e.cfgver}
	for _, l := range e.ticket.Legs {
		s.Legs = append(s.Legs, peer.EngineLeg{ID: l.ID, State: "in_sync"})
	}
	if e.state == peer.EngineServing {
		s.Exports = []volume.Offer{{Type: "nbd",
			URL: "nbd+unix:///" + e.ticket.Name + "?socket=/run/holdfast/nbd.sock"}}
	}
	return s
}
