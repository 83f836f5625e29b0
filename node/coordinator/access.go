package coordinator

import (
	"time"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/api/credential"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// guard returns what a caller may do, by the state of this coordinator.
func (c *Coordinator) guard(caller api.Caller) (api.Role, *api.Error) {
	state, _ := c.raft.State()
	if refusal := removedNode(state, caller); refusal != nil {
		return api.RoleNone, refusal
	}
	if refusal := unregistered(state, caller); refusal != nil {
		return api.RoleNone, refusal
	}
	switch caller.Kind {
	case api.CallerRoot:
		return api.RoleAdmin, nil
	case api.CallerNode:
		return api.RoleAdmin, nil // whoever has a node's key is root there
	case api.CallerToken:
		return bearer(state, caller.Token, c.opts.Now())
	}
	return api.RoleNone, api.Unauthorized("who asks is not known")
}

// removedNode refuses a caller that left the cluster, and what such a node passed on: it may say what it
// likes of who calls, also through a node that does not know that it left.
func removedNode(s *raft.State, caller api.Caller) *api.Error {
	for _, node := range append([]volume.NodeID{caller.Node}, caller.Via...) {
		if at, removed := s.Removed[node]; removed {
			return api.Errorf(api.CodeRefused, "", "join the machine as another node, with a new token",
				"node %s left the cluster at %s: its certificate is not accepted any more", node,
				at.UTC().Format(time.RFC3339))
		}
	}
	return nil
}

// unregistered refuses a caller that is known by a certificate, and what was passed on by one, whose node the cluster
// does not have: a join token got it its certificate, and it has the right to register, no more. What a node passes
// on that is about to register is to be asked again.
func unregistered(s *raft.State, caller api.Caller) *api.Error {
	if caller.Kind == api.CallerNode && s.Nodes[caller.Node] == nil {
		return api.Errorf(api.CodeRefused, "", notYet,
			"node %s is not registered: its certificate lets it register, and do nothing else", caller.Node)
	}
	for _, node := range caller.Via {
		if s.Nodes[node] == nil {
			return api.Errorf(api.CodeNoLeader, "", notYet,
				"the call came through node %s, which is not registered yet", node)
		}
	}
	return nil
}

// notYet says what to do about a node that is not registered.
const notYet = "start the node's daemon, whose log says what keeps it from registering; `holdfast node remove` puts " +
	"out one that is not to"

// bearer returns the role of an API token. It does not say which part of a wrong one is wrong.
func bearer(s *raft.State, text string, now time.Time) (api.Role, *api.Error) {
	secret, err := credential.ParseBearer(text)
	if err != nil {
		return api.RoleNone, api.Unauthorized("%s", err)
	}
	t := s.TokenByID(secret.ID())
	switch {
	case t == nil || !secret.Proves(t.Hash):
		return api.RoleNone, api.Unauthorized("the API token is not known: it was revoked, or is another cluster's")
	case expired(t.Expires, now):
		return api.RoleNone, api.Unauthorized("API token %s expired at %s", t.Name,
			t.Expires.UTC().Format(time.RFC3339))
	}
	return api.Role(t.Role), nil
}

func expired(at, now time.Time) bool { return !at.IsZero() && !now.Before(at) }

// Unregistered returns why a node is shown nothing of what this coordinator's node knows itself: as far as this one
// knows it has not registered, or not yet. Its own node may always look.
func (c *Coordinator) Unregistered(caller api.Caller) *api.Error {
	if caller.Kind == api.CallerNode && caller.Node == c.opts.Self {
		return nil
	}
	state, _ := c.raft.State()
	return unregistered(state, caller)
}

// Waits reports whether this coordinator has an empty log: it waits to be added to a group.
func (c *Coordinator) Waits() bool {
	state, _ := c.raft.State()
	return state.Cluster.ID.IsZero()
}

// Removed returns why a node is no part of the cluster any more, as far as this coordinator knows; nil if
// it is or may become one.
func (c *Coordinator) Removed(caller api.Caller) *api.Error {
	state, _ := c.raft.State()
	return removedNode(state, caller)
}
