package coordinator

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/raft/control"
	"github.com/holdfast-storage/holdfast/volume"
)

// large is the leader of a cluster of 50 nodes and 1,000 attached volumes, each with a domain.
type large struct {
	c       *Coordinator
	raft    *memoryRaft
	now     time.Time
	nodes   []*raft.Node // storage nodes and hosts in turn
	volumes []*raft.Volume
	seq     uint64
}

const (
	largeNodes   = 50
	largeVolumes = 1000
)

func newLarge(t testing.TB) *large {
	w := &large{now: time.Unix(1_800_000_000, 0)}
	self := volume.NewNodeID()
	w.raft = newMemoryRaft(self)
	s := w.raft.state
	s.Cluster = raft.Cluster{Name: "large", ID: volume.NewClusterID(), Incarnation: volume.NewClusterID()}
	for i := range largeNodes {
		n := &raft.Node{ID: volume.NewNodeID(), Name: fmt.Sprintf("n%02d", i), Roles: []raft.Role{raft.RoleHost}}
		if i%2 == 0 {
			n.Roles, n.Portal = []raft.Role{raft.RoleStorage}, fmt.Sprintf("192.0.2.%d:3260", i)
			n.Stores = []raft.Store{{ID: volume.NewStoreID(), Name: "disk0"}}
		}
		s.Nodes[n.ID] = n
		w.nodes = append(w.nodes, n)
	}
	for i := range largeVolumes {
		host := w.nodes[2*(i%(largeNodes/2))+1]
		v := &raft.Volume{ID: volume.NewID(), Name: fmt.Sprintf("v%04d", i), SizeBytes: 10 << 30,
			Layout: volume.Mirror(2), Phase: volume.PhaseAttached, Epoch: 1, CfgVer: 1,
			Attach: &raft.Attach{ID: volume.NewAttachID(), Host: host.ID, Domain: fmt.Sprintf("v%04d", i)}}
		for slot := range 2 {
			n := w.nodes[2*((i+slot)%(largeNodes/2))]
			l := &raft.Leg{ID: volume.NewLegID(), Node: n.ID, Store: n.Stores[0].ID, Slot: slot, Provisioned: true,
				State: volume.LegInSync, FencedEpoch: 1, LastISRCfg: 1}
			v.Legs, v.InSync, v.Granted = append(v.Legs, l), append(v.InSync, l.ID), append(v.Granted, l.ID)
		}
		s.Volumes[v.ID] = v
		s.Domains[v.Name] = &raft.Domain{Name: v.Name, Running: true, Host: host.ID, Run: 1,
			Spec: raft.DomainSpec{Name: v.Name, Driver: "exec", Volumes: []raft.DomainVolume{{Name: v.Name}}}}
		w.volumes = append(w.volumes, v)
	}
	var err error
	w.c, err = New(Options{Raft: w.raft, Self: self, Identify: identifyTest, Reach: by(noWire{}),
		Now: func() time.Time { return w.now }, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	w.c.leads = true
	w.beat()
	return w
}

// heartbeat is what a node says of itself and of what is on it.
func (w *large) heartbeat(n *raft.Node) peer.Heartbeat {
	h := peer.Heartbeat{Version: peer.Version, Node: n.ID, Start: 1, Seq: w.seq, Knows: raft.VersionLatest}
	st := peer.StoreStatus{TotalBytes: 64 << 40, FreeBytes: 32 << 40}
	for _, v := range w.volumes {
		for _, l := range v.Legs {
			if l.Node == n.ID {
				st.ID = l.Store
				st.Legs = append(st.Legs, peer.LegStatus{ID: l.ID, Volume: v.ID, State: peer.LegOK, Sessions: 1})
			}
		}
		if v.Attach.Host == n.ID {
			h.Engines = append(h.Engines, w.engine(v))
			h.Domains = append(h.Domains, peer.DomainStatus{Name: v.Name, Run: 1, State: "running", PID: 7})
		}
	}
	if len(n.Stores) > 0 {
		h.Stores = append(h.Stores, st)
	}
	return h
}

func (w *large) engine(v *raft.Volume) peer.EngineStatus {
	s := peer.EngineStatus{Volume: v.ID, Epoch: v.Epoch, AttachID: v.Attach.ID, PID: 8, State: peer.EngineServing,
		CfgVer: v.CfgVer}
	for _, l := range v.Legs {
		s.Legs = append(s.Legs, peer.EngineLeg{ID: l.ID, State: "in_sync"})
	}
	return s
}

// beat lets half a second pass, in which every node is heard.
func (w *large) beat() {
	w.now = w.now.Add(500 * time.Millisecond)
	w.seq++
	for _, n := range w.nodes {
		w.c.hearNode(w.heartbeat(n))
	}
}

// A large cluster in which nothing happens makes the leader want nothing.
func TestLarge_quiet(t *testing.T) {
	w := newLarge(t)
	for range 8 {
		w.beat()
	}
	w.c.look(func(v *control.View) { require.Empty(t, control.Controllers(v)) })
}

// failover returns what the death of a host has the leader propose.
func (w *large) failover(t testing.TB, host *raft.Node) {
	w.c.look(func(v *control.View) {
		v.Dead = []volume.NodeID{host.ID}
		require.Len(t, control.Failover(v), largeVolumes/(largeNodes/2))
	})
}

// What one domain costs a failover does not grow with all that is in the cluster: where lists of hosts decide, no
// decision needs a state in which those before it were carried out.
func TestLarge_failoverForks(t *testing.T) {
	w := newLarge(t)
	for i, v := range w.volumes {
		w.raft.state.Domains[v.Name].Spec.Hosts = []string{w.nodes[2*(i%25)+1].Name, w.nodes[2*((i+1)%25)+1].Name}
	}
	each := testing.AllocsPerRun(3, func() { w.failover(t, w.nodes[1]) }) / (largeVolumes / (largeNodes / 2))
	require.Less(t, each, 40.0, "allocations for a domain; a fork of the state takes more than a hundred")
}

// processorTime returns what the process has used so far.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u unix.Rusage
	require.NoError(b, unix.Getrusage(unix.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkLarge says what the parts of a leader's work cost with 1,000 volumes on 50 nodes. An idle leader
// looks four times a second, judges health once, and hears each node twice a second and each of its engines
// about once in two.
func BenchmarkLarge(b *testing.B) {
	w := newLarge(b)
	state, _ := w.raft.State()
	step := func(name string, do func()) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			began := processorTime(b)
			for b.Loop() {
				do()
			}
			used := processorTime(b) - began // what else runs on the machine makes no difference to it
			b.ReportMetric(float64(used.Microseconds())/float64(b.N), "cpu-us/op")
		})
	}
	step("controllers", func() {
		w.c.mu.Lock()
		v := w.c.view(state)
		_, _ = control.Controllers(v), control.Votes(v)
		w.c.mu.Unlock()
	})
	step("failover_of_a_host", func() { w.failover(b, w.nodes[1]) })
	step("observe", func() {
		w.c.mu.Lock()
		w.c.observe(state, w.now)
		w.c.mu.Unlock()
	})
	step("health", func() { w.c.look(func(v *control.View) { w.c.judge(v) }) })
	beat := w.heartbeat(w.nodes[1])
	body, err := json.Marshal(beat)
	require.NoError(b, err)
	step("heartbeat_of_a_host", func() {
		var h peer.Heartbeat
		require.NoError(b, json.Unmarshal(body, &h))
		w.seq++
		h.Seq = w.seq
		w.c.hearNode(h)
	})
	w.seq++
	beat.Seq = w.seq
	w.c.hearNode(beat)
	require.True(b, w.c.keepBeat(beat, body))
	before, after, _, ok := splitBeat(body)
	require.True(b, ok)
	step("heartbeat_that_says_the_same", func() {
		w.seq++
		again := fmt.Appendf(nil, "%s%d%s", before, w.seq, after)
		require.True(b, w.c.hearSame(w.nodes[1].ID, again))
	})
	step("heartbeat_without_news", func() {
		w.seq++
		require.True(b, w.c.hearStill(peer.Still{Node: w.nodes[1].ID, Start: 1, Seq: w.seq}))
	})
	step("heartbeat_of_an_engine", func() {
		w.c.hearEngine(peer.EngineHeartbeat{Node: w.nodes[1].ID, Engine: w.engine(w.volumes[0])})
	})
	step("assignment", func() {
		text, err := json.Marshal(BuildAssignment(state, w.nodes[0].ID, time.Second))
		require.NoError(b, err)
		_ = sha256.Sum256(text)
	})
	step("ticket", func() {
		text, err := json.Marshal(BuildTicket(state, w.volumes[0], time.Second))
		require.NoError(b, err)
		_ = sha256.Sum256(text)
	})
	step("apply_and_publish", func() {
		next := state.Fork()
		next.Apply(raft.Command{At: w.now, RequestDetach: &raft.RequestDetach{Volume: w.volumes[0].ID}})
		concern(state, next, func(volume.UUID) {}, func() {})
	})
}
