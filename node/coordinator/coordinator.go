package coordinator

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/raft/control"
	"github.com/holdfast-storage/holdfast/volume"
)

// Raft is what the role needs of a raft.Coordinator; its methods are documented there.
type Raft interface {
	Apply(ctx context.Context, c raft.Command) (raft.Result, uint64, error)
	State() (*raft.State, uint64)
	Changed(after uint64) <-chan struct{}
	Leading() bool
	Settle() error
	LeaderCh() <-chan bool
	Leader() (volume.NodeID, string)
	Members() ([]raft.Member, error)
	Born() int
	Stats() raft.Stats
	AddMember(ctx context.Context, m raft.Member) error
	RemoveMember(ctx context.Context, id volume.NodeID) error
}

// Options configures a Coordinator.
type Options struct {
	Raft Raft          // required; whoever opened it closes it, after Run has returned
	Self volume.NodeID // this node
	// Identify returns the node whose certificate a request came with. Required.
	Identify func(*http.Request) (volume.NodeID, error)
	// Reach returns how another coordinator is reached over HTTPS, with this node's certificate, and nobody else who
	// answers at its address. Required.
	Reach  func(volume.NodeID) http.RoundTripper
	Scheme string // "https" if empty
	// Others returns where the other coordinators serve their APIs, as far as this node knows. They are
	// asked while this one knows of no leader: it may have no vote, or be cut off. Nil has none.
	Others func() []api.Target

	// Cluster is recorded by the first leader of a new cluster; a zero ID records nothing.
	Cluster raft.InitCluster
	// Authority is handed to the coordinators by the first leader that has it; nil hands over nothing.
	Authority *raft.SetAuthority

	TRead    time.Duration        // of protocol §1.6; zero means raft.TRead
	Liveness raft.LivenessOptions // Voters is set from the members
	Timing   control.Timing       // zero means control.DefaultTiming
	Tick     time.Duration        // between two runs of the controllers without a change; zero means 250 ms

	// Now is the clock, monotonic; nil means time.Now.
	Now    func() time.Time
	Logger *slog.Logger // nil discards
}

func (o Options) withDefaults() (Options, error) {
	if o.Raft == nil || o.Self.IsZero() || o.Identify == nil || o.Reach == nil {
		return o, errors.New("coordinator role: Raft, Self, Identify and Reach are needed")
	}
	o.Scheme = cmp.Or(o.Scheme, "https")
	o.TRead = cmp.Or(o.TRead, raft.TRead)
	o.Tick = cmp.Or(o.Tick, 250*time.Millisecond)
	if o.Timing == (control.Timing{}) {
		o.Timing = control.DefaultTiming()
		o.Timing.DaemonSilent = max(o.Timing.DaemonSilent, o.Liveness.Timeout)
		o.Timing.DeadAfter = cmp.Or(o.Liveness.Timeout, o.Timing.DeadAfter)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, nil
}

// Coordinator is the coordinator role of one node. Its methods may be called from any goroutine.
type Coordinator struct {
	opts Options
	raft Raft
	log  *slog.Logger

	meters   *meters
	peers    http.Handler
	public   http.Handler
	audience *audience     // those who wait for assignments and tickets
	kick     chan struct{} // wakes Run when something was heard that controllers may act on

	mu       sync.Mutex // guards what follows; never held across I/O
	leads    bool       // Run has seen that this coordinator leads, and begun its clocks anew
	facts    *control.Facts
	liveness *raft.Liveness
	waits    *raft.WaitClock
	verdict  raft.Verdict // of the last check
	members  []raft.Member
	follows  map[volume.NodeID]following // coordinators that follow this one, or did
	ledSince time.Time                   // when leads became so
	judged   judgements
	known    map[volume.NodeID]bool // nodes that liveness may know
	beats    map[volume.NodeID]beat // last heartbeats of nodes
	changed  chan struct{}          // closed, and replaced, when facts changed
	answers  map[string]answered    // last answers to watches

	reserved map[volume.LegID]control.Reservation // for legs whose command is on its way, see reserve
	doubtful map[volume.LegID]time.Time           // those of which nobody knows, and until when they count
}

// New returns the role; it does nothing until Run.
func New(o Options) (*Coordinator, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &Coordinator{
		opts: o, raft: o.Raft, log: o.Logger,
		meters: newMeters(), kick: make(chan struct{}, 1), audience: newAudience(), facts: control.NewFacts(),
		liveness: raft.NewLiveness(o.Liveness, o.Now()), waits: raft.NewWaitClock(o.TRead),
		judged: newJudgements(o.Now()), known: map[volume.NodeID]bool{},
		changed: make(chan struct{}),
		answers: map[string]answered{}, beats: map[volume.NodeID]beat{}, follows: map[volume.NodeID]following{},
		reserved: map[volume.LegID]control.Reservation{}, doubtful: map[volume.LegID]time.Time{},
	}
	c.peers = c.peerRoutes()
	local := api.NewGuardedHandler(service{c}, c.guard)
	c.public = &publicAPI{
		coordinator: c, local: local,
		proxy: api.NewProxy(api.ProxyOptions{
			Targets: c.leaderTarget, Others: o.Others, Reach: o.Reach, Scheme: o.Scheme,
			Alone: func(r *http.Request) http.Handler {
				if r.URL.Path == api.PathHealth || r.URL.Path == api.PathWhy {
					return local
				}
				return nil
			},
		}),
	}
	return c, nil
}

// PeerHandler serves the paths of package peer.
func (c *Coordinator) PeerHandler() http.Handler { return c.peers }

// APIHandler serves the public API: itself while this coordinator leads, else by passing calls on to
// the leader, or to others that may know of it. When nobody does it still answers health.
func (c *Coordinator) APIHandler() http.Handler { return c.public }

// leaderTarget returns where the leader serves its API, nothing if there is none or it is this node.
func (c *Coordinator) leaderTarget() []api.Target {
	id, _ := c.raft.Leader()
	state, _ := c.raft.State()
	if n := state.Nodes[id]; n != nil && id != c.opts.Self {
		return []api.Target{{Node: id, Address: n.API}}
	}
	return nil
}

// publicAPI chooses who answers a call of the public API.
type publicAPI struct {
	coordinator *Coordinator
	local       http.Handler
	proxy       *api.Proxy
}

// ServeHTTP answers or passes on one call.
func (p *publicAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if p.coordinator.raft.Leading() || r.URL.Path == "/openapi.json" {
		p.local.ServeHTTP(w, r)
		return
	}
	p.proxy.ServeHTTP(w, r)
}

// view returns what controllers judge by. The caller holds mu, and uses it only while it does.
func (c *Coordinator) view(state *raft.State) *control.View {
	now := c.opts.Now()
	var members, learners []volume.NodeID
	for _, m := range c.members {
		if m.Learner {
			learners = append(learners, m.ID)
		} else {
			members = append(members, m.ID)
		}
	}
	return &control.View{
		State: state, Facts: c.facts, Now: now, Dead: c.verdict.Dead, Braked: c.verdict.Braked,
		Members: members, Learners: learners, CaughtUp: c.caughtUp(now), Mute: c.mute(now),
		Condition: func(id volume.NodeID) raft.Condition { return c.liveness.Condition(id, now) },
		Silent:    func(id volume.NodeID) time.Duration { return c.liveness.Silent(id, now) },
		Bound:     func(id volume.NodeID) time.Duration { return c.liveness.Bound(id, now) },
		WaitLeft:  func(id volume.ID, e volume.Epoch) time.Duration { return c.waits.Left(id, e, now) },
		NewID:     volume.NewUUID, Timing: c.opts.Timing, History: c.judged.history, Reserved: c.reserved,
	}
}

// look calls read with a view of the latest state. read must not block.
func (c *Coordinator) look(read func(*control.View)) {
	state, _ := c.raft.State()
	c.mu.Lock()
	defer c.mu.Unlock()
	read(c.view(state))
}
