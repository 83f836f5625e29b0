package node

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"os"
	"reflect"
	"slices"
	"time"

	"github.com/holdfast-storage/holdfast/node/pause"
	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// membership is what makes a node part of the cluster: it registers, sends heartbeats and brings
// assignments to the roles.
type membership struct {
	*Daemon
	registered raft.Node // what the cluster was told last; zero before
	refused    time.Time // when the cluster refused to take the node
	told       time.Time // when it was registered last
	certTold   string    // what was logged of the certificate's file last; beat alone uses it
}

// retryPause is the pause after a call that failed, refusedPause the one after a refusal.
const (
	retryPause   = 500 * time.Millisecond
	refusedPause = 10 * time.Second
	// repeatEvery is how often a node says again where it stands: a cluster of an older version did not
	// note it.
	repeatEvery = 15 * time.Minute
)

// beat sends a heartbeat to every coordinator at every interval. From the answers the node learns of a restore
// of the cluster, also when it is led by coordinators of before. It returns an error when its own coordinator
// is one of those.
func (m *membership) beat(ctx context.Context) error {
	ticker := time.NewTicker(m.config.Timing.Heartbeat)
	defer ticker.Stop()
	beat := peer.Heartbeat{Node: m.config.ID, Start: randomStart(), PID: os.Getpid(),
		Knows: raft.VersionLatest}
	var clock clockWatch
	for heard := true; ; {
		clock.tick(time.Now())
		beat.Seq++
		if m.storage != nil {
			beat.Stores, beat.Told = m.storage.Status(), m.storage.Told()
		}
		if m.host != nil {
			beat.Looking = m.host.Looking()
			beat.Engines, beat.Domains = m.host.Status()
		}
		beat.Images = m.images.Status()
		beat.Health = m.health(&clock)
		replies, err := m.client.Heartbeat(ctx, beat)
		clock.heard(replies)
		for _, r := range replies {
			if _, err := m.heed(r.Lineage); err != nil {
				return err
			}
		}
		if now := err == nil; now != heard && ctx.Err() == nil {
			heard = now
			m.log.Info("heartbeats", "answered", heard, "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// randomStart tells this start of the daemon from every other.
func randomStart() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // crypto/rand.Read never returns an error
	return binary.BigEndian.Uint64(b[:]) | 1
}

// follow keeps the node registered and brings every new assignment to the roles. A node that the
// cluster refuses has one, too: what it still runs may have to end.
func (m *membership) follow(ctx context.Context) error {
	for after := uint64(0); ctx.Err() == nil; {
		self := m.describe()
		again := self.Location != (raft.Location{}) && time.Since(m.told) >= repeatEvery
		if (again || !reflect.DeepEqual(self, m.registered)) && time.Since(m.refused) >= refusedPause &&
			!m.register(ctx, self) {
			pause.For(ctx, retryPause)
			continue
		}
		a, err := m.client.Assignment(ctx, m.config.ID, after)
		if err != nil {
			m.log.Debug("no assignment", "error", err)
			pause.For(ctx, retryPause)
			continue
		}
		if ok, err := m.heed(a.Lineage); err != nil {
			return err
		} else if !ok {
			m.log.Warn("an assignment of coordinators from before a restore is not followed",
				"incarnation", a.Incarnation.String(), "generation", a.Generation)
			pause.For(ctx, refusedPause)
			continue
		}
		after = a.Revision
		m.adopt(a)
		if !a.Registered {
			m.registered, after = raft.Node{}, 0
			pause.For(ctx, retryPause)
		}
	}
	return nil
}

// describe returns the node as the cluster is to know it.
func (m *membership) describe() raft.Node {
	c := m.config
	n := raft.Node{ID: c.ID, Name: c.Name, Roles: c.Roles, API: c.Listen.API, Location: c.Location}
	if c.Has(raft.RoleCoordinator) {
		n.Raft = c.Listen.Raft
	}
	if c.Has(raft.RoleStorage) {
		n.Portal, n.Stores, n.ChapKey, n.KeyGen = c.Listen.ISCSI, m.storage.Stores(), m.key.Key, m.key.Gen
	}
	return n
}

// register tells the cluster of the node. It returns false when no answer came.
func (m *membership) register(ctx context.Context, self raft.Node) bool {
	result, err := m.client.Register(ctx, raft.RegisterNode{Node: self})
	if err != nil {
		m.log.Debug("not registered yet", "error", err)
		return false
	}
	if result.Err != nil {
		m.log.Warn("the cluster does not take this node", "error", result.Err)
		m.refused = time.Now()
		return true
	}
	m.log.Info("node registered")
	m.registered, m.told = self, time.Now()
	return true
}

// outsiders are nodes that have a certificate of the cluster and are no part of it.
type outsiders struct {
	departed     []volume.NodeID // they left it
	unregistered []volume.NodeID // they have not registered yet
}

// adopt brings an assignment to the roles.
func (m *membership) adopt(a peer.Assignment) {
	m.outsiders.Store(&outsiders{departed: a.Removed, unregistered: a.Unregistered})
	if m.storage != nil {
		m.storage.Assign(a)
	}
	m.images.Assign(a)
	if m.host != nil {
		m.host.Assign(a)
	}
	peers := mergePeers(a.Peers, m.config.Peers())
	if slices.Equal(peers, m.knownPeers()) {
		return
	}
	m.mu.Lock()
	m.peers = peers
	m.mu.Unlock()
	m.client.SetPeers(peers)
	if err := m.data.savePeers(a.Peers); err != nil {
		m.log.Warn("the list of coordinators is not kept", "error", err)
	}
}

// mergePeers returns the newer list with what only the older one has. The older one stays of use: in
// a young cluster the newer one lacks coordinators that have not registered yet, the leader perhaps
// among them.
func mergePeers(newer, older []peer.Peer) []peer.Peer {
	all := slices.Clone(newer)
	for _, p := range older {
		if !slices.ContainsFunc(all, func(q peer.Peer) bool { return p.ID == q.ID || p.API == q.API }) {
			all = append(all, p)
		}
	}
	return all
}
