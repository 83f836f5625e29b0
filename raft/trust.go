package raft

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/holdfast-storage/holdfast/volume"
)

// Secret is bytes that must not be seen: no verb of package fmt prints them. As JSON, in the log and
// in snapshots, they are what they are.
type Secret []byte

// Format prints that there is a secret, whatever the verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[secret]") }

// Authority is the cluster's certificate authority. Every coordinator has its key, so that any leader
// can admit nodes and renew their certificates.
type Authority struct {
	Cert     []byte        `json:"cert"` // DER
	Key      Secret        `json:"key"`  // PKCS #8
	Lifetime time.Duration `json:"lifetime"`
}

// JoinToken admits one node to the cluster. What the state has of it admits nobody: the secret is
// only known by its hash.
type JoinToken struct {
	ID      string    `json:"id"`
	Hash    string    `json:"hash"` // of the secret
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires"`
	// Who used it, zero before. The certificate is kept for a node that asks again because the answer
	// was lost.
	Used time.Time     `json:"used,omitzero"`
	Node volume.NodeID `json:"node,omitzero"`
	Name string        `json:"name,omitempty"`
	Key  string        `json:"key,omitempty"`  // hash of the node's public key
	Cert []byte        `json:"cert,omitempty"` // DER
}

// AccessRole is what the bearer of an API token may do.
type AccessRole string

// The roles, each of which may do what the ones before it may.
const (
	AccessViewer   AccessRole = "viewer"
	AccessOperator AccessRole = "operator"
	AccessAdmin    AccessRole = "admin"
)

// APIToken lets its bearer call the API from afar.
type APIToken struct {
	Name    string     `json:"name"`
	ID      string     `json:"id"`
	Hash    string     `json:"hash"` // of the secret
	Role    AccessRole `json:"role"`
	Created time.Time  `json:"created"`
	Expires time.Time  `json:"expires,omitzero"` // zero = never
}

// TokenByID returns the API token of this id, nil if there is none.
func (s *State) TokenByID(id string) *APIToken {
	for _, t := range s.Tokens { // ids are unique, so the order of the map does not matter
		if t.ID == id {
			return t
		}
	}
	return nil
}

// SortedTokens returns all API tokens by name. The slice is the caller's, the tokens are not.
func (s *State) SortedTokens() []*APIToken {
	return slices.SortedFunc(maps.Values(s.Tokens), func(a, b *APIToken) int { return cmp.Compare(a.Name, b.Name) })
}

// SortedJoins returns all join tokens, the oldest first. The slice is the caller's, the tokens are not.
func (s *State) SortedJoins() []*JoinToken {
	return slices.SortedFunc(maps.Values(s.Joins), func(a, b *JoinToken) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
	})
}

// SetAuthority makes the certificate authority of a new cluster known to all coordinators. Repeated
// with the same one it changes nothing; another one is refused.
type SetAuthority struct {
	Cert     []byte        `json:"cert"` // DER
	Key      Secret        `json:"key"`  // PKCS #8
	Lifetime time.Duration `json:"lifetime"`
}

// CreateJoin makes a join token. Now, as in the other commands of tokens, is the clock of the leader
// that proposes: it decides on whether tokens have expired, and on nothing else.
type CreateJoin struct {
	ID      string    `json:"id"`
	Hash    string    `json:"hash"`
	Now     time.Time `json:"now"`
	Expires time.Time `json:"expires"`
}

// UseJoin admits a node with a join token. The leader has made sure that whoever asks knows the secret
// and has the private key of the node.
type UseJoin struct {
	ID   string        `json:"id"`
	Node volume.NodeID `json:"node"`
	Name string        `json:"name"`
	Key  string        `json:"key"`  // hash of the node's public key
	Cert []byte        `json:"cert"` // DER, that the leader has signed
	// Proven is the leader's word that the node showed an earlier certificate of its own, for the same
	// key: without it nobody gets a certificate for a node that exists.
	Proven bool `json:"proven,omitempty"`
	// Replace admits a node under a name that another has: it waits to replace that one.
	Replace bool      `json:"replace,omitempty"`
	Now     time.Time `json:"now"`
}

// RevokeJoin forgets a join token that nobody has used.
type RevokeJoin struct {
	ID string `json:"id"`
}

// CreateToken makes an API token.
type CreateToken struct {
	Name    string     `json:"name"`
	ID      string     `json:"id"`
	Hash    string     `json:"hash"`
	Role    AccessRole `json:"role"`
	Now     time.Time  `json:"now"`
	Expires time.Time  `json:"expires,omitzero"`
}

// RevokeToken forgets an API token.
type RevokeToken struct {
	Name string `json:"name"`
}

// awaited reports whether a join token gave a certificate to a node that has not registered since.
func (s *State) awaited(j *JoinToken) bool {
	if j.Used.IsZero() || s.Nodes[j.Node] != nil {
		return false
	}
	_, removed := s.Removed[j.Node]
	return !removed
}

// Unregistered returns for each node that got a certificate and has not registered since the join token that gave it
// the last one, in the order of their use. The slice is the caller's, the tokens are not.
func (s *State) Unregistered() []*JoinToken {
	last := map[volume.NodeID]*JoinToken{}
	for _, j := range s.Joins { // the last use of each, so the order of the map does not matter
		if old := last[j.Node]; s.awaited(j) && (old == nil || compareUses(old, j) < 0) {
			last[j.Node] = j
		}
	}
	return slices.SortedFunc(maps.Values(last), compareUses)
}

func compareUses(a, b *JoinToken) int {
	return cmp.Or(a.Used.Compare(b.Used), cmp.Compare(a.ID, b.ID))
}

// Admitted returns the join token that gave a certificate to a node that has not registered since, by the
// node's name or id; nil if there is none. Of several of a name it is the one that was used last.
func (s *State) Admitted(node string) *JoinToken {
	var found *JoinToken
	for _, j := range s.Unregistered() {
		if j.Name == node || j.Node.String() == node {
			found = j
		}
	}
	return found
}
