package coordinator

import (
	"context"
	"crypto/x509"
	"time"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/api/credential"
	"github.com/holdfast-storage/holdfast/node/identity"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// Join admits a node. Nothing is proposed before the caller has shown the secret of a token that exists,
// so that nobody else makes the log grow.
func (s service) Join(ctx context.Context, r api.Join) (api.Joined, error) {
	if !s.raft.Leading() {
		return api.Joined{}, notLeading()
	}
	state, _ := s.raft.State()
	token, err := joinToken(state, r.Token)
	if err != nil {
		return api.Joined{}, err
	}
	ca, err := authority(state)
	if err != nil {
		return api.Joined{}, err
	}
	cmd, err := s.admit(state, ca, r)
	if err != nil {
		return api.Joined{}, err
	}
	cmd.ID = token.ID
	if _, err := s.propose(ctx, "node/"+r.Name, raft.Command{UseJoin: cmd}); err != nil {
		return api.Joined{}, err
	}
	state, _ = s.raft.State()
	return s.joined(state, token.ID, cmd.Now)
}

// joinToken returns the token of the state whose secret a caller knows.
func joinToken(s *raft.State, text string) (*raft.JoinToken, error) {
	j, err := credential.ParseJoin(text)
	if err != nil {
		return nil, api.Unauthorized("%s", err)
	}
	if j.Cluster != s.Cluster.ID {
		return nil, api.Errorf(api.CodeRefused, "cluster", "ask a node of that cluster",
			"the join token is of cluster %s (%s), this is %s (%s)", j.Name, j.Cluster, s.Cluster.Name, s.Cluster.ID)
	}
	t := s.Joins[j.Secret.ID()]
	if t == nil || !j.Secret.Proves(t.Hash) {
		return nil, api.Errorf(api.CodeRefused, "cluster", "make one with `holdfast cluster token create`",
			"join token %s is not known: it was revoked, or is long over", j.Secret.ID())
	}
	return t, nil
}

// authority returns the cluster's CA.
func authority(s *raft.State) (*identity.CA, error) {
	if s.Authority == nil {
		return nil, noAuthority(s)
	}
	return identity.ParseCA(s.Cluster.ID, s.Authority.Cert, s.Authority.Key)
}

// admit signs a certificate for who sent a request and has the key in it.
func (s service) admit(state *raft.State, ca *identity.CA, r api.Join) (*raft.UseJoin, error) {
	request, err := identity.ParseRequest(r.CSR)
	if err != nil {
		return nil, api.Errorf(api.CodeInvalid, "node/"+r.Name, "", "%s", err)
	}
	if request.Cluster != state.Cluster.ID {
		return nil, api.Errorf(api.CodeRefused, "node/"+r.Name, "", "the machine wants to join cluster %s, this is %s",
			request.Cluster, state.Cluster.ID)
	}
	cmd := &raft.UseJoin{Node: request.Node, Name: r.Name, Replace: r.Replace, Now: s.wallClock()}
	if cmd.Key, err = identity.KeyHash(request.Key); err != nil {
		return nil, api.Errorf(api.CodeInvalid, "node/"+r.Name, "", "%s", err)
	}
	if len(r.Earlier) > 0 {
		node, earlier, err := ca.Signed(r.Earlier)
		cmd.Proven = err == nil && node == request.Node && identity.SameKey(earlier, request.Key)
		if !cmd.Proven && state.Nodes[request.Node] != nil {
			return nil, api.Errorf(api.CodeRefused, "node/"+r.Name, "join as another node",
				"the earlier certificate is not one that this cluster gave to this node's key")
		}
		// A node that nobody knows needs no proof but its token, as any new one. It has a certificate of a CA
		// that was lost with the coordinators.
	}
	cmd.Cert, err = ca.Sign(identity.NodeOptions{Name: r.Name, ID: request.Node, Hosts: request.Hosts, Now: cmd.Now,
		Lifetime: state.Authority.Lifetime}, request.Key)
	if err != nil {
		return nil, api.Errorf(api.CodeInvalid, "node/"+r.Name, "", "%s", err)
	}
	return cmd, nil
}

// joined returns what a node gets that was admitted by a token: now, or before if the answer was lost.
func (s service) joined(state *raft.State, token string, now time.Time) (api.Joined, error) {
	j := state.Joins[token]
	if j == nil || state.Authority == nil {
		return api.Joined{}, api.Errorf(api.CodeUnknown, "cluster", "ask again", "join token %s has just gone", token)
	}
	if cert, err := x509.ParseCertificate(j.Cert); err != nil || identity.CheckTime(cert, now) != nil {
		return api.Joined{}, api.Errorf(api.CodeInvalid, "node/"+j.Name,
			"make another with `holdfast cluster token create`",
			"the certificate that node %s got by join token %s is over", j.Name, token)
	}
	return api.Joined{Cluster: state.Cluster.ID.String(), ClusterName: state.Cluster.Name,
		Incarnation: state.Cluster.Incarnation.String(), Cert: j.Cert, CA: state.Authority.Cert,
		Coordinators: s.voters(state)}, nil
}

// voters returns the coordinators that decide, or all that could if it is not known who does.
func (s service) voters(state *raft.State) []api.Coordinator {
	s.mu.Lock()
	votes := map[volume.NodeID]bool{}
	for _, m := range s.members {
		votes[m.ID] = !m.Learner
	}
	s.mu.Unlock()
	var out []api.Coordinator
	for _, n := range state.SortedNodes() {
		if n.Has(raft.RoleCoordinator) && !n.Pending && (len(votes) == 0 || votes[n.ID]) {
			out = append(out, api.Coordinator{ID: n.ID.String(), Name: n.Name, API: n.API, Raft: n.Raft})
		}
	}
	return out
}

// renew signs a new certificate for a node: the same names and key, a new time. The caller has shown that
// the old one is the node's and is valid.
func (c *Coordinator) renew(old *x509.Certificate) ([]byte, error) {
	state, _ := c.raft.State()
	ca, err := authority(state)
	if err != nil {
		return nil, err
	}
	node, _, err := ca.Signed(old.Raw)
	if err != nil {
		return nil, err
	}
	n := state.Nodes[node]
	if n == nil {
		return nil, api.Errorf(api.CodeNotFound, "", "", "node %s is not part of the cluster", node)
	}
	return ca.Sign(identity.NodeOptions{Name: n.Name, ID: node, Hosts: identity.HostsOf(old), Now: c.wallClock(),
		Lifetime: state.Authority.Lifetime}, old.PublicKey)
}
