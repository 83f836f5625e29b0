package raft

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/holdfast-storage/holdfast/volume"
)

// LivenessOptions tunes [Liveness]. The zero value of each field means its default.
type LivenessOptions struct {
	Interval time.Duration // between two heartbeats of one node; default 0.5 s
	Timeout  time.Duration // silence after which a node is dead; default 2 s, at least 2 intervals
	// Window is the span in which vanishing hosts count as one incident for the brake; default
	// 5 times Timeout.
	Window time.Duration
	// Beats is how many heartbeats in a row bring a dead node back; default 3.
	Beats int
	// Doubt is how long it counts against the Timeout of a host that it was found dead too early; default 30
	// times Timeout.
	Doubt time.Duration
	// Voters is how many coordinators there are, itself included; default 1.
	Voters int
}

// Condition is what the leader thinks of a node.
type Condition string

// The conditions of a node.
const (
	NodeUnknown Condition = "unknown" // never heard since this coordinator leads, within the grace period
	NodeAlive   Condition = "alive"
	NodeSuspect Condition = "suspect" // silent for more than half of the timeout
	NodeDead    Condition = "dead"    // silent for the timeout; a failover may start
)

// Change is one change of a node's condition.
type Change struct {
	Node     volume.NodeID
	From, To Condition
	Silent   time.Duration // since it was heard last, or since this coordinator leads
}

// Verdict is what one Check found.
type Verdict struct {
	Changes []Change        // since the Check before, by node
	Dead    []volume.NodeID // hosts whose guests may be started elsewhere now, sorted
	// Braked is not empty when hosts are dead but too many vanished at once for an automatic
	// failover: the sentence for the operator. Dead is empty then.
	Braked string
}

// Liveness decides from heartbeats which hosts are dead. It starts failovers and nothing else: that
// two guests never write is the fence's doing, so a wrong verdict costs a restart, not data.
//
// A host is alive while any coordinator hears it. It is dead after Timeout of silence, and alive
// again only after Beats heartbeats in a row, none of them later than Timeout after the one before.
//
// Doubt: a host that comes back less than Timeout after it was found dead was only slow. From the second time
// within Doubt on its Timeout is doubled, then doubled again (doubtsMax), until it was not late for Doubt. Else a host
// or a network with too much work to do would get more of it with every failover, which makes the next host seem
// dead. A host whose daemon was started anew meanwhile was not slow: it was gone. A new leader has no doubts. For the
// brake such a host has vanished after Timeout as any other.
//
// Grace: for Timeout after it became leader, and after any pause of its own (a Check that comes
// more than Timeout/2 later than it should), a coordinator finds nobody dead: it may have been deaf.
//
// Brake: when more than half of the hosts vanish within one Window, two at the least, the likelier
// cause is the network in front of this coordinator. Then nothing is failed over automatically,
// unless a majority of the coordinators, this one included, reported lately and hears none of them:
// then they are really gone. The brake ends when hosts return, or by Release.
//
// A Liveness belongs to one goroutine (or is locked by its user). Time is an argument; it must come
// from one monotonic clock.
type Liveness struct {
	opts     LivenessOptions
	leadAt   time.Time // start of the current grace period
	checked  time.Time
	nodes    map[volume.NodeID]*pulse
	reports  map[volume.NodeID]report // by coordinator
	released bool
}

// pulse is what is known of one node's heartbeats.
type pulse struct {
	since     time.Time // when it was expected first; zero = always
	last      time.Time // of the latest heartbeat heard by any coordinator; zero = never
	condition Condition
	beats     int       // in a row, while dead
	diedAt    time.Time // when it became dead
	back      time.Time // of the first of beats
	start     uint64    // of its daemon, as it said last; zero = never
	gone      bool      // its daemon was started anew since it became dead: it had not been found so too early
	doubts    int       // how often it was found dead too early, until doubted
	doubted   time.Time
}

// doubtsMax is the doubt from which on a Timeout is not doubled any more: it is four times as long then.
const doubtsMax = 3

// report is what another coordinator hears.
type report struct {
	at    time.Time
	heard []volume.NodeID
}

// NewLiveness returns a Liveness of a coordinator that became leader now.
func NewLiveness(o LivenessOptions, now time.Time) *Liveness {
	o.Interval = cmp.Or(o.Interval, 500*time.Millisecond)
	o.Timeout = max(cmp.Or(o.Timeout, 2*time.Second), 2*o.Interval)
	o.Window = cmp.Or(o.Window, 5*o.Timeout)
	o.Beats = cmp.Or(o.Beats, 3)
	o.Doubt = cmp.Or(o.Doubt, 30*o.Timeout)
	o.Voters = cmp.Or(o.Voters, 1)
	return &Liveness{
		opts: o, leadAt: now, checked: now,
		nodes:   make(map[volume.NodeID]*pulse),
		reports: make(map[volume.NodeID]report),
	}
}

// SetVoters says how many coordinators there are now, this one included.
func (l *Liveness) SetVoters(n int) { l.opts.Voters = max(n, 1) }

// Lead starts anew: this coordinator became leader now. What it heard as a follower is kept, but
// nobody is dead before the grace period ends.
func (l *Liveness) Lead(now time.Time) {
	l.leadAt, l.checked, l.released = now, now, false
	clear(l.reports)
	for _, p := range l.nodes {
		p.condition, p.beats, p.diedAt = NodeUnknown, 0, time.Time{}
		p.doubts, p.doubted = 0, time.Time{}
	}
}

// Expect begins to count on a node that has just become part of the cluster: it is not dead before it
// has been silent for Timeout from now on. A node that is known already is not affected.
func (l *Liveness) Expect(node volume.NodeID, now time.Time) {
	if l.nodes[node] == nil {
		l.pulse(node).since = now
	}
}

// HeardDaemon takes a heartbeat of a node's daemon, as Heard does. start is another number each time that the
// daemon is started.
func (l *Liveness) HeardDaemon(node volume.NodeID, start uint64, at time.Time) {
	p := l.pulse(node)
	if p.start != start && p.start != 0 {
		p.gone = p.condition == NodeDead
		if !p.gone && at.After(p.last) {
			p.last = at // not late, but started anew
		}
	}
	p.start = start
	l.Heard(node, at)
}

// Heard takes a heartbeat of a node (of its daemon, or of one of its engines) that came at a time
// which is now or, told by another coordinator, was not long ago. One that is older than the latest
// is ignored; two that came closer than half an interval count as one.
func (l *Liveness) Heard(node volume.NodeID, at time.Time) {
	p := l.pulse(node)
	since := at.Sub(p.last)
	if since <= 0 {
		return
	}
	switch {
	case p.condition == NodeDead:
		if since > l.timeout(p, at) {
			p.beats = 0
		}
		if since >= l.opts.Interval/2 {
			if p.beats == 0 {
				p.back = at
			}
			p.beats++
		}
	case since >= l.opts.Timeout && at.Sub(p.doubted) <= l.opts.Doubt:
		p.doubted = at // late again: it is not steady
	}
	p.last = at
}

// weigh takes that a node is alive again after it was found dead: its first heartbeat of those that brought it back
// says whether that was too early.
func (l *Liveness) weigh(p *pulse, now time.Time) {
	if p.gone || p.back.Sub(p.diedAt) >= l.opts.Timeout {
		return
	}
	if now.Sub(p.doubted) > l.opts.Doubt {
		p.doubts = 0
	}
	p.doubts, p.doubted = min(p.doubts+1, doubtsMax), now
}

// timeout is the silence after which a node is dead now.
func (l *Liveness) timeout(p *pulse, now time.Time) time.Duration {
	if p.doubts == 0 || now.Sub(p.doubted) > l.opts.Doubt {
		return l.opts.Timeout
	}
	return l.opts.Timeout << (p.doubts - 1)
}

// Sign is the latest heartbeat of one node that a coordinator got.
type Sign struct {
	Node volume.NodeID `json:"node"`
	Age  time.Duration `json:"age"` // since it came, by that coordinator's clock
}

// Report takes what another coordinator hears: the latest heartbeats that it got less than Timeout
// ago. Each is a sign of life of its age, so that a report does not keep a dead host alive any longer;
// the report is the coordinator's vote against the brake.
func (l *Liveness) Report(coordinator volume.NodeID, signs []Sign, now time.Time) {
	heard := make([]volume.NodeID, len(signs))
	for i, s := range signs {
		heard[i] = s.Node
		l.Heard(s.Node, now.Add(-max(0, s.Age)))
	}
	l.reports[coordinator] = report{at: now, heard: heard}
}

// Hears returns the latest heartbeats that this coordinator heard less than Timeout ago, sorted by
// node: what it reports to the leader.
func (l *Liveness) Hears(now time.Time) []Sign {
	var signs []Sign
	for node, p := range l.nodes {
		if age := now.Sub(p.last); !p.last.IsZero() && age < l.opts.Timeout {
			signs = append(signs, Sign{node, age})
		}
	}
	slices.SortFunc(signs, func(a, b Sign) int { return compareNodes(a.Node, b.Node) })
	return signs
}

// Release lets the brake go until this coordinator loses its leadership or no host is dead: an
// operator has said that the hosts are really gone.
func (l *Liveness) Release() { l.released = true }

// Condition returns what is thought of a node now.
func (l *Liveness) Condition(node volume.NodeID, now time.Time) Condition {
	p := l.nodes[node]
	if p == nil {
		p = &pulse{condition: NodeUnknown}
	}
	return l.judge(p, now)
}

// Bound returns the silence after which a node is found dead now.
func (l *Liveness) Bound(node volume.NodeID, now time.Time) time.Duration {
	if p := l.nodes[node]; p != nil {
		return l.timeout(p, now)
	}
	return l.opts.Timeout
}

// Silent returns how long a node has been silent: since it was heard last, or, never heard, since
// it is expected or this coordinator leads.
func (l *Liveness) Silent(node volume.NodeID, now time.Time) time.Duration {
	p := l.nodes[node]
	switch {
	case p != nil && !p.last.IsZero():
		return now.Sub(p.last)
	case p != nil && p.since.After(l.leadAt):
		return now.Sub(p.since)
	}
	return now.Sub(l.leadAt)
}

// Forget drops a node that left the cluster.
func (l *Liveness) Forget(node volume.NodeID) {
	delete(l.nodes, node)
	delete(l.reports, node)
}

// Check judges all hosts now. It is to be called about every Interval, by the leader only.
func (l *Liveness) Check(hosts []volume.NodeID, now time.Time) Verdict {
	if now.Sub(l.checked) > l.opts.Interval+l.opts.Timeout/2 {
		l.leadAt = now // it was paused itself: what it did not hear proves nothing
	}
	l.checked = now
	var v Verdict
	var dead, gone []volume.NodeID // gone also has those that get more time
	for _, node := range slices.SortedFunc(slices.Values(hosts), compareNodes) {
		p := l.pulse(node)
		to := l.judge(p, now)
		if to != p.condition {
			v.Changes = append(v.Changes, Change{Node: node, From: p.condition, To: to, Silent: l.Silent(node, now)})
			if to == NodeDead {
				p.diedAt, p.beats, p.gone = now, 0, false
			}
			if p.condition == NodeDead {
				l.weigh(p, now)
			}
			p.condition = to
		}
		if to == NodeDead {
			dead = append(dead, node)
		}
		if to == NodeDead || to == NodeSuspect && now.Sub(p.last) >= l.opts.Timeout {
			gone = append(gone, node)
		}
	}
	if len(dead) == 0 {
		l.released = false
		return v
	}
	if v.Braked = l.brake(gone, len(hosts), now); v.Braked == "" {
		v.Dead = dead
	}
	return v
}

// judge is the rule of one node's condition.
func (l *Liveness) judge(p *pulse, now time.Time) Condition {
	silent := now.Sub(p.last)
	graceOver := now.Sub(l.leadAt) >= l.opts.Timeout && now.Sub(p.since) >= l.opts.Timeout
	switch {
	case p.condition == NodeDead && p.beats < l.opts.Beats:
		return NodeDead
	case p.condition == NodeDead && silent >= l.timeout(p, now):
		return NodeDead
	case p.last.IsZero() && !graceOver:
		return NodeUnknown
	case p.last.IsZero():
		return NodeDead
	case silent >= l.timeout(p, now) && graceOver:
		return NodeDead
	case silent >= l.opts.Timeout/2:
		return NodeSuspect
	}
	return NodeAlive
}

// brake returns why the dead hosts are not failed over, "" if they may be.
func (l *Liveness) brake(dead []volume.NodeID, hosts int, now time.Time) string {
	at := l.incident(dead)
	if at < 2 || 2*at <= hosts || l.released {
		return ""
	}
	deaf := 1 // coordinators that hear none of the dead: this one, and those that say so
	for _, r := range l.reports {
		if now.Sub(r.at) < l.opts.Timeout && !slices.ContainsFunc(dead, func(n volume.NodeID) bool {
			return slices.Contains(r.heard, n)
		}) {
			deaf++
		}
	}
	if l.opts.Voters > 1 && 2*deaf > l.opts.Voters {
		return ""
	}
	return fmt.Sprintf("%d of %d hosts vanished within %s: nothing is failed over automatically; "+
		"look at the network, or fail domains over by hand", at, hosts, l.opts.Window)
}

// incident returns the largest number of hosts that vanished within one window of each other. A
// brake holds as long as they stay dead, however long ago that was.
func (l *Liveness) incident(dead []volume.NodeID) int {
	most := 0
	for _, first := range dead {
		start, n := l.vanished(first), 0
		for _, node := range dead {
			if d := l.vanished(node).Sub(start); d >= 0 && d <= l.opts.Window {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}

// vanished returns when a node was silent for Timeout.
func (l *Liveness) vanished(node volume.NodeID) time.Time {
	p := l.nodes[node]
	if p.condition != NodeDead {
		return p.last.Add(l.opts.Timeout)
	}
	return p.diedAt
}

func (l *Liveness) pulse(node volume.NodeID) *pulse {
	p := l.nodes[node]
	if p == nil {
		p = &pulse{condition: NodeUnknown}
		l.nodes[node] = p
	}
	return p
}
