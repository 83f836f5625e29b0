package coordinator

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// TestBuildAssignment_whoGetsWhat: secrets go to the host that holds the grant, and to nobody else.
func TestBuildAssignment_whoGetsWhat(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.create("v1")
		state, _ := w.raft.State()
		before := BuildAssignment(state, w.id("h1"), raft.TRead)
		require.Empty(t, before.Attach, "no secret before the grant")

		w.domain("web", "h1", "h2")
		_, err := w.api.StartDomain(t.Context(), "web", api.Wait{})
		require.NoError(t, err)
		state, _ = w.raft.State()
		v := state.VolumeByName("v1")
		holder := BuildAssignment(state, w.id("h1"), raft.TRead)
		require.Len(t, holder.Attach, 1)
		require.Len(t, holder.Domains, 1)
		require.Equal(t, []volume.ID{v.ID}, holder.Domains[0].Volumes)
		require.Equal(t, []volume.Epoch{v.Epoch}, holder.Domains[0].Epochs)
		require.Equal(t, []peer.Peer{{ID: w.id("n1"), API: "n1:1"}}, holder.Peers)
		for _, l := range holder.Attach[0].Legs {
			owner := state.Nodes[v.Leg(l.ID).Node]
			require.Equal(t, volume.ChapSecret(owner.ChapKey, state.Cluster.Incarnation, l.ID, v.Epoch,
				v.Attach.ID), l.Secret)
			require.Equal(t, owner.Portal, l.Portal)
			require.False(t, l.Join)
			for _, other := range []string{"n1", "n2", "n3", "h2"} {
				text, err := json.Marshal(BuildAssignment(state, w.id(other), raft.TRead))
				require.NoError(t, err)
				require.NotContains(t, string(text), l.Secret, other)
			}
		}
		for _, name := range []string{"n1", "n2"} {
			a := BuildAssignment(state, w.id(name), raft.TRead)
			require.Len(t, a.Legs, 1)
			require.Equal(t, peer.LegKeep, a.Legs[0].Action)
			require.Equal(t, v.Epoch, a.Legs[0].FloorEpoch)
		}
		require.False(t, BuildAssignment(state, volume.NewNodeID(), raft.TRead).Registered)
	})
}

// heldState makes the smallest state in which a volume is held.
func heldState() (*raft.State, *raft.Volume) {
	n1 := &raft.Node{ID: volume.NewNodeID(), Name: "n1", Portal: "n1:3", Roles: []raft.Role{raft.RoleStorage}}
	n2 := &raft.Node{ID: volume.NewNodeID(), Name: "n2", Portal: "n2:3", Roles: []raft.Role{raft.RoleStorage}}
	h1 := &raft.Node{ID: volume.NewNodeID(), Name: "h1", Roles: []raft.Role{raft.RoleHost}}
	v := &raft.Volume{ID: volume.NewID(), Name: "v1", Layout: volume.Mirror(2), Phase: volume.PhaseAttached,
		Epoch: 3, CfgVer: 7,
		Attach: &raft.Attach{ID: volume.NewAttachID(), Host: h1.ID}}
	old := &raft.Leg{ID: volume.NewLegID(), Node: n1.ID, State: volume.LegInSync, Provisioned: true,
		Retiring: true}
	stale := &raft.Leg{ID: volume.NewLegID(), Node: n2.ID, Slot: 1, State: volume.LegStale, Provisioned: true,
		LastISRCfg: 5}
	fresh := &raft.Leg{ID: volume.NewLegID(), Node: n2.ID, State: volume.LegRebuilding, Replaces: old.ID}
	v.Legs, v.InSync = []*raft.Leg{stale, old, fresh}, []volume.LegID{old.ID}
	s := raft.NewState()
	s.Nodes[n1.ID], s.Nodes[n2.ID], s.Nodes[h1.ID] = n1, n2, h1
	s.Volumes[v.ID] = v
	return s, v
}

// TestBuildTicket_legs is the table of what an engine is to do with each leg.
func TestBuildTicket_legs(t *testing.T) {
	s, v := heldState()
	ticket := BuildTicket(s, v, raft.TRead)
	require.Len(t, ticket.Legs, 2, "a leg that is not provisioned cannot be reached")
	require.True(t, ticket.Legs[0].Retiring)
	require.False(t, ticket.Legs[0].Join)
	require.True(t, ticket.Legs[1].Join)
	require.Equal(t, volume.CfgVer(5), ticket.Legs[1].Since)

	fresh := v.Legs[2]
	fresh.Provisioned = true
	ticket = BuildTicket(s, v, raft.TRead)
	require.Len(t, ticket.Legs, 3)
	i := 1 // by slot: the fresh one stands beside the one that it replaces
	require.Equal(t, fresh.ID, ticket.Legs[i].ID)
	require.True(t, ticket.Legs[i].Join)
	require.Equal(t, v.Legs[1].ID, ticket.Legs[i].Replaces)

	for _, state := range []volume.LegState{volume.LegLost, volume.LegQuarantined} {
		fresh.State = state
		require.False(t, BuildTicket(s, v, raft.TRead).Legs[i].Join, state)
	}
	v.Attach.Detaching = true
	require.True(t, BuildTicket(s, v, raft.TRead).Detach)
}

// TestBuildAssignment_domainNeedsAllItsVolumes: an order names only what its host holds.
func TestBuildAssignment_domainNeedsAllItsVolumes(t *testing.T) {
	s, v := heldState()
	host := v.Attach.Host
	d := &raft.Domain{Name: "web", Running: true, Host: host, Run: 2,
		Spec: raft.DomainSpec{Name: "web", Volumes: []raft.DomainVolume{{Name: "v1"}}}}
	s.Domains["web"] = d
	require.Len(t, BuildAssignment(s, host, raft.TRead).Domains, 1)
	v.Attach.Maintenance = true
	require.Empty(t, BuildAssignment(s, host, raft.TRead).Domains)
	v.Attach = nil
	require.Empty(t, BuildAssignment(s, host, raft.TRead).Domains)
}

// TestBuildAssignment_pendingNodesGetNothing: they take part once they replace a node.
func TestBuildAssignment_pendingNodesGetNothing(t *testing.T) {
	s, v := heldState()
	n := s.Nodes[v.Legs[0].Node]
	require.NotEmpty(t, BuildAssignment(s, n.ID, raft.TRead).Legs)
	n.Pending = true
	a := BuildAssignment(s, n.ID, raft.TRead)
	require.True(t, a.Registered)
	require.Empty(t, a.Legs)
}

// TestBuildAssignment_removedNodesAreToEndEverything: what is not known is to wait, what was removed
// is to stop what an isolated host may still run.
func TestBuildAssignment_removedNodesAreToEndEverything(t *testing.T) {
	s, _ := heldState()
	stranger, removed := volume.NewNodeID(), volume.NewNodeID()
	s.Removed[removed] = time.Unix(1, 0)
	require.False(t, BuildAssignment(s, stranger, raft.TRead).Registered)
	a := BuildAssignment(s, removed, raft.TRead)
	require.True(t, a.Registered)
	require.Empty(t, a.Attach)
	require.Empty(t, a.Domains)
	require.Empty(t, a.Legs)
}

// TestBuildAssignment_saysWhoLeft: to every node, the latest first, and not without bound.
func TestBuildAssignment_saysWhoLeft(t *testing.T) {
	s, v := heldState()
	require.Empty(t, BuildAssignment(s, v.Legs[0].Node, raft.TRead).Removed)
	var last volume.NodeID
	for i := range peer.RemovedMax + 1 {
		last = volume.NewNodeID()
		s.Removed[last] = time.Unix(int64(i), 0)
	}
	for _, id := range []volume.NodeID{v.Legs[0].Node, volume.NewNodeID()} {
		removed := BuildAssignment(s, id, raft.TRead).Removed
		require.Len(t, removed, peer.RemovedMax)
		require.Equal(t, last, removed[0])
	}
}

// TestBuildAssignment_deletions: a tombstone says what may be deleted, also when its volume is gone.
func TestBuildAssignment_deletions(t *testing.T) {
	s, v := heldState()
	n := v.Legs[0].Node
	gone, store := volume.NewLegID(), volume.NewStoreID()
	s.Tombs[gone] = raft.Tombstone{Node: n, Store: store, Volume: "old"}
	orders := BuildAssignment(s, n, raft.TRead).Legs
	last := orders[len(orders)-1]
	require.Equal(t, gone, last.Leg)
	require.Equal(t, peer.LegDelete, last.Action)
	require.Equal(t, store, last.Store, "without it the node does not know where to look")
	text, err := json.Marshal(last)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &peer.LegOrder{}), "it crosses the wire")
}
