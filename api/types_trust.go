package api

import "time"

// JoinToken is a one-time token as the cluster knows it: without its secret.
type JoinToken struct {
	ID      string     `json:"id"`
	State   TokenState `json:"state" enum:"valid,expired,used"`
	Created time.Time  `json:"created_at"`
	Expires time.Time  `json:"expires_at"`
	Node    string     `json:"node,omitempty" doc:"name of the node that used it"`
	NodeID  string     `json:"node_id,omitempty"`
	Used    *time.Time `json:"used_at,omitempty"`
	// Unregistered: the node has a certificate by it, and nothing else yet. `node remove` puts it out.
	Unregistered bool `json:"unregistered,omitempty" doc:"its node got a certificate and has not registered since"`
}

// TokenState says whether a token is still good.
type TokenState string

// The states of a token.
const (
	TokenValid   TokenState = "valid"
	TokenExpired TokenState = "expired"
	TokenUsed    TokenState = "used"
)

// CreateJoinToken asks for a join token. The caller makes the secret and tells its hash only.
type CreateJoinToken struct {
	ID         string `json:"id" minLength:"1" maxLength:"64"`
	Hash       string `json:"hash" minLength:"64" maxLength:"64" doc:"SHA-256 of id and secret, in hexadecimal"`
	Role       string `json:"role" enum:"node" doc:"what it admits"`
	TTLSeconds int64  `json:"ttl_seconds" minimum:"1" maximum:"2592000"`
}

// JoinGrant is what a machine has to know, besides the secret, to join.
type JoinGrant struct {
	Cluster     string    `json:"cluster" doc:"id of the cluster"`
	ClusterName string    `json:"cluster_name"`
	CA          []byte    `json:"ca" doc:"SHA-256 of the CA's certificate, base64"`
	Expires     time.Time `json:"expires_at"`
}

// Join asks to admit a node. Whoever sends it has made sure that the answer comes from the right cluster.
type Join struct {
	Token   string `json:"token" maxLength:"1024" doc:"the join token itself"`
	Name    string `json:"name" maxLength:"63"`
	CSR     []byte `json:"csr" maxLength:"16384" doc:"PKCS #10, DER, base64: its id and addresses"`
	Earlier []byte `json:"earlier,omitempty" maxLength:"16384" doc:"its last certificate, DER, base64"`
	// Replace admits a node under a name that another has.
	Replace bool `json:"replace,omitempty"`
}

// Joined is what a node that was admitted gets.
type Joined struct {
	Cluster      string        `json:"cluster" doc:"id of the cluster"`
	ClusterName  string        `json:"cluster_name"`
	Incarnation  string        `json:"incarnation"`
	Cert         []byte        `json:"cert" doc:"the node's certificate, DER, base64"`
	CA           []byte        `json:"ca" doc:"the CA's certificate, DER, base64"`
	Coordinators []Coordinator `json:"coordinators"`
}

// Coordinator is one of those that decide.
type Coordinator struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	API  string `json:"api"`
	Raft string `json:"raft"`
}

// Token is an API token as the cluster knows it: without its secret.
type Token struct {
	Name    string     `json:"name"`
	ID      string     `json:"id"`
	Role    Role       `json:"role" enum:"viewer,operator,admin"`
	State   TokenState `json:"state" enum:"valid,expired"`
	Created time.Time  `json:"created_at"`
	Expires *time.Time `json:"expires_at" doc:"null if never"`
}

// CreateToken asks for an API token. The caller makes the secret and tells its hash only.
type CreateToken struct {
	Name       string `json:"name" maxLength:"63"`
	ID         string `json:"id" minLength:"1" maxLength:"64"`
	Hash       string `json:"hash" minLength:"64" maxLength:"64" doc:"SHA-256 of id and secret, in hexadecimal"`
	Role       Role   `json:"role" enum:"viewer,operator,admin"`
	TTLSeconds int64  `json:"ttl_seconds,omitempty" minimum:"0" doc:"0 is for ever"`
}
