package main

import (
	"bytes"
	"context"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-storage/holdfast/node/pause"
	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// pace of a node and of its engines, as in package node.
const (
	beatEvery  = 500 * time.Millisecond
	retryPause = 200 * time.Millisecond
)

// machine is a simulated node: the daemon of a storage node or of a host, and the engines on it.
type machine struct {
	world  *world
	self   raft.Node
	client *peer.Client
	ctx    context.Context
	stop   context.CancelFunc
	work   sync.WaitGroup

	lastBeat atomic.Int64 // when the last heartbeat was sent, in nanoseconds since 1970

	mu      sync.Mutex
	legs    map[volume.LegID]volume.ID
	engines map[volume.AttachID]*engine
	domains []peer.DomainOrder
}

// run begins to play the node.
func (m *machine) run() {
	m.work.Go(m.follow)
	m.work.Go(m.beat)
}

// kill ends the node with all that is on it, and returns when it last gave a sign of life.
func (m *machine) kill() time.Time {
	m.stop()
	m.work.Wait()
	m.client.Close()
	return time.Unix(0, m.lastBeat.Load())
}

// follow registers the node and does what its assignments say.
func (m *machine) follow() {
	registered := false
	for after := uint64(0); m.ctx.Err() == nil; {
		if !registered {
			r, err := m.client.Register(m.ctx, raft.RegisterNode{Node: m.self})
			if registered = err == nil && r.Err == nil; !registered {
				pause.For(m.ctx, retryPause)
				continue
			}
		}
		a, err := m.client.Assignment(m.ctx, m.self.ID, after)
		if err != nil {
			pause.For(m.ctx, retryPause)
			continue
		}
		after, registered = a.Revision, a.Registered
		m.world.sizes.note("assignment", a)
		m.take(a)
	}
}

// take does what an assignment says.
func (m *machine) take(a peer.Assignment) {
	m.mu.Lock()
	defer m.mu.Unlock()
	legs := make(map[volume.LegID]volume.ID, len(a.Legs))
	for _, o := range a.Legs {
		legs[o.Leg] = o.Volume
		if o.Action == peer.LegProvision && m.legs[o.Leg].IsZero() {
			m.world.disks.provision(o, a.Incarnation)
			m.work.Go(func() { m.provisioned(o) })
		}
	}
	m.legs, m.domains = legs, a.Domains
	wanted := make(map[volume.AttachID]bool, len(a.Attach))
	for _, t := range a.Attach {
		wanted[t.AttachID] = true
		if m.engines[t.AttachID] == nil {
			e := newEngine(m, t)
			m.engines[t.AttachID] = e
			m.work.Go(e.run)
		}
	}
	for id, e := range m.engines {
		if !wanted[id] {
			e.stop()
			delete(m.engines, id)
		}
	}
}

func (m *machine) provisioned(o peer.LegOrder) {
	for m.ctx.Err() == nil {
		_, err := m.client.Command(m.ctx, raft.Command{LegProvisioned: &raft.LegProvisioned{
			Volume: o.Volume, Leg: o.Leg}})
		if err == nil {
			return
		}
		pause.For(m.ctx, retryPause)
	}
}

// beat sends the daemon's heartbeats.
func (m *machine) beat() {
	ticker := time.NewTicker(beatEvery)
	defer ticker.Stop()
	h := peer.Heartbeat{Node: m.self.ID, Start: 1, PID: os.Getpid(), Knows: raft.VersionLatest}
	for m.ctx.Err() == nil {
		h.Seq++
		h.Stores, h.Engines, h.Domains = m.status()
		m.world.sizes.note("heartbeat of a node", h)
		m.lastBeat.Store(time.Now().UnixNano())
		_, _ = m.client.Heartbeat(m.ctx, h) // one that is lost is followed by the next
		select {
		case <-m.ctx.Done():
		case <-ticker.C:
		}
	}
}

// status is what the node's heartbeat says.
func (m *machine) status() ([]peer.StoreStatus, []peer.EngineStatus, []peer.DomainStatus) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var stores []peer.StoreStatus
	for _, st := range m.self.Stores {
		s := peer.StoreStatus{ID: st.ID, Name: st.Name, TotalBytes: 64 << 40, FreeBytes: 32 << 40}
		for id, vol := range m.legs {
			s.Legs = append(s.Legs, peer.LegStatus{ID: id, Volume: vol, State: peer.LegOK, Sessions: 1, ReadMicros: 90})
		}
		slices.SortFunc(s.Legs, func(a, b peer.LegStatus) int { return bytes.Compare(a.ID.UUID[:], b.ID.UUID[:]) })
		stores = append(stores, s)
	}
	var engines []peer.EngineStatus
	serving := make(map[volume.ID]bool)
	for _, e := range m.engines {
		s := e.status()
		serving[s.Volume] = s.State == peer.EngineServing
		engines = append(engines, s)
	}
	slices.SortFunc(engines, func(a, b peer.EngineStatus) int {
		return bytes.Compare(a.AttachID.UUID[:], b.AttachID.UUID[:])
	})
	var domains []peer.DomainStatus
	for _, d := range m.domains {
		s := peer.DomainStatus{Name: d.Name, Run: d.Run, State: "starting"}
		if len(d.Volumes) > 0 && serving[d.Volumes[0]] {
			s.State, s.PID = "running", os.Getpid()
		}
		domains = append(domains, s)
	}
	return stores, engines, domains
}
