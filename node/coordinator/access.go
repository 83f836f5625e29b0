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

// Removed returns why a node is no part of the cluster any more, as far as this coordinator knows; nil if
// it is or may become one.
func (c *Coordinator) Removed(caller api.Caller) *api.Error {
	state, _ := c.raft.State()
	return removedNode(state, caller)
}
