package control

import (
	"slices"

	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// VotersMin is how many votes a cluster needs to survive the loss of one.
const VotersMin = 3

// VoteChange is one change of who has a vote. Exactly one field is set.
type VoteChange struct {
	Learn  *raft.Node    // gets the log, but no vote yet
	Add    *raft.Node    // a learner that has the log gets its vote
	Remove volume.NodeID // loses its vote, or ends to be a learner
}

// Votes returns the next change of who has a vote, nil if there is none or it has to wait. Changes
// are made one at a time.
//
// It guarantees that
//   - a node gets a vote only when it has the log, since from then on it counts for the majority;
//   - a retiring coordinator's vote goes to the node that replaces it, if that is a coordinator, else
//     to any other that has none;
//   - a retiring one loses its vote only when at least VotersMin stay, or as many as before;
//   - fewer than VotersMin become as many, and an even number odd, once there are the coordinators.
func Votes(v *View) *VoteChange {
	if len(v.Members) == 0 {
		return nil // not known yet
	}
	for _, n := range v.State.SortedNodes() {
		if !n.Retiring || !v.votes(n.ID) {
			continue
		}
		heir := v.State.Nodes[n.ReplacedBy]
		named := heir != nil && canVote(heir)
		spares := v.spares()
		var change *VoteChange
		switch {
		case named && !v.votes(heir.ID):
			if v.speaks(heir.ID) && v.reads(heir.ID) {
				change = v.enfranchise(heir)
			}
		case len(v.Members) > VotersMin:
			change = &VoteChange{Remove: n.ID}
		case len(spares) > 0:
			change = v.enfranchise(spares...)
		case named && len(v.Members) > 1:
			change = &VoteChange{Remove: n.ID} // a small cluster: as many stay as there were
		}
		if change != nil {
			return change
		}
	}
	if change := v.moreVotes(); change != nil {
		return change
	}
	for _, id := range v.Learners {
		if n := v.State.Nodes[id]; n == nil || n.Retiring {
			return &VoteChange{Remove: id}
		}
	}
	return nil
}

// moreVotes returns the next change towards VotersMin, or an odd number above.
func (v *View) moreVotes() *VoteChange {
	spares := v.spares()
	want := max(VotersMin, len(v.Members)|1)
	if len(v.Members) == want || len(v.Members)+len(spares) < want || v.votesMove() {
		return nil
	}
	return v.enfranchise(spares...)
}

// votesMove reports whether a node that has a vote is leaving.
func (v *View) votesMove() bool {
	return slices.ContainsFunc(v.Members, func(id volume.NodeID) bool {
		n := v.State.Nodes[id]
		return n != nil && n.Retiring
	})
}

// VotesLeft returns how many votes the cluster will have once leaving has left, with heir in its place
// if that is not nil, and how many it must have then. It takes into account who leaves already.
func (v *View) VotesLeft(leaving volume.NodeID, heir *raft.Node) (left, need int) {
	if !v.votes(leaving) {
		return len(v.Members), 0
	}
	stay := map[volume.NodeID]bool{}
	add := func(n *raft.Node) {
		if n != nil && canVote(n) && !n.Retiring && n.ID != leaving {
			stay[n.ID] = true
		}
	}
	for _, id := range v.Members {
		n := v.State.Nodes[id]
		switch {
		case id == leaving:
			add(heir)
		case n != nil && n.Retiring:
			add(v.State.Nodes[n.ReplacedBy])
		default:
			stay[id] = true // also one that has not registered
		}
	}
	for _, n := range v.spares() {
		add(n)
	}
	return len(stay), min(VotersMin, len(v.Members))
}

// votes reports whether a node has a vote.
func (v *View) votes(id volume.NodeID) bool { return slices.Contains(v.Members, id) }

// canVote reports whether a node can have a vote.
func canVote(n *raft.Node) bool { return n.Has(raft.RoleCoordinator) && n.Raft != "" }

// spares returns the coordinators that answer, understand the log and have no vote.
func (v *View) spares() []*raft.Node {
	return slices.DeleteFunc(v.State.SortedNodes(), func(n *raft.Node) bool {
		return !canVote(n) || n.Pending || n.Retiring || v.votes(n.ID) || !v.speaks(n.ID) || !v.reads(n.ID)
	})
}

// reads reports whether a node's release understands what stands in the log of this cluster.
func (v *View) reads(id volume.NodeID) bool {
	fact := v.Facts.Nodes[id]
	return fact != nil && max(fact.Knows, raft.VersionFirst) >= v.State.Version
}

// enfranchise returns the next step by which one of these nodes gets a vote: a learner that has the
// log gets it, else one more becomes a learner. Nil means to wait for a learner.
func (v *View) enfranchise(nodes ...*raft.Node) *VoteChange {
	for _, n := range nodes {
		if slices.Contains(v.CaughtUp, n.ID) && slices.Contains(v.Learners, n.ID) {
			return &VoteChange{Add: n}
		}
	}
	for _, n := range nodes {
		if !slices.Contains(v.Learners, n.ID) {
			return &VoteChange{Learn: n}
		}
	}
	return nil
}

// judgeVotes looks at who has a vote and at whether they follow the leader.
func (v *View) judgeVotes() []Finding {
	var out []Finding
	for _, id := range v.Members {
		if slices.Contains(v.Mute, id) {
			out = append(out, v.judgeMute(id)...)
		}
	}
	voters, nodes := len(v.Members), 0
	for _, n := range v.State.Nodes {
		if !n.Pending && !n.Retiring {
			nodes++
		}
	}
	f := Finding{Severity: raft.SeverityWarning, Object: "cluster",
		Next: "give another node the role coordinator: it gets a vote by itself"}
	switch {
	case voters == 0 || v.votesMove():
		return out
	case voters < VotersMin && nodes >= VotersMin:
		f.Status, f.Kind = AtRisk, "few_coordinators"
		f.Message = sprintf("%d of %d nodes decide: the failure of one stops every failover and repair",
			voters, nodes)
	case voters > VotersMin && voters%2 == 0:
		f.Status, f.Kind = Degraded, "even_coordinators"
		f.Message = sprintf("%d coordinators vote, which survive no more failures than %d", voters, voters-1)
	default:
		return out
	}
	return append(out, f)
}

// judgeMute returns what is wrong with a coordinator that has a vote and does not follow the leader. A
// node that is dead or leaves has a finding of its own.
func (v *View) judgeMute(id volume.NodeID) []Finding {
	n := v.State.Nodes[id]
	if n == nil {
		return []Finding{{
			Severity: raft.SeverityError, Status: Degraded, Object: "cluster", Kind: "coordinator_missing",
			Message: sprintf("coordinator %s has a vote but never joined", id),
			Next:    "start it: until then one failure less is survived",
		}}
	}
	if n.Retiring || v.Condition(id) == raft.NodeDead {
		return nil
	}
	return []Finding{{
		Severity: raft.SeverityError, Status: Degraded, Object: "node/" + n.Name, Kind: "coordinator_silent",
		Message: sprintf("the coordinator on %s does not follow the leader", n.Name),
		Cause:   "it has stopped, or cannot be reached at " + n.Raft,
		Next: sprintf("look at the log of %s and start it again, or holdfast node replace %s NEW",
			n.Name, n.Name),
	}}
}
