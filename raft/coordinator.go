package raft

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	hraft "github.com/hashicorp/raft"

	"github.com/holdfast-storage/holdfast/volume"
)

// Errors of a Coordinator that are no answer of the state.
var (
	// ErrNotLeader means that this coordinator does not lead, or not yet: nothing was proposed. Ask
	// the one that Leader names.
	ErrNotLeader = errors.New("this coordinator does not lead")
	// ErrOutcomeUnknown means that a command was proposed, but whether it was or will be applied is
	// not known: look at the state, or repeat the command, which is safe.
	ErrOutcomeUnknown = errors.New("the outcome of the command is unknown")
	// ErrClosed means that the coordinator was closed before the command was proposed.
	ErrClosed = errors.New("the coordinator is closed")
)

// Member is one coordinator as raft knows it.
type Member struct {
	ID   volume.NodeID `json:"id"`
	Addr string        `json:"addr"` // host:port of its raft transport
	// Learner is a member without a vote: it gets the log, and counts for no majority.
	Learner bool `json:"learner,omitempty"`
}

// Timing tunes elections. The zero value of each field means its default, meant for a LAN.
type Timing struct {
	Heartbeat time.Duration // silence of the leader after which a follower stands; default 800 ms
	Election  time.Duration // default 800 ms, at least Heartbeat
	Lease     time.Duration // a leader without a quorum steps down; default 500 ms, at most Heartbeat
	Commit    time.Duration // longest delay of the commit index to followers; default 25 ms
}

// Options configures a Coordinator.
type Options struct {
	ID  volume.NodeID // of this node; it stands in the data directory and must match it
	Dir string        // data directory, owned by this coordinator alone
	// Group is the directory's, if the caller has opened it, as it needs to for connections (Group.Bind); nil else.
	Group *Group

	// Stream carries raft's connections; see NewStreamLayer. The Coordinator closes it.
	Stream hraft.StreamLayer
	// Transport is used instead of Stream if it is not nil (tests). The Coordinator does not close it.
	Transport hraft.Transport

	// Bootstrap are the first members, the same on each of them, this one included. It counts only
	// when the data directory is new. Empty means: wait to be added by AddMember.
	Bootstrap []Member

	Timing Timing
	// SnapshotEntries is how many entries are applied between two snapshots; default 4096.
	SnapshotEntries uint64
	Logger          *slog.Logger // default: discards
}

// Coordinator is one member of the raft group with its replica of the State.
//
// Readers get the State of the latest revision without a lock: Apply replaces what it changes, so
// a State that was handed out never changes. The methods may be called from any goroutine.
type Coordinator struct {
	opts  Options
	log   *slog.Logger
	fsm   *fsm
	store *store
	raft  *hraft.Raft
	trans hraft.Transport
	ready atomic.Bool // leads and has applied everything committed before
	leads chan bool
	stop  chan struct{}

	mu     sync.Mutex // guards closed, so that nothing joins wg after Close waits for it
	closed bool
	wg     sync.WaitGroup
}

// Open starts a coordinator on its data directory, which is made when it does not exist. A damaged
// or foreign directory is refused with an error that names the file and says what to do; it is never
// replaced by an empty one. Open does not wait for a leader.
func Open(o Options) (*Coordinator, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	hclogger := newHclog(o.Logger)
	st, err := openStore(o.Dir, o.Group, o.ID, hclogger)
	if err != nil {
		return nil, err
	}
	c := &Coordinator{
		opts: o, log: o.Logger, fsm: newFSM(o.Logger), store: st, trans: o.Transport,
		leads: make(chan bool, 1), stop: make(chan struct{}),
	}
	if c.trans == nil {
		c.trans = hraft.NewNetworkTransportWithConfig(&hraft.NetworkTransportConfig{
			Stream: o.Stream, MaxPool: 3, Timeout: 5 * time.Second, Logger: hclogger,
		})
	}
	notify := make(chan bool, 16)
	config := o.raftConfig(hclogger)
	config.NotifyCh = notify
	if err = st.bootstrap(config, c.trans, o.Bootstrap); err == nil {
		c.raft, err = startRaft(config, c.fsm, st, c.trans)
	}
	if err != nil {
		return nil, errors.Join(err, c.closeTransport(), st.close())
	}
	if s, ok := o.Stream.(*streamLayer); ok {
		whose := c.memberAt
		s.whose.Store(&whose)
	}
	c.wg.Go(func() { c.watchLeadership(notify) })
	return c, nil
}

// startRaft calls hraft.NewRaft, which panics on some damage that the checks of openStore cannot
// see.
func startRaft(config *hraft.Config, f *fsm, st *store, t hraft.Transport) (r *hraft.Raft, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = damaged(st.dir, fmt.Errorf("%v", p))
		}
	}()
	r, err = hraft.NewRaft(config, f, st.logs, st.logs, st.snaps, t)
	if err != nil {
		return nil, damaged(st.dir, err)
	}
	return r, nil
}

func (o Options) withDefaults() (Options, error) {
	if o.ID.IsZero() || o.Dir == "" || o.Stream == nil && o.Transport == nil {
		return o, errors.New("open coordinator: an id, a data directory and a transport are needed")
	}
	t := &o.Timing
	t.Heartbeat = cmp.Or(t.Heartbeat, 800*time.Millisecond)
	t.Election = cmp.Or(t.Election, t.Heartbeat)
	t.Lease = cmp.Or(t.Lease, min(500*time.Millisecond, t.Heartbeat))
	t.Commit = cmp.Or(t.Commit, 25*time.Millisecond)
	o.SnapshotEntries = cmp.Or(o.SnapshotEntries, 4096)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, nil
}

// Apply proposes a command and waits until this replica has applied it, or ctx ends. The Result is
// the state's answer, also when it refuses; the revision is the one at which it holds. The error is
// ErrNotLeader or ErrClosed (nothing was proposed) or ErrOutcomeUnknown, wrapped. What the cluster
// version does not allow yet is refused, or left out, without being proposed: see Gate.
func (c *Coordinator) Apply(ctx context.Context, cmd Command) (Result, uint64, error) {
	if err := ctx.Err(); err != nil {
		return Result{}, 0, err
	}
	if !c.ready.Load() {
		return Result{}, 0, c.notLeader()
	}
	state, revision := c.State() // its version only grows: what may be proposed now may be applied later
	cmd, refusal := cmd.Gate(state.Version)
	if refusal != nil {
		return Result{Err: refusal}, revision, nil
	}
	data, err := encodeCommand(cmd)
	if err != nil {
		return Result{}, 0, err
	}
	future := c.raft.Apply(data, enqueueTimeout)
	if err := c.await(ctx, future); err != nil {
		return Result{}, 0, fmt.Errorf("%s: %w", cmd.Name(), err)
	}
	switch answer := future.Response().(type) {
	case Result:
		return answer, future.Index(), nil
	case error:
		return Result{}, 0, fmt.Errorf("%s: %w: %w", cmd.Name(), ErrOutcomeUnknown, answer)
	}
	return Result{}, 0, fmt.Errorf("%s: %w", cmd.Name(), ErrOutcomeUnknown)
}

// enqueueTimeout bounds the wait for raft to take a proposal in; nothing is proposed when it ends.
const enqueueTimeout = 2 * time.Second

// await waits for a future. The goroutine ends with the future, which raft always resolves, at the
// latest when it shuts down; Close waits for it.
func (c *Coordinator) await(ctx context.Context, f hraft.Future) error {
	done := make(chan error, 1)
	if !c.enter(func() { done <- f.Error() }) {
		return fmt.Errorf("%w: the coordinator is closing", ErrOutcomeUnknown)
	}
	select {
	case err := <-done:
		return c.translate(err)
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrOutcomeUnknown, ctx.Err())
	}
}

// enter runs f in a goroutine that Close waits for, unless Close has begun.
func (c *Coordinator) enter(f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.wg.Go(f)
	}
	return !c.closed
}

// translate maps the errors of raft to the ones of this package.
func (c *Coordinator) translate(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, hraft.ErrNotLeader), errors.Is(err, hraft.ErrLeadershipTransferInProgress):
		return c.notLeader()
	case errors.Is(err, hraft.ErrEnqueueTimeout):
		return fmt.Errorf("%w: raft took no proposal within %s", ErrNotLeader, enqueueTimeout)
	}
	return fmt.Errorf("%w: %w", ErrOutcomeUnknown, err)
}

func (c *Coordinator) notLeader() error {
	select {
	case <-c.stop:
		return ErrClosed
	default:
	}
	if err := c.fsm.failure(); err != nil {
		return fmt.Errorf("%w: %w", ErrNotLeader, err)
	}
	if id, addr := c.Leader(); !id.IsZero() && id != c.opts.ID {
		return fmt.Errorf("%w; %s at %s does", ErrNotLeader, id, addr)
	}
	return fmt.Errorf("%w, and knows of no leader", ErrNotLeader)
}

// State returns the latest state of this replica and its revision. It is never changed and may be
// kept; its readers must not change it either. On a follower it may lag behind the leader's.
func (c *Coordinator) State() (*State, uint64) { return c.fsm.current() }

// Changed returns a channel that is closed once the state's revision is above after.
func (c *Coordinator) Changed(after uint64) <-chan struct{} { return c.fsm.changed(after) }

// Leading reports whether this coordinator leads and has applied every entry committed before it
// did (protocol §5, row 52). Only then may decisions be taken on its State.
func (c *Coordinator) Leading() bool { return c.ready.Load() }

// LeaderCh carries the newest value of Leading whenever it changes; a value that was not received
// is replaced. It has one receiver. It is closed by Close.
func (c *Coordinator) LeaderCh() <-chan bool { return c.leads }

// Settle returns once State has every entry that was committed before the call, if this coordinator leads by then: what
// State does not have afterwards was not there. It costs an entry of the log, and blocks until a majority has that.
func (c *Coordinator) Settle() error {
	if err := c.raft.Barrier(barrierTimeout).Error(); err != nil {
		return fmt.Errorf("%w: %w", ErrNotLeader, err)
	}
	return nil
}

// Leader returns the member that leads as far as this one knows, zero if it knows of none.
func (c *Coordinator) Leader() (volume.NodeID, string) {
	addr, id := c.raft.LeaderWithID()
	u, err := volume.ParseUUID(string(id))
	if err != nil {
		return volume.NodeID{}, ""
	}
	return volume.NodeID{UUID: u}, string(addr)
}

// Born returns the lowest cluster version that a release which ran on this coordinator's data may have
// known at most: VersionLatest of the release that made the data directory.
func (c *Coordinator) Born() int { return c.store.born }

// Failed is closed when the coordinator stopped by itself because its replica can no longer be
// trusted; Err says why. The node should report it and go on with its other roles.
func (c *Coordinator) Failed() <-chan struct{} { return c.fsm.failed }

// Err returns why the coordinator stopped by itself, nil if it did not.
func (c *Coordinator) Err() error { return c.fsm.failure() }

// watchLeadership makes a new leader catch up before it is called one.
func (c *Coordinator) watchLeadership(notify <-chan bool) {
	defer close(c.leads)
	retry := time.NewTimer(time.Hour)
	defer retry.Stop()
	lead := false
	for {
		select {
		case <-c.stop:
			c.setReady(false)
			return
		case <-c.fsm.failed:
			c.setReady(false)
			c.log.Error("coordinator stopped", "error", c.fsm.failure())
			if err := c.raft.Shutdown().Error(); err != nil {
				c.log.Error("coordinator shutdown", "error", err)
			}
			<-c.stop
			return
		case lead = <-notify:
		case <-retry.C:
		}
		if !lead {
			c.setReady(false)
			continue
		}
		if err := c.raft.Barrier(barrierTimeout).Error(); err != nil {
			c.log.Warn("new leader could not catch up yet", "error", err)
			retry.Reset(barrierTimeout / 10)
			continue
		}
		c.setReady(c.raft.State() == hraft.Leader)
	}
}

// barrierTimeout bounds the wait for raft to take the barrier in.
const barrierTimeout = time.Second

func (c *Coordinator) setReady(ready bool) {
	if c.ready.Swap(ready) == ready {
		return
	}
	c.log.Info("coordinator leadership", "leading", ready)
	select { // replace a value that nobody took
	case <-c.leads:
	default:
	}
	c.leads <- ready
}

// Members returns the members, learners too, in the order in which they joined.
func (c *Coordinator) Members() ([]Member, error) {
	future := c.raft.GetConfiguration()
	if err := future.Error(); err != nil {
		return nil, fmt.Errorf("read the members: %w", err)
	}
	var members []Member
	for _, server := range future.Configuration().Servers {
		u, err := volume.ParseUUID(string(server.ID))
		if err != nil {
			return nil, fmt.Errorf("read the members: %w", err)
		}
		members = append(members, Member{ID: volume.NodeID{UUID: u}, Addr: string(server.Address),
			Learner: server.Suffrage != hraft.Voter})
	}
	return members, nil
}

// memberAt returns the member that has an address, zero if none has.
func (c *Coordinator) memberAt(addr string) (volume.NodeID, error) {
	members, err := c.Members()
	if err != nil {
		return volume.NodeID{}, err
	}
	for _, m := range members { // addresses are unique
		if m.Addr == addr {
			return m.ID, nil
		}
	}
	return volume.NodeID{}, nil
}

// AddMember gives a node a vote, or makes it a learner, or changes the address of one that has a vote,
// which it keeps. Leader only; the errors are those of Apply.
//
// A vote counts for the majority from this moment on: a node that cannot be reached, or lags far
// behind, may cost the quorum. It is to be a learner first.
func (c *Coordinator) AddMember(ctx context.Context, m Member) error {
	if !c.ready.Load() {
		return c.notLeader()
	}
	add := c.raft.AddVoter
	if m.Learner {
		add = c.raft.AddNonvoter
	}
	future := add(hraft.ServerID(m.ID.String()), hraft.ServerAddress(m.Addr), 0, enqueueTimeout)
	if err := c.await(ctx, future); err != nil {
		return fmt.Errorf("add coordinator %s at %s: %w", m.ID, m.Addr, err)
	}
	return nil
}

// RemoveMember takes a node's vote, and ends its membership. Leader only; the errors are those of Apply.
func (c *Coordinator) RemoveMember(ctx context.Context, id volume.NodeID) error {
	if !c.ready.Load() {
		return c.notLeader()
	}
	future := c.raft.RemoveServer(hraft.ServerID(id.String()), 0, enqueueTimeout)
	if err := c.await(ctx, future); err != nil {
		return fmt.Errorf("remove coordinator %s: %w", id, err)
	}
	return nil
}

// Close stops the coordinator and waits until all of it has ended. A leader hands over first, so
// that the others need not wait for an election timeout.
func (c *Coordinator) Close() error {
	c.mu.Lock()
	first := !c.closed
	c.closed = true
	c.mu.Unlock()
	if !first {
		c.wg.Wait()
		return nil
	}
	if c.ready.Load() {
		if err := c.raft.LeadershipTransfer().Error(); err != nil {
			c.log.Debug("leadership was not handed over", "error", err)
		}
	}
	close(c.stop)
	err := errors.Join(c.raft.Shutdown().Error(), c.closeTransport())
	c.wg.Wait()
	return errors.Join(err, c.store.close())
}

// closeTransport closes the transport that Open made.
func (c *Coordinator) closeTransport() error {
	if c.opts.Transport != nil {
		return nil
	}
	if closer, ok := c.trans.(hraft.WithClose); ok {
		if err := closer.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			return fmt.Errorf("close the raft transport: %w", err)
		}
	}
	return nil
}

func (o Options) raftConfig(logger hcLogger) *hraft.Config {
	config := hraft.DefaultConfig()
	config.LocalID = hraft.ServerID(o.ID.String())
	config.HeartbeatTimeout = o.Timing.Heartbeat
	config.ElectionTimeout = o.Timing.Election
	config.LeaderLeaseTimeout = o.Timing.Lease
	config.CommitTimeout = o.Timing.Commit
	config.SnapshotThreshold = o.SnapshotEntries
	config.SnapshotInterval = 10 * time.Second
	config.TrailingLogs = o.SnapshotEntries
	config.Logger = logger
	config.NoLegacyTelemetry = true
	return config
}
