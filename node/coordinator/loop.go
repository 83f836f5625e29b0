package coordinator

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/raft/control"
	"github.com/holdfast-storage/holdfast/volume"
)

const (
	proposeTimeout = 3 * time.Second
	// refusedPause is how long a command of a controller that Apply refused is not proposed again:
	// what is in its way is usually about to move. acceptedPause is the same for one that was accepted
	// but did not make the controller content: nothing may keep the log growing without a pause.
	refusedPause  = 2 * time.Second
	acceptedPause = 500 * time.Millisecond
)

// authorityVersion is the cluster version from which on the coordinators can have the CA.
const authorityVersion = 2

// Run judges liveness, runs the controllers while this coordinator leads, and tells the leader whom
// it hears while it follows. It returns when ctx ends and everything that it started has ended.
func (c *Coordinator) Run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	var work sync.WaitGroup
	defer work.Wait()
	defer cancel()
	l := &loop{Coordinator: c, ctx: ctx, work: &work, idle: make(chan struct{}, 1),
		pauses: map[string]time.Time{}}
	l.idle <- struct{}{}
	work.Go(func() { c.reportHeard(ctx) })
	work.Go(func() { c.audience.follow(ctx, c.raft) })

	ticker := time.NewTicker(c.opts.Tick)
	defer ticker.Stop()
	leads := c.raft.LeaderCh()
	for ctx.Err() == nil {
		_, revision := c.raft.State()
		began := l.opts.Now()
		l.step()
		l.rest(l.opts.Now().Sub(began))
		select {
		case <-ctx.Done():
		case <-ticker.C:
		case <-c.raft.Changed(revision):
		case <-c.kick:
		case _, open := <-leads:
			if !open {
				leads = nil // raft was closed: wait for ctx
			}
		}
	}
}

// restMax bounds the rest after a look, and so what it adds to the time until something is noticed.
const restMax = 100 * time.Millisecond

// rest waits for nine times what a look took. In a large cluster a burst of changes would otherwise have
// the controllers look at everything without a pause, and take the processor from what they wait for.
func (l *loop) rest(took time.Duration) {
	timer := time.NewTimer(min(9*took, restMax))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.ctx.Done():
	}
}

// loop is the state of Run; its goroutine alone uses it, except for pauses, which belongs to whoever
// holds the token of idle.
type loop struct {
	*Coordinator
	ctx     context.Context
	work    *sync.WaitGroup
	idle    chan struct{}        // holds a token while no proposals are under way
	pauses  map[string]time.Time // until when a command is not proposed again, by its subject
	leading bool
	checked time.Time      // when liveness was checked last
	asked   time.Time      // when the members were asked for last
	events  []raft.Command // found by liveness, not proposed yet
}

// step looks at the state once and starts what is to be done. It does not wait for it, so that
// liveness is judged in time.
func (l *loop) step() {
	leading := l.raft.Leading()
	now := l.opts.Now()
	if leading && (!l.leading || now.Sub(l.asked) >= time.Second) {
		l.askMembers()
		l.asked = now
	}
	state, _ := l.raft.State()
	l.mu.Lock()
	if leading != l.leading {
		l.leading, l.leads = leading, leading
		l.log.Info("coordinator role", "leading", leading)
		l.liveness.Lead(now)
		l.ledSince = now
		clear(l.follows)
		l.forgetReserved()
		l.facts.ForgetVersions()
		l.waits, l.verdict = raft.NewWaitClock(l.opts.TRead), raft.Verdict{}
		l.checked, l.events = time.Time{}, nil
	}
	l.observe(state, now)
	if !leading {
		l.mu.Unlock()
		return
	}
	l.check(state, now)
	l.facts.HearVersion(l.opts.Self, l.versions(), l.opts.Timing.DaemonSilent, now)
	l.judgeInTime(state, now)
	if len(l.idle) == 0 {
		l.mu.Unlock()
		return // proposals are under way and wake Run when they are done: till then nothing more is proposed
	}
	view := l.view(state)
	commands, vote := control.Controllers(view), control.Votes(view)
	l.mu.Unlock()

	if state.Cluster.ID.IsZero() && !l.opts.Cluster.ID.IsZero() {
		commands = append([]raft.Command{{InitCluster: &l.opts.Cluster}}, commands...)
	}
	if state.Authority == nil && l.opts.Authority != nil && state.Uses(authorityVersion) {
		commands = append(commands, raft.Command{SetAuthority: l.opts.Authority})
	}
	l.start(commands, vote, now)
}

// observe brings soft state up to date with the committed state. The caller holds mu.
func (c *Coordinator) observe(state *raft.State, now time.Time) {
	c.facts.Observe(state, now)
	c.meters.observe(state)
	c.waits.Observe(state, now)
	c.endDoubts(state, now)
	for id := range state.Nodes {
		if !c.known[id] {
			c.known[id] = true
			c.liveness.Expect(id, now)
		}
	}
	for id := range c.known {
		if state.Nodes[id] == nil {
			c.liveness.Forget(id)
			delete(c.follows, id)
			delete(c.beats, id)
			delete(c.known, id)
		}
	}
}

// check judges liveness, at most once a tick, and keeps events of what changed. The caller holds mu.
func (l *loop) check(state *raft.State, now time.Time) {
	if now.Sub(l.checked) < l.opts.Tick {
		return
	}
	l.checked = now
	var hosts []volume.NodeID
	for id, n := range state.Nodes {
		if n.Has(raft.RoleHost) && !n.Pending {
			hosts = append(hosts, id)
		}
	}
	l.liveness.SetVoters(len(l.view(state).Members))
	l.verdict = l.liveness.Check(hosts, now)
	for _, change := range l.verdict.Changes {
		name := state.NodeName(change.Node)
		switch {
		case change.To == raft.NodeDead:
			l.events = append(l.events, nodeEvent(raft.SeverityError, name, "node_silent",
				"host "+name+" is silent for "+change.Silent.Round(10*time.Millisecond).String()))
		case change.From == raft.NodeDead && change.To == raft.NodeAlive:
			l.events = append(l.events,
				nodeEvent(raft.SeverityInfo, name, "node_returned", "host "+name+" is heard again"))
		}
	}
}

func nodeEvent(severity, name, kind, message string) raft.Command {
	return raft.Command{RecordEvent: &raft.RecordEvent{Event: raft.Event{
		Severity: severity, Object: "node/" + name, Kind: kind, Message: message,
	}}}
}

func (c *Coordinator) askMembers() {
	members, err := c.raft.Members()
	if err != nil {
		c.log.Warn("members of the coordinators", "error", err)
		return
	}
	c.mu.Lock()
	c.members = members
	c.mu.Unlock()
}

// start proposes in the background what liveness found and the controllers want, unless earlier
// proposals are under way: those wake Run when they are done.
func (l *loop) start(commands []raft.Command, vote *control.VoteChange, now time.Time) {
	if len(commands) == 0 && len(l.events) == 0 && vote == nil {
		return
	}
	select {
	case <-l.idle:
	default:
		return
	}
	commands = slices.DeleteFunc(commands, func(cmd raft.Command) bool {
		return now.Before(l.pauses[subject(cmd)])
	})
	commands = append(l.events, commands[:min(len(commands), batchMax)]...)
	l.events = nil
	if now.Before(l.pauses[voteSubject]) {
		vote = nil
	}
	if len(commands) == 0 && vote == nil {
		l.idle <- struct{}{}
		return
	}
	l.work.Go(func() {
		l.propose(commands, now)
		if vote != nil {
			l.moveVote(vote)
		}
		l.idle <- struct{}{}
		l.wake()
	})
}

// moveVote changes who has a vote.
func (l *loop) moveVote(change *control.VoteChange) {
	ctx, cancel := context.WithTimeout(l.ctx, 2*proposeTimeout)
	defer cancel()
	var err error
	state, _ := l.raft.State()
	switch add, learn := change.Add, change.Learn; {
	case learn != nil:
		if err = freeAddress(ctx, l.raft, state, learn); err == nil {
			err = l.raft.AddMember(ctx, raft.Member{ID: learn.ID, Addr: learn.Raft, Learner: true})
		}
	case add != nil:
		err = l.raft.AddMember(ctx, raft.Member{ID: add.ID, Addr: add.Raft})
	default:
		err = l.raft.RemoveMember(ctx, change.Remove)
	}
	if err != nil {
		l.log.Warn("move a vote", "error", err)
		l.pauses[voteSubject] = l.opts.Now().Add(refusedPause)
		return
	}
	l.askMembers()
}

// voteSubject is what a change of votes is about, among the subjects of commands.
const voteSubject = "vote"

// freeAddress makes room for a machine that has the address of the one that it replaces: raft knows
// no two members of one address. The old member, which nobody can reach under it any more, keeps its
// vote under an address that nobody has until the new one has its own.
func freeAddress(ctx context.Context, r Raft, state *raft.State, heir *raft.Node) error {
	members, err := r.Members()
	if err != nil {
		return err
	}
	for _, m := range members {
		if m.ID == heir.ID || m.Addr != heir.Raft {
			continue
		}
		if old := state.Nodes[m.ID]; old == nil || old.ReplacedBy != heir.ID {
			return fmt.Errorf("node %s says that its coordinator is at %s, which is %s's address",
				heir.Name, heir.Raft, state.NodeName(m.ID))
		}
		m.Addr = "replaced:" + m.ID.String()
		return r.AddMember(ctx, m)
	}
	return nil
}

// wake makes Run look again.
func (c *Coordinator) wake() {
	select {
	case c.kick <- struct{}{}:
	default:
	}
}

// subject names what a controller's command is about, without the fresh identities in it.
func subject(c raft.Command) string {
	key := c.Name() + " "
	switch {
	case c.BeginAttach != nil:
		return key + c.BeginAttach.Volume.String() + " " + c.BeginAttach.After.String()
	case c.PlaceDomain != nil:
		return fmt.Sprintf("%s%s %d %s", key, c.PlaceDomain.Name, c.PlaceDomain.Run, c.PlaceDomain.Host)
	case c.RequestScrub != nil:
		return key + c.RequestScrub.Volume.String() + " " + c.RequestScrub.Epoch.String()
	case c.RequestDetach != nil:
		return key + c.RequestDetach.Volume.String() + " " + c.RequestDetach.Epoch.String()
	case c.Detach != nil:
		return key + c.Detach.Volume.String() + " " + c.Detach.Epoch.String()
	case c.EndOperation != nil:
		return key + strconv.FormatUint(c.EndOperation.ID, 10)
	case c.EndDrill != nil:
		return key + strconv.FormatUint(c.EndDrill.ID, 10)
	case c.ReturnDrill != nil:
		return fmt.Sprintf("%s%d %d", key, c.ReturnDrill.ID, c.ReturnDrill.Place.Run)
	case c.ReplaceLeg != nil:
		return key + c.ReplaceLeg.Old.String()
	case c.KeepLeg != nil:
		return key + c.KeepLeg.Leg.String()
	case c.RemoveNode != nil:
		return key + c.RemoveNode.Node.String()
	case c.LegDeleted != nil:
		return key + c.LegDeleted.Leg.String()
	}
	return key
}
