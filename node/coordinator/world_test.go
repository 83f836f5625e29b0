package coordinator

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/raft/control"
	"github.com/holdfast-storage/holdfast/volume"
)

// memoryRaft is a raft group of one in memory: the real State behind the seam.
type memoryRaft struct {
	self    volume.NodeID
	leads   chan bool
	mu      sync.Mutex
	leading bool
	leader  volume.NodeID
	state   *raft.State
	index   uint64
	wake    chan struct{}
	applied []string
	members []raft.Member
	// gate may hold a command up, and lose it or what became of it; nil lets all pass. An error is the answer; the
	// command is applied nevertheless unless it is lost.
	gate func(context.Context, raft.Command) (isLost bool, err error)
	// behind returns what others have committed right behind a command, before whoever proposed it looks again; nil =
	// nothing.
	behind func(raft.Command) []raft.Command
}

func newMemoryRaft(self volume.NodeID) *memoryRaft {
	return &memoryRaft{
		self: self, leader: self, leading: true, leads: make(chan bool, 1), state: raft.NewState(),
		wake: make(chan struct{}),
	}
}

func (m *memoryRaft) Apply(ctx context.Context, c raft.Command) (raft.Result, uint64, error) {
	isLost, failed := false, error(nil)
	m.mu.Lock()
	gate := m.gate
	m.mu.Unlock()
	if gate != nil {
		isLost, failed = gate(ctx, c)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if isLost {
		return raft.Result{}, 0, failed
	}
	if !m.leading {
		return raft.Result{}, 0, raft.ErrNotLeader
	}
	next := m.state.Fork()
	result := next.Apply(c)
	m.index++
	m.applied = append(m.applied, c.Name())
	if m.behind != nil {
		for _, other := range m.behind(c) {
			next.Apply(other)
			m.index++
		}
	}
	m.state = next
	close(m.wake)
	m.wake = make(chan struct{})
	return result, m.index, failed
}

func (m *memoryRaft) State() (*raft.State, uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state, m.index
}

func (m *memoryRaft) Changed(after uint64) <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.index > after {
		done := make(chan struct{})
		close(done)
		return done
	}
	return m.wake
}

func (m *memoryRaft) Leading() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.leading
}

func (m *memoryRaft) Settle() error {
	if !m.Leading() {
		return raft.ErrNotLeader
	}
	return nil
}

func (m *memoryRaft) Leader() (volume.NodeID, string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.leader, ""
}

func (m *memoryRaft) LeaderCh() <-chan bool { return m.leads }

func (m *memoryRaft) AddMember(_ context.Context, add raft.Member) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.members = append(slices.DeleteFunc(slices.Clone(m.members), func(o raft.Member) bool {
		return o.ID == add.ID
	}), add)
	return nil
}

func (m *memoryRaft) RemoveMember(_ context.Context, id volume.NodeID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.members = slices.DeleteFunc(slices.Clone(m.members), func(o raft.Member) bool { return o.ID == id })
	return nil
}

// Members returns nobody, as if they were not known, until a test says who has a vote.
func (m *memoryRaft) Members() ([]raft.Member, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.members, nil
}

// Born returns what a data directory of this release says.
func (m *memoryRaft) Born() int { return raft.VersionLatest }

func (m *memoryRaft) Stats() raft.Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	return raft.Stats{Term: 3, LastIndex: m.index, CommitIndex: m.index, AppliedIndex: m.index, SnapshotBytes: 4096}
}

// lead changes who leads.
func (m *memoryRaft) lead(leading bool, leader volume.NodeID) {
	m.mu.Lock()
	m.leading, m.leader = leading, leader
	m.mu.Unlock()
	m.leads <- leading
}

func (m *memoryRaft) count(name string) (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, a := range m.applied {
		if a == name {
			n++
		}
	}
	return n
}

// world is a coordinator with machines around it that do what real nodes do, in virtual time.
type world struct {
	t        *testing.T
	raft     *memoryRaft
	c        *Coordinator
	api      service
	mu       sync.Mutex // guards machines against those that look for each other
	machines map[string]*machine
	ctx      context.Context // of the whole world
	group    sync.WaitGroup
}

// inWorld runs test in a bubble of virtual time with a coordinator on node n1.
func inWorld(t *testing.T, test func(*testing.T, *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		w := &world{t: t, machines: map[string]*machine{}, ctx: ctx}
		self := volume.NewNodeID()
		w.raft = newMemoryRaft(self)
		var err error
		w.c, err = New(Options{
			Raft: w.raft, Self: self, Identify: identifyTest, Reach: by(noWire{}),
			Cluster: raft.InitCluster{Name: "c", ID: volume.NewClusterID(),
				Incarnation: volume.NewClusterID()},
		})
		require.NoError(t, err)
		w.api = service{w.c}
		w.group.Go(func() { w.c.Run(ctx) })
		defer func() {
			cancel()
			w.group.Wait()
		}()
		w.add("n1", self, raft.RoleCoordinator, raft.RoleStorage)
		w.add("n2", volume.NewNodeID(), raft.RoleStorage)
		w.add("n3", volume.NewNodeID(), raft.RoleStorage)
		w.add("h1", volume.NewNodeID(), raft.RoleHost)
		w.add("h2", volume.NewNodeID(), raft.RoleHost)
		time.Sleep(3 * time.Second)
		test(t, w)
	})
}

// asRoot serves every call as one that came by the unix socket.
func asRoot(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(api.WithCaller(r.Context(), api.Caller{Kind: api.CallerRoot})))
	})
}

func identifyTest(r *http.Request) (volume.NodeID, error) {
	id, err := volume.ParseUUID(r.Header.Get("X-Test-Node"))
	return volume.NodeID{UUID: id}, err
}

// noWire reaches nobody. A world never dials: what it opens would belong to its bubble, and so would what the
// resolver of the whole process makes when it is first asked, which ends the test of the next who asks.
type noWire struct{}

func (noWire) RoundTrip(r *http.Request) (*http.Response, error) {
	return nil, fmt.Errorf("no wire to %s", r.URL.Host)
}

// by reaches all coordinators in the same way.
func by(t http.RoundTripper) func(volume.NodeID) http.RoundTripper {
	return func(volume.NodeID) http.RoundTripper { return t }
}

// call sends a peer's request and returns the status; the answer is decoded into out if it is 200.
func (w *world) call(from volume.NodeID, method, path string, body, out any) int {
	w.t.Helper()
	payload, err := json.Marshal(body)
	require.NoError(w.t, err)
	r := httptest.NewRequestWithContext(w.t.Context(), method, path, bytes.NewReader(payload))
	r.Header.Set("X-Test-Node", from.String())
	rec := httptest.NewRecorder()
	w.c.PeerHandler().ServeHTTP(rec, r)
	if rec.Code == http.StatusOK && out != nil {
		require.NoError(w.t, json.Unmarshal(rec.Body.Bytes(), out))
	}
	return rec.Code
}

// machine is one node that does what it is told: makes and deletes legs, runs engines and guests.
type machine struct {
	w       *world
	node    raft.Node
	cancel  context.CancelFunc
	mu      sync.Mutex
	seq     uint64
	disk    sync.Mutex // guards legs and dead
	legs    map[volume.LegID]volume.ID
	dead    bool
	engines map[volume.AttachID]*peer.EngineStatus
	began   map[volume.AttachID]time.Time // the engines
	domains map[string]peer.DomainStatus
	slow    atomic.Bool // its engines copy legs for ever
	fails   atomic.Bool // its engines fail
	crashes atomic.Bool // its guests exit at once
	reads   atomic.Bool // its guests read as soon as they are served
	scrubs  atomic.Bool // its engines get to the end of a scrub
	finds   raft.ScrubFound
	told    atomic.Bool // it says that its legs were all told
	cuts    atomic.Bool // it cuts the clones that it fills
	old     atomic.Bool // it runs the release before
}

func (w *world) add(name string, id volume.NodeID, roles ...raft.Role) *machine {
	w.t.Helper()
	m := &machine{w: w, legs: map[volume.LegID]volume.ID{}, engines: map[volume.AttachID]*peer.EngineStatus{},
		began:   map[volume.AttachID]time.Time{},
		domains: map[string]peer.DomainStatus{},
		node: raft.Node{ID: id, Name: name, Roles: roles, API: name + ":1", Raft: name + ":2",
			Portal:  name + ":3",
			ChapKey: volume.NodeKey{byte(len(w.machines) + 1)}}}
	if m.node.Has(raft.RoleStorage) {
		m.node.Stores = []raft.Store{{ID: volume.NewStoreID(), Name: "disk1"}}
	}
	w.mu.Lock()
	w.machines[name] = m
	w.mu.Unlock()
	m.start(w.ctx)
	return m
}

// start lets the machine run until kill.
func (m *machine) start(ctx context.Context) {
	ctx, m.cancel = context.WithCancel(ctx)
	start := uint64(time.Now().UnixNano())
	m.disk.Lock()
	m.dead = false
	m.disk.Unlock()
	m.w.group.Go(func() {
		for first := true; ctx.Err() == nil; first = false {
			if first {
				m.w.call(m.node.ID, http.MethodPost, peer.PathRegister, raft.RegisterNode{Node: m.node}, nil)
			}
			m.turn(start)
			select {
			case <-ctx.Done():
			case <-time.After(200 * time.Millisecond):
			}
		}
	})
}

// kill stops the machine with all that is on it.
func (m *machine) kill() {
	m.cancel()
	m.disk.Lock()
	m.dead = true
	m.disk.Unlock()
}

// has reports whether the machine runs and has a leg.
func (m *machine) has(leg volume.LegID) bool {
	m.disk.Lock()
	defer m.disk.Unlock()
	_, ok := m.legs[leg]
	return ok && !m.dead
}

// turn does what the assignment says and sends a heartbeat.
func (m *machine) turn(start uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var a peer.Assignment
	if m.w.call(m.node.ID, http.MethodGet, peer.PathAssignment+"?node="+m.node.ID.String(), nil,
		&a) != http.StatusOK {
		return
	}
	m.storage(a.Legs)
	m.host(a)
	m.seq++
	h := peer.Heartbeat{Version: peer.Version, Node: m.node.ID, Start: start, Seq: m.seq, PID: 42}
	if !m.old.Load() {
		h.Knows = raft.VersionLatest
	}
	if m.told.Load() {
		h.Told = a.Incarnation
	}
	for _, st := range m.node.Stores {
		status := peer.StoreStatus{ID: st.ID, Name: st.Name, TotalBytes: 200 << 30, FreeBytes: 100 << 30}
		for leg, vol := range m.legs {
			status.Legs = append(status.Legs, peer.LegStatus{ID: leg, Volume: vol, State: peer.LegOK})
		}
		h.Stores = append(h.Stores, status)
	}
	for _, e := range m.engines {
		h.Engines = append(h.Engines, *e)
		own := peer.EngineHeartbeat{Version: peer.Version, Node: m.node.ID, Engine: *e}
		code := m.w.call(m.node.ID, http.MethodPost, peer.PathEngineHeartbeat, own, nil)
		require.Equal(m.w.t, http.StatusOK, code)
	}
	for _, d := range m.domains {
		h.Domains = append(h.Domains, d)
	}
	require.Equal(m.w.t, http.StatusOK, m.w.call(m.node.ID, http.MethodPost, peer.PathHeartbeat, h, nil))
}

func (m *machine) command(c raft.Command) raft.Result {
	var result raft.Result
	if code := m.w.call(m.node.ID, http.MethodPost, peer.PathCommand, c, &result); code != http.StatusOK {
		result.Err = &raft.Refusal{Code: raft.CodeInvalid, Message: fmt.Sprint(code)}
	}
	return result
}

func (m *machine) storage(orders []peer.LegOrder) {
	for _, o := range orders {
		switch o.Action {
		case peer.LegProvision:
			m.disk.Lock()
			m.legs[o.Leg] = o.Volume
			m.disk.Unlock()
			m.command(raft.Command{LegProvisioned: &raft.LegProvisioned{Volume: o.Volume, Leg: o.Leg}})
		case peer.LegDelete:
			m.disk.Lock()
			delete(m.legs, o.Leg)
			m.disk.Unlock()
			m.command(raft.Command{LegDeleted: &raft.LegDeleted{Leg: o.Leg}})
		}
	}
}

func (m *machine) host(a peer.Assignment) {
	current := map[volume.AttachID]bool{}
	for _, t := range a.Attach {
		current[t.AttachID] = true
		m.engine(a, t)
	}
	for id := range m.engines {
		if !current[id] {
			delete(m.engines, id)
		}
	}
	for _, o := range a.Clones {
		m.fill(o)
	}
	wanted := map[string]bool{}
	for _, o := range a.Domains {
		wanted[o.Name] = true
		if m.domains[o.Name].Run != o.Run && m.serves(o.Volumes) {
			state := "running"
			if m.crashes.Load() {
				state = "exited"
			}
			m.domains[o.Name] = peer.DomainStatus{Name: o.Name, Run: o.Run, State: state, PID: 43,
				Agent: "answers"}
			if o.Paused { // it is not started
				m.domains[o.Name] = peer.DomainStatus{Name: o.Name, Run: o.Run, State: peer.DomainPaused}
			}
		}
		switch d := m.domains[o.Name]; {
		case o.Paused && d.State == "running":
			d.State = peer.DomainPaused
			m.domains[o.Name] = d
		case !o.Paused && d.State == peer.DomainPaused:
			d.State, d.PID = "running", 43
			m.domains[o.Name] = d
		}
	}
	for name, d := range m.domains {
		if !wanted[name] {
			d.State = "stopped"
			m.domains[name] = d
		}
	}
}

func (m *machine) serves(volumes []volume.ID) bool {
	for _, id := range volumes {
		if !slices.ContainsFunc(slices.Collect(maps.Values(m.engines)), func(e *peer.EngineStatus) bool {
			return e.Volume == id && e.State == peer.EngineServing
		}) {
			return false
		}
	}
	return true
}

// engine lets the engine of a ticket take one step.
func (m *machine) engine(a peer.Assignment, t peer.Ticket) {
	e := m.engines[t.AttachID]
	if e == nil {
		e = &peer.EngineStatus{Volume: t.Volume, Epoch: t.Epoch, AttachID: t.AttachID, PID: 44,
			State: peer.EngineConnecting}
		m.engines[t.AttachID], m.began[t.AttachID] = e, time.Now()
		return
	}
	e.Uptime = time.Since(m.began[t.AttachID])
	if m.fails.Load() {
		e.State, e.Reason = peer.EngineFailed, "a test"
		m.command(raft.Command{BeginAttach: &raft.BeginAttach{
			Volume: t.Volume, Host: m.node.ID, AttachID: volume.NewAttachID(), Takeover: true, After: t.Epoch,
			Maintenance: t.Maintenance, Renews: t.AttachID,
		}})
		return
	}
	switch {
	case t.Detach:
		m.command(raft.Command{Detach: &raft.Detach{Volume: t.Volume, Epoch: t.Epoch, Clean: true}})
		delete(m.engines, t.AttachID)
		return
	case e.State == peer.EngineConnecting:
		for _, l := range t.Legs {
			m.fence(a, t, l)
		}
		r := m.command(raft.Command{Activate: &raft.Activate{Volume: t.Volume, Epoch: t.Epoch, Waited: true}})
		if r.Err == nil {
			e.State, e.CfgVer = peer.EngineServing, r.Config.CfgVer
			if m.reads.Load() {
				e.Stages = []peer.Stage{{Name: raft.StageServing, At: e.Uptime},
					{Name: raft.StageFirstRead, At: e.Uptime}}
			}
			e.Exports = []volume.Offer{{Type: "nbd", URL: "nbd+unix:///" + t.Name + "?socket=/run/" + t.Name}}
		}
	default:
		m.repair(a, t, e)
		m.scrub(t, e)
	}
}

// fill copies half of what is ordered, and the rest when it may.
func (m *machine) fill(o peer.CloneOrder) {
	end := raft.EndClones{Group: o.Group, Node: m.node.ID, Frozen: true}
	for _, f := range o.Fills {
		end.Clones = append(end.Clones, raft.CutClone{Volume: f.Volume, Epoch: f.Epoch, SourceEpoch: f.SourceEpoch})
		for _, e := range m.engines {
			if e.Volume == f.Source {
				e.Copy = &peer.CopyStatus{Group: o.Group, Volume: f.Volume, Epoch: f.Epoch, State: peer.CopyRuns,
					Done: 1 << 29, Total: 1 << 30, Rest: 1 << 29}
			}
		}
	}
	if m.cuts.Load() {
		m.command(raft.Command{EndClones: &end})
	}
}

// scrub does half of what is ordered, and the rest when it may.
func (m *machine) scrub(t peer.Ticket, e *peer.EngineStatus) {
	o := t.Scrub
	switch {
	case o == nil:
		e.Scrub = nil
	case e.Scrub == nil || e.Scrub.ID != o.ID:
		e.Scrub = &peer.ScrubStatus{ID: o.ID, Done: t.SizeBytes / 2, Total: t.SizeBytes}
	case m.scrubs.Load():
		m.command(raft.Command{ReportScrub: &raft.ReportScrub{Volume: t.Volume, Epoch: t.Epoch, ID: o.ID, From: o.From,
			Next: t.SizeBytes, Complete: true, Found: m.finds}})
	}
}

// fence logs in to a leg, if its machine runs.
func (m *machine) fence(a peer.Assignment, t peer.Ticket, l peer.TicketLeg) bool {
	m.w.mu.Lock()
	machines := slices.Collect(maps.Values(m.w.machines))
	m.w.mu.Unlock()
	for _, other := range machines {
		if other.has(l.ID) {
			label := volume.Label{
				Incarnation: a.Incarnation, VolumeID: t.Volume, VolumeName: t.Name, LegID: l.ID,
				StoreID: l.Store,
				Layout:  t.Layout, Slot: l.Slot, Durability: t.Durability, SizeBytes: t.SizeBytes,
				FenceEpoch: t.Epoch,
				AttachID:   t.AttachID, Config: t.Config,
			}
			state, _ := m.w.raft.State()
			label.DataGen = state.Volumes[t.Volume].DataGen
			return m.command(raft.Command{RecordFence: &raft.RecordFence{Volume: t.Volume, Epoch: t.Epoch,
				Leg:    l.ID,
				Report: volume.LegReport{Label: label, Instance: 1}}}).Err == nil
		}
	}
	return false
}

// repair removes legs that are gone or retired, and joins legs that are to come.
func (m *machine) repair(a peer.Assignment, t peer.Ticket, e *peer.EngineStatus) {
	e.Legs = nil
	for _, l := range t.Legs {
		switch {
		case l.State == volume.LegInSync:
			e.Legs = append(e.Legs, peer.EngineLeg{ID: l.ID, State: "in_sync"})
			heir := slices.IndexFunc(t.Legs, func(o peer.TicketLeg) bool { return o.Replaces == l.ID })
			if l.Retiring && heir >= 0 && t.Legs[heir].State == volume.LegInSync || !m.fence(a, t, l) {
				m.command(raft.Command{RemoveLeg: &raft.RemoveLeg{
					Volume: t.Volume, Epoch: t.Epoch, Leg: l.ID, SeenCfg: t.Config.CfgVer, Reason: "a test"}})
			}
		case l.Join && !m.slow.Load() && m.fence(a, t, l):
			m.command(raft.Command{AddLeg: &raft.AddLeg{
				Volume: t.Volume, Epoch: t.Epoch, CfgVer: t.Config.CfgVer, Leg: l.ID, Store: l.Store,
				Instance: 1}})
		case l.Join:
			e.Legs = append(e.Legs, peer.EngineLeg{ID: l.ID, State: "joining", CopyDone: 250,
				CopyTotal: 1000})
		}
	}
}

func (w *world) volume(name string) api.Volume {
	w.t.Helper()
	v, err := w.api.Volume(w.t.Context(), name)
	require.NoError(w.t, err)
	return v
}

func (w *world) create(name string) {
	w.t.Helper()
	v, err := w.api.CreateVolume(w.t.Context(), api.CreateVolume{
		Name: name, SizeBytes: 1 << 30, Layout: "mirror=2", LegsOn: []string{"n1", "n2"}})
	require.NoError(w.t, err)
	require.Equal(w.t, "detached", v.State)
	require.Equal(w.t, api.Healthy, v.Health)
}

// refusedWith requires an *api.Error with a code and words in it.
func refusedWith(t *testing.T, err error, code api.Code, words ...string) {
	t.Helper()
	var e *api.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, code, e.Code, e.Error())
	for _, word := range words {
		require.Contains(t, e.Error(), word)
	}
}

// runsOn says when a domain runs on a host.
func runsOn(domain, host string) func(*control.View) (bool, error) {
	return func(v *control.View) (bool, error) {
		d := v.State.Domains[domain]
		fact := v.Domain(d)
		return v.State.NodeName(d.Host) == host && fact != nil && fact.State == control.DomainRunning, nil
	}
}

// pass lets virtual time pass.
func pass(d time.Duration) { time.Sleep(d) }
