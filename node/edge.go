package node

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/node/identity"
	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/volume"
)

// fromSocket marks the calls of the unix socket, which only root can open.
func fromSocket(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(api.WithCaller(r.Context(), api.Caller{Kind: api.CallerRoot})))
	})
}

// edge is what stands before everything that a node serves over the network. It finds out who calls, and
// lets nobody in who shows nothing: the one exception is a machine that wants to join. What a caller may
// do is decided by who answers, which is the leading coordinator in the end.
type edge struct {
	cluster   volume.ClusterID
	now       func() time.Time
	removed   func(api.Caller) *api.Error // why a node is no part of the cluster any more; nil result if it is
	untold    func(api.Caller) *api.Error // why one may not see what the node itself shows; nil result if it may
	strangers *strangers
	next      http.Handler
}

// ServeHTTP passes on or refuses one call.
func (e *edge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	caller, refusal := e.caller(w, r)
	if refusal == nil {
		refusal = e.admit(caller, r)
	}
	if refusal == nil && stranger(r) {
		var leave func()
		if r, leave, refusal = e.strangers.receive(w, r); refusal == nil {
			defer leave()
		}
	}
	if refusal != nil {
		w.Header().Set("Connection", "close") // whoever was refused may have something better to show
		api.Refuse(w, refusal)
		return
	}
	ctx := api.WithCaller(r.Context(), caller)
	if self, known := e.shown(r); known && ownView(r.URL.Path) { // nobody behind this looks at who calls
		held, release := api.WhileAllowed(ctx, func() *api.Error { return e.outsider(self, r.URL.Path) })
		defer release()
		ctx = held
	}
	e.next.ServeHTTP(w, r.WithContext(ctx))
}

// shown returns the node whose certificate a call came with, if it came with one.
func (e *edge) shown(r *http.Request) (api.Caller, bool) {
	if stranger(r) {
		return api.Caller{}, false
	}
	node, err := identity.PeerNode(*r.TLS, e.cluster)
	return api.Caller{Kind: api.CallerNode, Node: node}, err == nil
}

// outsider returns why a node may not make a call: it is no part of the cluster, or the node does not know that yet.
func (e *edge) outsider(self api.Caller, path string) *api.Error {
	if refusal := e.removed(self); refusal != nil && !tellsThatItIsOver(path) {
		return refusal
	}
	if ownView(path) {
		return e.untold(self)
	}
	return nil
}

// stranger reports whether a call comes without a certificate. What a node passes on for somebody is whole, and
// was bounded there.
func stranger(r *http.Request) bool { return r.TLS == nil || len(r.TLS.PeerCertificates) == 0 }

// caller returns who calls.
func (e *edge) caller(w http.ResponseWriter, r *http.Request) (api.Caller, *api.Error) {
	var state tls.ConnectionState
	if r.TLS != nil {
		state = *r.TLS
	}
	now := e.now()
	cert, err := identity.ClientOf(state, now)
	if err != nil {
		return api.Caller{}, api.Errorf(api.CodeRefused, "", "", "%s", err)
	}
	if cert == nil {
		if token := api.BearerOf(r); token != "" {
			return api.Caller{Kind: api.CallerToken, Token: token}, nil
		}
		return api.Caller{}, nil
	}
	node, err := identity.PeerNode(state, e.cluster)
	if err != nil {
		return api.Caller{}, api.Errorf(api.CodeRefused, "", "", "%s", err)
	}
	if identity.AboutToEnd(cert, now) {
		w.Header().Set("Connection", "close") // the next connection shows the renewed one
	}
	self := api.Caller{Kind: api.CallerNode, Node: node}
	if refusal := e.outsider(self, r.URL.Path); refusal != nil {
		if len(api.CallerFor(r, node).Via) > 0 {
			again := *refusal
			again.Code = api.CodeNoLeader // nothing is known against who asks: another node may pass it on
			return self, &again
		}
		return self, refusal
	}
	return api.CallerFor(r, node), nil
}

// tellsThatItIsOver are the calls by which a node that was removed, and engines that are left there, hear
// that they are to end: it has no orders and no ticket, and raft refuses what it proposes, in words.
func tellsThatItIsOver(path string) bool {
	switch path {
	case peer.PathAssignment, peer.PathTicket, peer.PathRegister, peer.PathCommand:
		return true
	}
	return false
}

// admit returns why a caller gets no further.
func (e *edge) admit(c api.Caller, r *http.Request) *api.Error {
	switch {
	case c.Kind == api.CallerNode || c.Kind == api.CallerRoot:
		return nil
	case betweenNodes(r.URL.Path):
		return api.Errorf(api.CodeRefused, "", "", "%s is for nodes of the cluster only", r.URL.Path)
	case c.Kind == api.CallerToken:
		return nil
	case r.URL.Path == api.PathJoin && r.Method == http.MethodPost:
		return nil
	}
	return api.Unauthorized("who asks is not known")
}

// betweenNodes reports whether a path is only for who has a node's certificate, or is root on a node.
func betweenNodes(path string) bool {
	return strings.HasPrefix(path, "/peer/") || ownView(path)
}

// ownView reports whether a path is answered from what the node knows itself, by no coordinator.
func ownView(path string) bool { return strings.HasPrefix(path, "/target/") || path == "/metrics" }

// removedNode returns why a caller's certificate is not accepted any more. A node that is no coordinator
// knows what its last assignment told it.
func (d *Daemon) removedNode(c api.Caller) *api.Error {
	var state memberships
	if d.coordinator != nil {
		state = d.coordinator
	}
	return departed(c, state, d.outsiders.Load())
}

// memberships is what a coordinator says of nodes by its own log.
type memberships interface {
	Removed(api.Caller) *api.Error
	Unregistered(api.Caller) *api.Error
	Waits() bool // its log is empty: it is not part of a group yet
}

// departed refuses a caller that left the cluster, and what such a node passed on; nil if nothing is known against
// it. A coordinator's own log counts first (state is nil on a node without one). Where that log does not know the
// node at all, the latest assignment may (nil before the first): a coordinator that waits to be added has an empty
// log, and would else trust whoever left, with its raft port and with the credentials of those who call it.
func departed(c api.Caller, state memberships, known *outsiders) *api.Error {
	if state != nil {
		if err := state.Removed(c); err != nil {
			return err
		}
		if state.Unregistered(c) == nil {
			return nil
		}
	}
	if known == nil {
		return nil
	}
	for _, node := range append([]volume.NodeID{c.Node}, c.Via...) {
		if slices.Contains(known.departed, node) {
			return api.Errorf(api.CodeRefused, "", "join the machine as another node, with a new token",
				"node %s left the cluster: its certificate is not accepted any more", node)
		}
	}
	return nil
}

// untold returns why the node shows nothing of itself to another.
func (d *Daemon) untold(c api.Caller) *api.Error {
	if c.Node == d.config.ID {
		return nil
	}
	var state memberships
	if d.coordinator != nil {
		state = d.coordinator
	}
	return unregistered(c, state, d.outsiders.Load())
}

// unregistered refuses a node that got a certificate and has not registered since; nil for the others. A coordinator's
// own log says it. While that is empty the latest assignment does, as on a node without a coordinator: one that waits
// to be added would else show itself to nobody. Without either nobody is known.
func unregistered(c api.Caller, state memberships, known *outsiders) *api.Error {
	var refusal *api.Error
	if state != nil {
		refusal = state.Unregistered(c)
		if refusal == nil || !state.Waits() {
			return refusal
		}
	}
	switch {
	case known != nil && slices.Contains(known.unregistered, c.Node):
		return api.Errorf(api.CodeRefused, "", "start its daemon",
			"node %s is not registered: its certificate lets it register, and do nothing else", c.Node)
	case known != nil:
		return nil
	case refusal != nil:
		return refusal
	}
	return api.Errorf(api.CodeRefused, "", "ask again once it reaches a coordinator, or as root on the node itself",
		"this node has not heard yet from the coordinators who belongs to the cluster")
}

// refuseRemoved makes a listener of coordinators refuse those that left the cluster.
func (d *Daemon) refuseRemoved(c *tls.Config) *tls.Config {
	verify := c.VerifyConnection
	c.VerifyConnection = func(s tls.ConnectionState) error {
		if err := verify(s); err != nil {
			return err
		}
		_, err := d.remainingMember(s)
		return err
	}
	return c
}

// remainingMember returns who is at the other end of a connection, or why that is no node of the cluster any more.
func (d *Daemon) remainingMember(s tls.ConnectionState) (volume.NodeID, error) {
	node, err := identity.PeerNode(s, d.config.Cluster.ID)
	if err != nil {
		return node, err
	}
	if refusal := d.removedNode(api.Caller{Kind: api.CallerNode, Node: node}); refusal != nil {
		return node, errors.New(refusal.Message)
	}
	return node, nil
}

// refusesMember returns why who is at the other end of a connection may not speak raft, or not any more. The
// handshake is over: before that nobody has shown whose the certificate is, and so there is nobody to warn of.
func (d *Daemon) refusesMember(s tls.ConnectionState) error {
	node, err := d.remainingMember(s)
	if err != nil {
		return err
	}
	return d.gate.refuses(node)
}

// admitMember says whether a connection that is new may speak raft. A coordinator that waits to be added takes the
// group of the first that may.
func (d *Daemon) admitMember(s tls.ConnectionState) error {
	if err := d.refusesMember(s); err != nil {
		return err
	}
	return d.group.Admit(s)
}

// memberReviewEvery is how long the connections of a coordinator that was removed, or is none any more, may go on.
const memberReviewEvery = 2 * time.Second

// reviewMembers ends the connections of those that may not speak raft any more, until ctx ends.
func (d *Daemon) reviewMembers(ctx context.Context) error {
	ticker := time.NewTicker(memberReviewEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			d.gate.leaderless() // notes the leader, also while nobody connects
			d.members.review(d.refusesMember)
		}
	}
}
