package coordinator

import (
	"context"
	"slices"
	"time"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/raft/control"
	"github.com/holdfast-storage/holdfast/volume"
)

// Nodes lists the nodes.
func (s service) Nodes(context.Context) ([]api.Node, error) {
	leader, _ := s.raft.Leader()
	return reading(s, func(v *control.View) ([]api.Node, error) {
		out := []api.Node{}
		for _, n := range v.State.SortedNodes() {
			out = append(out, showNode(v, n, leader))
		}
		return out, nil
	})
}

// Node shows one node with what is on it.
func (s service) Node(_ context.Context, name string) (api.NodeDetail, error) {
	leader, _ := s.raft.Leader()
	return reading(s, func(v *control.View) (api.NodeDetail, error) {
		n, err := findNode(v.State, name)
		if err != nil {
			return api.NodeDetail{}, err
		}
		return showNodeDetail(v, n, leader), nil
	})
}

// ReplaceNode gives old's place to another node and reports progress until nothing of old is left.
// Asked for again, it watches what goes on already.
func (s service) ReplaceNode(ctx context.Context, old string, r api.ReplaceNode,
	emit func(api.Operation) error) error {
	over, err := reading(s, func(v *control.View) (*raft.Predecessor, error) {
		return replacedBefore(v, old, r.New), nil
	})
	if err != nil {
		return err
	}
	if over != nil {
		return emit(api.Operation{Verb: "replace", Object: "node/" + over.Name, State: api.OperationDone, Progress: 1,
			Message: phrase("node %s (%s) has left the cluster: %s took its place", over.Name, over.ID.Short(), r.New)})
	}
	var cmd *raft.Command
	leaving, err := reading(s, func(v *control.View) (n *raft.Node, err error) {
		n, cmd, err = decideReplace(v, old, r.New)
		return n, err
	})
	if err != nil {
		return err
	}
	if _, err := s.propose(ctx, "node/"+leaving.Name, *cmd); err != nil {
		return err
	}
	return s.follow(ctx, "replace", leaving, r.Wait, emit)
}

// decideReplace returns the node that leaves and what is to be committed.
func decideReplace(v *control.View, old, fresh string) (*raft.Node, *raft.Command, error) {
	pair, err := planReplace(v, old, fresh)
	if err != nil {
		return nil, nil, err
	}
	return pair[0], &raft.Command{RetireNode: &raft.RetireNode{Node: pair[0].ID, By: pair[1].ID}}, nil
}

// planReplace finds the two nodes of a replacement. The same name is allowed: then the new node is
// the one that waits for the name, or that got it already while the old one is being emptied.
func planReplace(v *control.View, old, fresh string) ([2]*raft.Node, error) {
	var pair [2]*raft.Node
	heir, err := findHeir(v.State, fresh)
	if err != nil {
		return pair, err
	}
	if n := replacedBy(v.State, old, heir); n != nil {
		return [2]*raft.Node{n, heir}, nil
	}
	leaving, err := findNode(v.State, old)
	switch {
	case err != nil:
		return pair, err
	case leaving.ID == heir.ID:
		return pair, api.Errorf(api.CodeNotFound, "node/"+fresh,
			"start the new node, and look at holdfast node list",
			"no new node waits to take the name %s", fresh)
	case v.Condition(heir.ID) == raft.NodeDead || v.Facts.Nodes[heir.ID] == nil:
		return pair, api.Errorf(api.CodeFailed, "node/"+heir.Name, "start it first",
			"the new node %s (%s) is silent",
			heir.Name, heir.ID.Short())
	}
	return [2]*raft.Node{leaving, heir}, enoughVotes(v, leaving, heir)
}

// enoughVotes refuses to let a coordinator leave when too few would be left; heir may be nil. One that
// leaves already is not asked again.
func enoughVotes(v *control.View, leaving, heir *raft.Node) error {
	left, need := v.VotesLeft(leaving.ID, heir)
	if leaving.Retiring || left >= need {
		return nil
	}
	object, why := "node/"+leaving.Name, "no coordinator without a vote answers"
	if heir != nil && !heir.Has(raft.RoleCoordinator) {
		why = "node " + heir.Name + " is none"
	}
	return api.Errorf(api.CodeRefused, object,
		"give the new node, or another one that has no vote, the role coordinator and start it",
		"node %s votes as a coordinator, and %s, so nobody takes its vote: %d would be left, %d are needed",
		leaving.Name, why, left, need)
}

// findHeir returns the node that takes another's place: the one that waits for the name, else the one
// that has it.
func findHeir(s *raft.State, name string) (*raft.Node, error) {
	for _, n := range s.SortedNodes() {
		if n.Name == name && n.Pending {
			return n, nil
		}
	}
	return findNode(s, name)
}

// replacedBy returns the node of this name or id that is being replaced by heir, nil if none is.
func replacedBy(s *raft.State, name string, heir *raft.Node) *raft.Node {
	for _, n := range s.SortedNodes() {
		if n.Retiring && n.ReplacedBy == heir.ID && (n.Name == name || n.ID.String() == name) {
			return n
		}
	}
	return nil
}

// replacedBefore returns the node of a replacement that is over; nil if there was none, or there is something left to
// do. Whoever asked for it may not have heard the end, and asks again.
func replacedBefore(v *control.View, old, fresh string) *raft.Predecessor {
	s := v.State
	heir, err := findHeir(s, fresh)
	if err != nil || replacedBy(s, old, heir) != nil {
		return nil
	}
	if n, err := findNode(s, old); err == nil && n.ID != heir.ID {
		return nil // another one of that name
	}
	if heir.Name == old && v.Condition(heir.ID) == raft.NodeDead {
		return nil // lost in its turn: the next one of the name is awaited
	}
	for i := range heir.Predecessors {
		if p := &heir.Predecessors[i]; p.Name == old || p.ID.String() == old {
			return p
		}
	}
	return nil
}

// RemoveNode empties a node and forgets it.
func (s service) RemoveNode(ctx context.Context, name string, w api.Wait,
	emit func(api.Operation) error) error {
	var cmd *raft.Command
	n, err := reading(s, func(v *control.View) (n *raft.Node, err error) {
		n, cmd, err = decideRemove(v, name)
		return n, err
	})
	if err != nil {
		return err
	}
	if _, err := s.propose(ctx, "node/"+n.Name, *cmd); err != nil {
		return err
	}
	return s.follow(ctx, "remove", n, w, emit)
}

// decideRemove returns the node that leaves and what is to be committed.
func decideRemove(v *control.View, name string) (*raft.Node, *raft.Command, error) {
	n, err := findNode(v.State, name)
	if err != nil {
		if n, err = unknownNode(v, name, err); err != nil {
			return nil, nil, err
		}
		return n, &raft.Command{RemoveNode: &raft.RemoveNode{Node: n.ID}}, nil
	}
	if err := enoughVotes(v, n, nil); err != nil {
		return nil, nil, err
	}
	if err := enoughRoom(v, n, "remove"); err != nil {
		return nil, nil, err
	}
	if n.Pending {
		return n, &raft.Command{RemoveNode: &raft.RemoveNode{Node: n.ID}}, nil // nothing was ever on it
	}
	return n, &raft.Command{RetireNode: &raft.RetireNode{Node: n.ID}}, nil
}

// unknownNode returns the node of a name or id that has a certificate, and nothing else. An id need not be known: the
// node may have joined after the backup was made that the coordinators were restored from. Failing that it returns
// missing.
func unknownNode(v *control.View, name string, missing error) (*raft.Node, error) {
	if j := v.State.Admitted(name); j != nil {
		return &raft.Node{ID: j.Node, Name: j.Name}, nil
	}
	parsed, err := volume.ParseUUID(name)
	id := volume.NodeID{UUID: parsed}
	if err != nil || id.IsZero() || !v.State.Uses(knownOnlyBefore) {
		return nil, missing
	}
	if _, removed := v.State.Removed[id]; removed {
		return nil, missing
	}
	if slices.Contains(v.Members, id) || slices.Contains(v.Learners, id) {
		return nil, api.Errorf(api.CodeRefused, "node/"+name, "start it, then remove or replace it",
			"node %s is one of the coordinators, and never registered", name)
	}
	return &raft.Node{ID: id, Name: name}, nil
}

// knownOnlyBefore is the cluster version from which on a node can be removed that is not known.
const knownOnlyBefore = 2

// follow reports how far a node is emptied until it has left the cluster.
func (s service) follow(ctx context.Context, verb string, n *raft.Node, w api.Wait,
	emit func(api.Operation) error) error {
	var t *tally
	return s.watch(ctx, w, emit, func(v *control.View) (api.Operation, error) {
		if t == nil {
			t = newTally(v, n.ID)
		}
		return t.operation(v, verb, n), nil
	})
}

// tally counts what leaves a node: the legs that were on it when counting began.
type tally struct {
	node volume.NodeID
	legs map[volume.LegID]int64 // with the bytes of each
}

func newTally(v *control.View, node volume.NodeID) *tally {
	t := &tally{node: node, legs: map[volume.LegID]int64{}}
	for _, vol := range v.State.Volumes {
		for _, l := range vol.Legs {
			if l.Node == node && !vol.Deleting {
				t.legs[l.ID] = vol.LegBytes()
			}
		}
	}
	return t
}

// operation says how far the node is emptied. The bytes of a leg count as the copy onto its
// replacement goes on, and in full when that is in sync.
func (t *tally) operation(v *control.View, verb string, n *raft.Node) api.Operation {
	op := api.Operation{Verb: verb, Object: "node/" + n.Name, State: api.OperationRunning,
		LegsTotal: len(t.legs)}
	for id, bytes := range t.legs {
		op.CopyBytes += bytes
		vol, l := v.State.LegByID(id)
		if l == nil {
			op.LegsDone++
			op.DoneBytes += bytes
			continue
		}
		if heir := vol.Replacement(id); heir != nil {
			progress, _, _ := v.LegProgress(vol, heir)
			op.DoneBytes += int64(progress * float64(bytes))
		}
	}
	if op.Progress = 1; op.CopyBytes > 0 {
		op.Progress = float64(op.DoneBytes) / float64(op.CopyBytes)
	}
	now := v.State.Nodes[t.node]
	if now == nil {
		op.State, op.Progress = api.OperationDone, 1
		op.Message = phrase("node %s (%s) has left the cluster", n.Name, n.ID.Short())
		return op
	}
	holds := v.Left(now)
	switch {
	case !now.Retiring:
		op.State = api.OperationDone
		op.Message = phrase("node %s (%s) is used again: it is not emptied any more", n.Name, n.ID.Short())
	case holds == "" && now.Stays:
		op.State, op.Progress = api.OperationDone, 1
		op.Message = drainedWords(v, now)
	case holds != "":
		op.Message = phrase("node %s (%s) is being emptied: %s", n.Name, n.ID.Short(), holds)
	default:
		op.Message = phrase("node %s (%s) is empty and leaves", n.Name, n.ID.Short())
	}
	return op
}

// Operations lists the failovers, the nodes that are being emptied, and the scrubs.
func (s service) Operations(context.Context) ([]api.Operation, error) {
	return reading(s, func(v *control.View) ([]api.Operation, error) {
		out := []api.Operation{}
		for _, n := range v.State.SortedNodes() {
			if !n.Retiring {
				continue
			}
			verb := "replace"
			switch {
			case n.Stays:
				verb = "drain"
			case n.ReplacedBy.IsZero():
				verb = "remove"
			}
			out = append(out, newTally(v, n.ID).operation(v, verb, n))
		}
		if v.State.Rebalance != nil {
			op, _ := rebalanceOperation(v, 0)
			out = append(out, op)
		}
		for _, vol := range v.State.SortedVolumes() {
			if vol.Scrub == nil {
				continue
			}
			if op, err := scrubOperation(v, vol, vol.Scrub.ID); err == nil {
				out = append(out, op)
			}
		}
		out = append(out, cloneOperations(v)...)
		for i := range out {
			out[i].ID = workID(out[i])
		}
		return append(failovers(v), out...), nil
	})
}

// Cluster describes the cluster.
func (s service) Cluster(context.Context) (api.Cluster, error) {
	leader, _ := s.raft.Leader()
	state, revision := s.raft.State()
	out := api.Cluster{
		Name: state.Cluster.Name, ID: state.Cluster.ID.String(), Nodes: len(state.Nodes),
		Incarnation: state.Cluster.Incarnation.String(), Generation: state.Cluster.RestoreGen,
		Volumes: len(state.Volumes), Domains: len(state.Domains), Revision: revision,
		OverProvision: state.Cluster.OverProvisionPercent(), ReplaceAfter: showReplaceAfter(state, &raft.Volume{}),
	}
	s.look(func(v *control.View) { out.Coordinators = len(v.Members) }) // that vote, not that could
	if n := state.Nodes[leader]; n != nil {
		out.Leader = n.Name
	}
	s.showVersions(&out)
	return out, nil
}

// Health judges the cluster. Without a leader this coordinator says so, and what it sees itself.
func (s service) Health(context.Context) (api.Health, error) {
	var health api.Health
	s.look(func(v *control.View) {
		status, findings := s.judge(v)
		health.Status = api.Status(status)
		health.Findings = []api.Finding{}
		for _, f := range findings {
			health.Findings = append(health.Findings, api.Finding{
				Severity: f.Severity, Status: api.Status(f.Status), Object: f.Object, Kind: f.Kind,
				Message: f.Message, Cause: f.Cause, Next: f.Next, Since: f.Since.Round(0),
				Progress: f.Progress,
			})
		}
	})
	return health, nil
}

// Events reports the events above after, and with follow those to come.
func (s service) Events(ctx context.Context, after uint64, follow bool, emit func(api.Event) error) error {
	for {
		if !s.raft.Leading() {
			return notLeading()
		}
		state, revision := s.raft.State()
		for _, e := range state.Events {
			if e.Seq <= after {
				continue
			}
			after = e.Seq
			if err := emit(showEvent(e)); err != nil {
				return err
			}
		}
		if !follow {
			return nil
		}
		timer := time.NewTimer(time.Second) // notices a lost leadership
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-s.raft.Changed(revision):
		}
		timer.Stop()
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}
