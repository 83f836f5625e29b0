package coordinator

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/raft/control"
	"github.com/holdfast-storage/holdfast/volume"
)

// pathHeard is how followers tell the leader whom they hear; it is between coordinators only.
const pathHeard = "/peer/v1/heard"

// heardReport is what a follower hears.
type heardReport struct {
	Version  int           `json:"version"`
	Node     volume.NodeID `json:"node"`
	Signs    []raft.Sign   `json:"signs"`
	Revision uint64        `json:"revision"`                // of its state: how much of the log it has
	Since    uint64        `json:"since_version,omitempty"` // the version that it has of the leader's history
	// Versions is zero from a release that knew of no cluster versions.
	Versions control.VersionWord `json:"versions,omitzero"`
	// Incarnation is that of its state: how much of another log it has says nothing.
	Incarnation volume.ClusterID `json:"incarnation,omitzero"`
}

// following is what a follower said of itself last.
type following struct {
	at       time.Time
	revision uint64
}

// hearNode takes a daemon's heartbeat.
func (c *Coordinator) hearNode(h peer.Heartbeat) {
	now := c.opts.Now()
	c.mu.Lock()
	c.known[h.Node] = true
	c.liveness.HeardDaemon(h.Node, h.Start, now)
	changed := c.facts.HearNode(now, nodeReport(h, now))
	c.mu.Unlock()
	if changed {
		c.factsChanged()
	}
}

// hearEngine takes an engine's own heartbeat, which keeps its host alive, too. It returns how often the
// engine is to send them.
func (c *Coordinator) hearEngine(h peer.EngineHeartbeat) time.Duration {
	now := c.opts.Now()
	fact := engineFact(h.Engine, now)
	fact.Node = h.Node
	c.mu.Lock()
	c.known[h.Node] = true
	c.liveness.Heard(h.Node, now)
	engines := 0
	if n := c.facts.Nodes[h.Node]; n != nil {
		engines = len(n.Engines)
	}
	fact.Pace = enginePace(engines, c.opts.Liveness)
	changed := c.facts.HearEngine(now, fact)
	c.mu.Unlock()
	if changed {
		c.factsChanged()
	}
	return fact.Pace
}

// enginePace returns how often each of a host's engines sends heartbeats. Together they keep the host alive
// while its daemon is away, so a host with many needs fewer of each: four in every interval are enough. Engines
// draw each pause anew, so that those which began together do not fall silent together. A thousand engines that
// all beat at every interval would keep the coordinators busy with nothing else.
func enginePace(engines int, l raft.LivenessOptions) time.Duration {
	interval := cmp.Or(l.Interval, 500*time.Millisecond)
	timeout := max(cmp.Or(l.Timeout, 2*time.Second), interval)
	return min(max(interval*time.Duration(engines)/4, interval), 2*timeout)
}

// factsChanged wakes the controllers and everybody who waits for something to be heard.
func (c *Coordinator) factsChanged() {
	c.mu.Lock()
	close(c.changed)
	c.changed = make(chan struct{})
	c.mu.Unlock()
	c.wake()
}

// reportHeard tells the leader whom this coordinator hears while another one leads, until ctx ends.
// A report that is lost is followed by the next.
func (c *Coordinator) reportHeard(ctx context.Context) {
	ticker := time.NewTicker(2 * c.opts.Tick)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		targets := c.leaderTarget()
		if len(targets) == 0 || c.raft.Leading() {
			continue
		}
		state, revision := c.raft.State()
		c.mu.Lock()
		report := heardReport{Version: peer.Version, Node: c.opts.Self, Revision: revision,
			Incarnation: state.Cluster.Incarnation,
			Since:       c.judged.version, Versions: c.versions(), Signs: c.liveness.Hears(c.opts.Now())}
		c.mu.Unlock()
		if err := c.sendHeard(ctx, targets[0], report); err != nil && ctx.Err() == nil {
			c.log.Debug("report to the leader", "error", err)
		}
	}
}

func (c *Coordinator) sendHeard(ctx context.Context, leader api.Target, report heardReport) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	payload, err := json.Marshal(report)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.opts.Scheme+"://"+leader.Address+pathHeard,
		bytes.NewReader(payload))
	if err != nil {
		return err
	}
	res, err := (&http.Client{Transport: c.opts.Reach(leader.Node)}).Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("leader at %s answered %s", leader.Address, res.Status)
	}
	var reply heardReply
	if err := json.NewDecoder(io.LimitReader(res.Body, peerBytesMax)).Decode(&reply); err != nil {
		return fmt.Errorf("leader at %s: %w", leader.Address, err)
	}
	c.takeHistory(reply)
	return nil
}

// takeHeard takes a follower's report.
func (c *Coordinator) takeHeard(report heardReport) {
	now := c.opts.Now()
	state, _ := c.raft.State()
	if !report.Incarnation.IsZero() && report.Incarnation != state.Cluster.Incarnation {
		return // it is of before a restore: it must seem neither to follow nor to have the log
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, sign := range report.Signs {
		c.known[sign.Node] = true
	}
	c.liveness.Report(report.Node, report.Signs, now)
	c.follows[report.Node] = following{at: now, revision: report.Revision}
	c.facts.HearVersion(report.Node, report.Versions, c.opts.Timing.DaemonSilent, now)
}

// versions says what this coordinator's release and data can deal with.
func (c *Coordinator) versions() control.VersionWord {
	return control.VersionWord{Knows: raft.VersionLatest, Born: c.raft.Born()}
}

// lagMax is how many entries of the log a coordinator that gets a vote may lack: a moment's worth.
const lagMax = 100

// caughtUp returns the coordinators that lately had the log. The caller holds mu.
func (c *Coordinator) caughtUp(now time.Time) []volume.NodeID {
	_, revision := c.raft.State()
	var all []volume.NodeID
	for id, f := range c.follows {
		if now.Sub(f.at) < c.opts.Timing.DaemonSilent && f.revision+lagMax >= revision {
			all = append(all, id)
		}
	}
	return all
}

// mute returns the voters that have not followed for long, while this coordinator leads. The caller
// holds mu.
func (c *Coordinator) mute(now time.Time) []volume.NodeID {
	var all []volume.NodeID
	for _, m := range c.members {
		last := c.ledSince
		if f := c.follows[m.ID]; f.at.After(last) {
			last = f.at
		}
		if c.leads && !m.Learner && m.ID != c.opts.Self && now.Sub(last) > 3*c.opts.Timing.DaemonSilent {
			all = append(all, m.ID)
		}
	}
	return all
}

// The functions below translate the words of package peer to those of package control, which knows
// nothing of the network.

func nodeReport(h peer.Heartbeat, now time.Time) control.NodeReport {
	r := control.NodeReport{
		Health: nodeHealth(h.Health),
		Node:   h.Node, Start: h.Start, Seq: h.Seq, PID: h.PID, Knows: max(h.Knows, raft.VersionFirst),
		Told: h.Told, Looking: h.Looking,
		Legs:    map[volume.LegID]*control.LegFact{},
		Domains: make(map[string]*control.DomainFact, len(h.Domains)),
		Images:  make(map[volume.Digest]*control.ImageFact, len(h.Images)),
	}
	for _, st := range h.Stores {
		r.Stores = append(r.Stores, control.StoreFact{
			ID: st.ID, Name: st.Name, TotalBytes: st.TotalBytes, FreeBytes: st.FreeBytes, Error: st.Error,
			Disk: diskFact(st.Disk),
		})
		for _, l := range st.Legs {
			r.Legs[l.ID] = &control.LegFact{
				Condition: control.Condition(l.State), Error: l.Error, Volume: l.Volume,
				FenceEpoch: l.FenceEpoch,
				CfgVer:     l.CfgVer, Sessions: l.Sessions, ReadMicros: l.ReadMicros, UsedBytes: l.UsedBytes,
				RefusedLogins: l.RefusedLogins, RefusedCommands: l.RefusedCommands,
			}
		}
	}
	for _, i := range h.Images {
		r.Images[i.Digest] = &control.ImageFact{State: control.ImageState(i.State), DoneBytes: i.DoneBytes,
			Error: i.Error}
	}
	for _, e := range h.Engines {
		r.Engines = append(r.Engines, engineFact(e, now))
	}
	for _, d := range h.Domains {
		r.Domains[d.Name] = &control.DomainFact{
			Run: d.Run, State: control.DomainState(d.State), PID: d.PID, Error: d.Error, Agent: d.Agent,
		}
	}
	return r
}

func engineFact(e peer.EngineStatus, now time.Time) control.EngineFact {
	f := control.EngineFact{
		Volume: e.Volume, Epoch: e.Epoch, AttachID: e.AttachID, PID: e.PID,
		State:  control.EngineState(e.State),
		Reason: e.Reason, CfgVer: e.CfgVer, Unreadable: e.Unreadable,
		Build: e.Build, MemoryBytes: e.MemoryBytes, Exports: e.Exports, Faults: e.Faults,
	}
	if e.Uptime > 0 {
		f.Began = now.Add(-e.Uptime)
	}
	if e.Scrub != nil {
		f.ScrubID, f.ScrubDone = e.Scrub.ID, e.Scrub.Done
	}
	if c := e.Copy; c != nil {
		f.Copy = &control.CopyFact{Volume: c.Volume, Epoch: c.Epoch, State: control.CopyState(c.State),
			DoneBytes: c.Done, TotalBytes: c.Total, RestBytes: c.Rest, Error: c.Error}
	}
	for _, l := range e.Legs {
		f.Legs = append(f.Legs, control.EngineLeg{
			ID: l.ID, State: l.State, Error: l.Error, DoneBytes: l.CopyDone, CopyBytes: l.CopyTotal,
			MediumErrors: l.MediumErrors, Healed: l.Healed, BannedFor: l.BannedFor,
		})
	}
	for _, s := range e.Stages {
		f.Stages = append(f.Stages, control.Stage{Name: s.Name, At: s.At})
	}
	return f
}

// leaderReply says who leads and how far this coordinator's state is.
func (c *Coordinator) leaderReply() peer.HeartbeatReply {
	leader, _ := c.raft.Leader()
	state, revision := c.raft.State()
	reply := peer.HeartbeatReply{Leader: leader, Revision: revision, At: c.opts.Now().Round(0), Lineage: lineage(state)}
	if n := state.Nodes[leader]; n != nil {
		reply.LeaderAPI = n.API
	}
	return reply
}

// isCoordinator reports whether a node has the role in the state.
func (c *Coordinator) isCoordinator(id volume.NodeID) bool {
	state, _ := c.raft.State()
	n := state.Nodes[id]
	return n != nil && n.Has(raft.RoleCoordinator) && !n.Pending
}
