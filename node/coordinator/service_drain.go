package coordinator

import (
	"context"
	"math"
	"time"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/raft/control"
)

// DrainNode moves everything away from a node and reports progress until nothing is left. Asked for again,
// it watches what goes on already; whoever stops watching stops nothing.
func (s service) DrainNode(ctx context.Context, name string, w api.Wait, emit func(api.Operation) error) error {
	var cmd *raft.Command
	n, err := reading(s, func(v *control.View) (n *raft.Node, err error) {
		n, cmd, err = decideDrain(v, name)
		return n, err
	})
	if err != nil {
		return err
	}
	if _, err := s.propose(ctx, "node/"+n.Name, *cmd); err != nil {
		return err
	}
	return s.follow(ctx, "drain", n, w, emit)
}

// decideDrain returns the node that is emptied and what is to be committed.
func decideDrain(v *control.View, name string) (*raft.Node, *raft.Command, error) {
	n, err := findNode(v.State, name)
	if err != nil {
		return nil, nil, err
	}
	return n, &raft.Command{RetireNode: &raft.RetireNode{Node: n.ID, Stay: true}}, enoughRoom(v, n, "drain")
}

// enoughRoom refuses to empty a node whose legs have nowhere to go. One that is emptied already is not
// asked again.
func enoughRoom(v *control.View, n *raft.Node, verb string) error {
	if n.Retiring || n.Pending {
		return nil
	}
	stranded := v.Strands(n.ID, nil)
	if len(stranded) == 0 {
		return nil
	}
	return api.Errorf(api.CodeRefused, "node/"+n.Name,
		"add storage, or holdfast node replace "+n.Name+" NEW",
		"node %s cannot be emptied to %s it: %s", n.Name, verb, control.StrandedMessage(stranded))
}

// UndrainNode ends the draining or removal of a node.
func (s service) UndrainNode(ctx context.Context, name string) (api.Node, error) {
	state, _ := s.raft.State()
	n, err := findNode(state, name)
	if err != nil {
		return api.Node{}, err
	}
	cmd := raft.Command{KeepNode: &raft.KeepNode{Node: n.ID}}
	if _, err := s.propose(ctx, "node/"+n.Name, cmd); err != nil {
		return api.Node{}, err
	}
	leader, _ := s.raft.Leader()
	return reading(s, func(v *control.View) (api.Node, error) {
		n, err := findNode(v.State, name)
		if err != nil {
			return api.Node{}, err
		}
		return showNode(v, n, leader), nil
	})
}

func drainedWords(v *control.View, n *raft.Node) string {
	words := phrase("node %s (%s) is empty; holdfast node undrain %s uses it again", n.Name, n.ID.Short(), n.Name)
	if v.KeepsVote(n.ID) {
		words += "; it still votes, since no other coordinator could take its vote"
	}
	return words
}

// SetReplaceAfter sets how long a leg cannot be reached before another takes its place.
func (s service) SetReplaceAfter(ctx context.Context, r api.SetReplaceAfter) (api.ReplaceAfter, error) {
	cmd := &raft.SetReplaceAfter{After: time.Duration(r.Seconds * float64(time.Second))}
	if r.Never {
		cmd.After = -1
	}
	object := "cluster"
	if r.Seconds < 0 || r.Seconds > math.MaxInt32 {
		return api.ReplaceAfter{}, api.Errorf(api.CodeInvalid, object, "", "replace after %v s is no time", r.Seconds)
	}
	if r.Volume != "" {
		state, _ := s.raft.State()
		vol, err := findVolume(state, r.Volume)
		if err != nil {
			return api.ReplaceAfter{}, err
		}
		cmd.Volume, object = vol.ID, "volume/"+vol.Name
	}
	if _, err := s.propose(ctx, object, raft.Command{SetReplaceAfter: cmd}); err != nil {
		return api.ReplaceAfter{}, err
	}
	state, _ := s.raft.State()
	vol := state.Volumes[cmd.Volume]
	if vol == nil {
		vol = &raft.Volume{}
	}
	return showReplaceAfter(state, vol), nil
}

func showReplaceAfter(s *raft.State, vol *raft.Volume) api.ReplaceAfter {
	after, ok := s.ReplaceAfterOf(vol)
	out := api.ReplaceAfter{Seconds: after.Seconds(), Never: !ok, From: "default"}
	switch {
	case vol.ReplaceAfter != 0:
		out.From = "volume"
	case s.Cluster.ReplaceAfter != 0:
		out.From = "cluster"
	}
	if !ok {
		out.Seconds = 0
	}
	return out
}
