package coordinator

import (
	"maps"
	"time"

	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/raft/control"
)

const (
	// judgeEvery is how often the leader judges the cluster's health unasked, so that it knows since when
	// something is so.
	judgeEvery = 2 * time.Second
	// judgeLearns is for how long a new leader forgets nothing that the one before it had found.
	judgeLearns = 10 * time.Second
)

// judgements is what this coordinator knows of the past of the findings. Coordinator.mu guards it.
type judgements struct {
	history control.History
	version uint64 // another one whenever history is; of this process alone
	at      time.Time
	status  control.Status    // of the last judgement
	found   []control.Finding // of the last judgement
}

// newJudgements returns the judgements of a process that begins now.
func newJudgements(now time.Time) judgements {
	return judgements{history: control.History{}, version: uint64(now.UnixNano())}
}

// judge returns the findings of now, with since when they hold. The caller holds mu, and uses what it gets
// only while it does.
func (c *Coordinator) judge(v *control.View) (control.Status, []control.Finding) {
	_, findings := control.Judge(v)
	if !c.raft.Leading() {
		findings = append([]control.Finding{control.Leaderless(len(coordinators(v.State)))}, findings...)
	}
	forget := c.leads && v.Now.Sub(c.ledSince) > judgeLearns
	j := &c.judged
	if j.history.Stamp(findings, v.Now, forget) {
		j.version++
	}
	j.at, j.status, j.found = v.Now, control.Worst(findings), findings
	return j.status, j.found
}

// judgeInTime judges if that is due. The caller holds mu.
func (c *Coordinator) judgeInTime(state *raft.State, now time.Time) {
	if now.Sub(c.judged.at) >= judgeEvery {
		c.judge(c.view(state))
	}
}

// heardReply answers a heardReport.
type heardReply struct {
	peer.HeartbeatReply
	// Since when the leader's findings hold, and the version of that. Nil if the follower has it.
	Since   control.History `json:"since,omitempty"`
	Version uint64          `json:"since_version,omitempty"`
}

// historyFor returns the leader's history for a follower that has a version of it.
func (c *Coordinator) historyFor(has uint64) heardReply {
	reply := heardReply{HeartbeatReply: c.leaderReply()}
	c.mu.Lock()
	defer c.mu.Unlock()
	if j := &c.judged; c.leads && j.version != has {
		reply.Version, reply.Since = j.version, make(control.History, len(j.history))
		for key, at := range j.history {
			reply.Since[key] = at.Round(0) // without the monotonic reading
		}
	}
	return reply
}

// takeHistory keeps what the leader knows, to go on with it. The leader itself believes nobody.
func (c *Coordinator) takeHistory(r heardReply) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leads || r.Version == 0 {
		return
	}
	c.judged.history = maps.Clone(r.Since)
	if c.judged.history == nil {
		c.judged.history = control.History{}
	}
	c.judged.version = r.Version
}
