package raft

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/holdfast-storage/holdfast/volume"
)

// The bounds of what is kept of tokens.
const (
	hashLen     = 64                  // a SHA-256 in hexadecimal
	joinsKept   = 30 * 24 * time.Hour // how long a join token is remembered after it expired, at least
	joinsMax    = 10000
	tokensMax   = 10000
	lifetimeMin = time.Second // of certificates
)

// setAuthority records the certificate authority of a new cluster.
func (t *txn) setAuthority(c *SetAuthority) *Refusal {
	have := t.state.Authority
	switch {
	case len(c.Cert) == 0 || len(c.Key) == 0 || c.Lifetime < lifetimeMin:
		return invalid("cluster CA: its certificate, its key or the lifetime of what it signs is missing")
	case have != nil && (!bytes.Equal(have.Cert, c.Cert) || !bytes.Equal(have.Key, c.Key)):
		return refuse(CodeExists, "the cluster has a CA already, and this is another one")
	case have != nil:
		return nil
	}
	t.state.Authority = &Authority{Cert: slices.Clone(c.Cert), Key: slices.Clone(c.Key), Lifetime: c.Lifetime}
	t.event(SeverityInfo, "cluster", "authority_set",
		"the coordinators have the cluster's CA: they admit nodes and renew certificates")
	return nil
}

// createJoin makes a join token and forgets those that are long over.
func (t *txn) createJoin(c *CreateJoin) *Refusal {
	if len(c.Hash) != hashLen || c.ID == "" || !c.Expires.After(c.Now) {
		return invalid("join token %q: it has no id, no hash of a secret, or is over before it begins", c.ID)
	}
	if old := t.state.Joins[c.ID]; old != nil {
		if old.Hash == c.Hash {
			return nil
		}
		return refuse(CodeExists, "there is a join token %s already: make another", c.ID)
	}
	for id, j := range t.state.Joins { // all of them, so the order of the map does not matter
		if t.overFor(j, c.Now) > joinsKept {
			delete(t.state.Joins, id)
		}
	}
	if len(t.state.Joins) >= joinsMax {
		return invalid("there are %d join tokens: revoke those that nobody used, and `holdfast node remove` the nodes "+
			"that `holdfast cluster token list` shows as unregistered", len(t.state.Joins))
	}
	t.state.Joins[c.ID] = &JoinToken{ID: c.ID, Hash: c.Hash, Created: c.Now, Expires: c.Expires}
	t.event(SeverityInfo, "cluster", "join_token_created", "join token %s was made, for one node until %s",
		c.ID, c.Expires.UTC().Format(time.RFC3339))
	return nil
}

// overFor returns how long nothing can come of a join token any more. One whose node never registered is all that is
// known of that node, which has a certificate, so it counts for as long as that may be valid: who is not known could
// not be put out.
func (t *txn) overFor(j *JoinToken, now time.Time) time.Duration {
	end := j.Expires
	if t.state.awaited(j) && t.state.Authority != nil {
		if until := j.Used.Add(t.state.Authority.Lifetime); until.After(end) {
			end = until
		}
	}
	return now.Sub(end)
}

// useJoin admits a node, once.
func (t *txn) useJoin(c *UseJoin) *Refusal {
	if r := t.checkJoin(c); r != nil {
		return r
	}
	j := *t.state.Joins[c.ID]
	if !j.Used.IsZero() {
		return nil // by this very node, whose answer was lost
	}
	j.Used, j.Node, j.Name, j.Key, j.Cert = c.Now, c.Node, c.Name, c.Key, slices.Clone(c.Cert)
	t.state.Joins[c.ID] = &j
	t.event(SeverityInfo, "node/"+c.Name, "node_admitted", "node %s (%s) got a certificate by join token %s",
		c.Name, c.Node.Short(), c.ID)
	return nil
}

// checkJoin returns why a join token admits a node not.
func (t *txn) checkJoin(c *UseJoin) *Refusal {
	j := t.state.Joins[c.ID]
	if err := volume.CheckName("node", c.Name); err != nil {
		return invalid("%v", err)
	}
	if j == nil {
		return refuse(CodeNotFound, "join token %s is not known: it was revoked, or is long over; "+
			"make one with `holdfast cluster token create`", c.ID)
	}
	if _, removed := t.state.Removed[c.Node]; removed {
		return invalid("node %s (%s) was removed from the cluster and is not taken in again: "+
			"remove its configuration, so that it joins as another node", c.Name, c.Node.Short())
	}
	if !j.Used.IsZero() {
		if j.Node == c.Node && j.Key == c.Key {
			return t.sameName(c, j)
		}
		return refuse(CodeBusy, "join token %s was used already, by node %s (%s) at %s: a token admits one node; "+
			"make another with `holdfast cluster token create`", c.ID, j.Name, j.Node.Short(),
			j.Used.UTC().Format(time.RFC3339))
	}
	if !c.Now.Before(j.Expires) {
		return invalid("join token %s expired at %s: make another with `holdfast cluster token create`",
			c.ID, j.Expires.UTC().Format(time.RFC3339))
	}
	if c.Node.IsZero() || len(c.Key) != hashLen || len(c.Cert) == 0 {
		return invalid("node %s: its id, its key or its certificate is missing", c.Name)
	}
	return t.checkJoinName(c)
}

func (t *txn) sameName(c *UseJoin, j *JoinToken) *Refusal {
	if c.Name != j.Name {
		return invalid("this node was admitted as %s by join token %s: it cannot be %s now", j.Name, c.ID, c.Name)
	}
	return nil
}

// checkJoinName refuses a node whose name or id belongs to another.
func (t *txn) checkJoinName(c *UseJoin) *Refusal {
	if known := t.state.Nodes[c.Node]; known != nil {
		switch {
		case !c.Proven:
			return refuse(CodeExists, "node %s (%s) is part of the cluster: only a machine that has its key and "+
				"its last certificate gets another", known.Name, known.ID.Short())
		case known.Name != c.Name:
			return invalid("node %s (%s) cannot join again as %s", known.Name, known.ID.Short(), c.Name)
		}
		return nil
	}
	if !c.Proven && t.admittedWithAnotherKey(c) {
		return refuse(CodeExists, "node id %s was given a certificate for another key: remove this machine's "+
			"configuration, so that it joins as another node", c.Node.Short())
	}
	if c.Replace {
		return nil
	}
	if t.nameTaken(c.Name, c.Node) {
		return refuse(CodeExists, "there is a node %s already: choose another name, or join with --replace "+
			"to take the place of that node", c.Name)
	}
	for _, j := range t.state.Joins { // any one will do, so the order of the map does not matter
		if _, removed := t.state.Removed[j.Node]; removed {
			continue
		}
		if j.Name == c.Name && j.Node != c.Node && t.state.Nodes[j.Node] == nil && c.Now.Before(j.Expires) {
			return refuse(CodeExists, "another machine has just joined as %s and starts soon: choose another name",
				c.Name)
		}
	}
	return nil
}

// admittedWithAnotherKey reports whether a join token admitted a node of this id that has another key: its
// certificate is good, though it may not have registered yet.
func (t *txn) admittedWithAnotherKey(c *UseJoin) bool {
	for _, j := range t.state.Joins { // any one will do, so the order of the map does not matter
		if !j.Used.IsZero() && j.Node == c.Node && j.Key != c.Key {
			return true
		}
	}
	return false
}

// removeUnregistered puts out a node that has a certificate and never registered: by a join token, or as far as
// anybody knows, since the coordinators may have been restored from a time before it joined.
func (t *txn) removeUnregistered(id volume.NodeID) {
	if _, removed := t.state.Removed[id]; removed || id.IsZero() {
		return
	}
	if j := t.state.Admitted(id.String()); j != nil {
		t.state.Removed[id] = t.at
		t.event(SeverityInfo, "node/"+j.Name, "node_removed", "node %s (%s), which never registered, left the cluster",
			j.Name, id.Short())
		return
	}
	if !t.state.Uses(2) { // the first release forgot nobody whom it did not know
		return
	}
	t.state.Removed[id] = t.at
	t.event(SeverityInfo, "node/"+id.String(), "node_removed", "node %s, which is not known, was shut out", id)
}

// revokeJoin forgets a join token.
func (t *txn) revokeJoin(c *RevokeJoin) *Refusal {
	j := t.state.Joins[c.ID]
	if j == nil {
		return nil
	}
	if !j.Used.IsZero() {
		return invalid("join token %s was used by node %s at %s, and admits nobody any more: "+
			"`holdfast node remove` puts that node out", c.ID, j.Name, j.Used.UTC().Format(time.RFC3339))
	}
	delete(t.state.Joins, c.ID)
	t.event(SeverityInfo, "cluster", "join_token_revoked", "join token %s was revoked", c.ID)
	return nil
}

// createToken makes an API token.
func (t *txn) createToken(c *CreateToken) *Refusal {
	if err := volume.CheckName("token", c.Name); err != nil {
		return invalid("%v", err)
	}
	known := []AccessRole{AccessViewer, AccessOperator, AccessAdmin}
	switch old := t.state.Tokens[c.Name]; {
	case !slices.Contains(known, c.Role):
		return invalid("token %s: role %q is unknown (admin, operator, viewer)", c.Name, c.Role)
	case len(c.Hash) != hashLen || c.ID == "" || !c.Expires.IsZero() && !c.Expires.After(c.Now):
		return invalid("token %s: it has no id, no hash of a secret, or is over before it begins", c.Name)
	case old != nil && old.ID == c.ID && old.Hash == c.Hash && old.Role == c.Role:
		return nil
	case old != nil:
		return refuse(CodeExists, "there is a token %s already: revoke it first, or choose another name", c.Name)
	case t.state.TokenByID(c.ID) != nil:
		return refuse(CodeExists, "there is a token of this id already: make another")
	case len(t.state.Tokens) >= tokensMax:
		return invalid("there are %d tokens: revoke some", len(t.state.Tokens))
	}
	t.state.Tokens[c.Name] = &APIToken{Name: c.Name, ID: c.ID, Hash: c.Hash, Role: c.Role, Created: c.Now,
		Expires: c.Expires}
	until := "until it is revoked"
	if !c.Expires.IsZero() {
		until = fmt.Sprintf("until %s", c.Expires.UTC().Format(time.RFC3339))
	}
	t.event(SeverityInfo, "token/"+c.Name, "token_created", "API token %s of role %s was made, %s", c.Name, c.Role,
		until)
	return nil
}

// revokeToken forgets an API token.
func (t *txn) revokeToken(c *RevokeToken) *Refusal {
	if t.state.Tokens[c.Name] == nil {
		return nil // it is gone, or never was
	}
	delete(t.state.Tokens, c.Name)
	t.event(SeverityInfo, "token/"+c.Name, "token_revoked", "API token %s was revoked", c.Name)
	return nil
}
