package coordinator

import (
	"context"
	"time"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/node/identity"
	"github.com/holdfast-storage/holdfast/raft"
)

// Tokens lists the API tokens.
func (s service) Tokens(context.Context) ([]api.Token, error) {
	state, _ := s.raft.State()
	now := s.opts.Now()
	var out []api.Token
	for _, t := range state.SortedTokens() {
		out = append(out, showToken(t, now))
	}
	return out, nil
}

func showToken(t *raft.APIToken, now time.Time) api.Token {
	out := api.Token{Name: t.Name, ID: t.ID, Role: api.Role(t.Role), State: api.TokenValid, Created: t.Created}
	if !t.Expires.IsZero() {
		out.Expires = &t.Expires
	}
	if expired(t.Expires, now) {
		out.State = api.TokenExpired
	}
	return out
}

// CreateToken makes an API token.
func (s service) CreateToken(ctx context.Context, r api.CreateToken) (api.Token, error) {
	now := s.wallClock()
	cmd := &raft.CreateToken{Name: r.Name, ID: r.ID, Hash: r.Hash, Role: raft.AccessRole(r.Role), Now: now}
	if r.TTLSeconds > 0 {
		cmd.Expires = now.Add(time.Duration(r.TTLSeconds) * time.Second)
	}
	if _, err := s.propose(ctx, "token/"+r.Name, raft.Command{CreateToken: cmd}); err != nil {
		return api.Token{}, err
	}
	state, _ := s.raft.State()
	t := state.Tokens[r.Name]
	if t == nil {
		return api.Token{}, api.Errorf(api.CodeFailed, "token/"+r.Name, "", "token %s was revoked at once", r.Name)
	}
	return showToken(t, now), nil
}

// RevokeToken ends an API token at once.
func (s service) RevokeToken(ctx context.Context, name string) error {
	if state, _ := s.raft.State(); state.Tokens[name] == nil {
		return api.Errorf(api.CodeNotFound, "token/"+name, "holdfast token list shows those that exist",
			"there is no token %s", name)
	}
	_, err := s.propose(ctx, "token/"+name, raft.Command{RevokeToken: &raft.RevokeToken{Name: name}})
	return err
}

// JoinTokens lists the join tokens.
func (s service) JoinTokens(context.Context) ([]api.JoinToken, error) {
	state, _ := s.raft.State()
	now := s.opts.Now()
	var out []api.JoinToken
	awaited := map[*raft.JoinToken]bool{}
	for _, j := range state.Unregistered() {
		awaited[j] = true
	}
	for _, j := range state.SortedJoins() {
		t := api.JoinToken{ID: j.ID, State: api.TokenValid, Created: j.Created, Expires: j.Expires, Node: j.Name,
			Unregistered: awaited[j]}
		switch {
		case !j.Used.IsZero():
			t.State, t.Used, t.NodeID = api.TokenUsed, &j.Used, j.Node.String()
		case expired(j.Expires, now):
			t.State = api.TokenExpired
		}
		out = append(out, t)
	}
	return out, nil
}

// CreateJoinToken makes a join token.
func (s service) CreateJoinToken(ctx context.Context, r api.CreateJoinToken) (api.JoinGrant, error) {
	now := s.wallClock()
	state, _ := s.raft.State()
	if state.Authority == nil {
		return api.JoinGrant{}, noAuthority(state)
	}
	cmd := &raft.CreateJoin{ID: r.ID, Hash: r.Hash, Now: now,
		Expires: now.Add(time.Duration(r.TTLSeconds) * time.Second)}
	if _, err := s.propose(ctx, "cluster", raft.Command{CreateJoin: cmd}); err != nil {
		return api.JoinGrant{}, err
	}
	fingerprint := identity.FingerprintOf(state.Authority.Cert)
	return api.JoinGrant{Cluster: state.Cluster.ID.String(), ClusterName: state.Cluster.Name,
		CA: fingerprint[:], Expires: cmd.Expires}, nil
}

// RevokeJoinToken forgets a join token that nobody used.
func (s service) RevokeJoinToken(ctx context.Context, id string) error {
	if state, _ := s.raft.State(); state.Joins[id] == nil {
		return api.Errorf(api.CodeNotFound, "cluster", "holdfast cluster token list shows those that exist",
			"there is no join token %s", id)
	}
	_, err := s.propose(ctx, "cluster", raft.Command{RevokeJoin: &raft.RevokeJoin{ID: id}})
	return err
}

// wallClock returns the time without a reading of the monotonic clock, which would not go through the log.
func (c *Coordinator) wallClock() time.Time { return c.opts.Now().UTC().Round(0) }

// noAuthority answers while the coordinators do not have the CA yet. A cluster that has just begun takes
// it over as soon as every coordinator understands this release's commands, so clients ask again. One that was
// restored without it never gets it.
func noAuthority(s *raft.State) *api.Error {
	if s.Cluster.RestoreGen > 0 {
		return api.Errorf(api.CodeRefused, "cluster", "holdfast why cluster says what to do",
			"the coordinators were restored without the cluster's CA: no node can join, and no certificate is renewed")
	}
	return api.Errorf(api.CodeNoLeader, "cluster", "a cluster that has just begun has it in a moment, once all "+
		"coordinators run this release; see docs/security.md for one that was made before there were tokens",
		"the coordinators do not have the cluster's CA")
}
