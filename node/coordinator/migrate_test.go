package coordinator

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// TestBuildAssignment_migration: before the switch the old host is told to send and the new one to take in, and the
// volume and its secrets are the old one's; after it the new one runs what it took in, once it holds the volume.
func TestBuildAssignment_migration(t *testing.T) {
	s, v := heldState()
	to := &raft.Node{ID: volume.NewNodeID(), Name: "h9", API: "h9:1", Roles: []raft.Role{raft.RoleHost}}
	s.Nodes[to.ID] = to
	from := v.Attach.Host
	m := raft.Migration{Operation: 7, From: from, To: to.ID, Run: 4}
	salt := volume.NewClusterID()
	place := func(host volume.NodeID, run uint64, switched bool) {
		moves := m
		moves.Switched = switched
		s.Domains["web"] = &raft.Domain{Name: "web", Running: true, Host: host, Run: run, Migration: &moves, Salt: salt,
			Spec: raft.DomainSpec{Name: "web", Volumes: []raft.DomainVolume{{Name: v.Name}}}}
	}
	receive := []peer.ReceiveOrder{{Operation: 7, From: from, Name: "web", Run: 4,
		Spec: raft.DomainSpec{Name: "web", Volumes: []raft.DomainVolume{{Name: v.Name}}}, Volumes: []volume.ID{v.ID},
		SizeBytes: []int64{v.SizeBytes}, Salt: salt.String(), Legs: receiveLegs(s, v)}}
	require.Len(t, receive[0].Legs, len(v.InSync))
	for _, l := range receive[0].Legs {
		require.Contains(t, v.InSync, l.Leg)
		require.Equal(t, s.Nodes[v.Leg(l.Leg).Node].Portal, l.Portal)
	}

	place(from, 3, false)
	a := BuildAssignment(s, from, raft.TRead)
	require.Len(t, a.Domains, 1)
	require.Equal(t, &peer.MigrateOrder{Operation: 7, To: peer.Peer{ID: to.ID, API: "h9:1"}}, a.Domains[0].Migrate)
	require.Zero(t, a.Domains[0].TakenIn)
	require.Empty(t, a.Receive)
	a = BuildAssignment(s, to.ID, raft.TRead)
	require.Empty(t, a.Domains)
	require.Empty(t, a.Attach)
	require.Equal(t, receive, a.Receive)

	place(to.ID, 4, true)
	a = BuildAssignment(s, from, raft.TRead)
	require.Empty(t, a.Domains)
	require.Len(t, a.Attach, 1, "to detach it")
	a = BuildAssignment(s, to.ID, raft.TRead)
	require.Empty(t, a.Domains, "it does not hold the volume yet")
	require.Equal(t, receive, a.Receive, "what it took in it keeps")

	v.Attach.Host = to.ID
	a = BuildAssignment(s, to.ID, raft.TRead)
	require.Len(t, a.Domains, 1)
	require.Equal(t, uint64(7), a.Domains[0].TakenIn)
	require.Nil(t, a.Domains[0].Migrate)
	require.Equal(t, salt.String(), a.Domains[0].Salt)

	place(to.ID, 5, true) // it was started anew since
	a = BuildAssignment(s, to.ID, raft.TRead)
	require.Zero(t, a.Domains[0].TakenIn)
	require.Empty(t, a.Receive)
}

func TestConcern_bothHostsOfAMigrationAreTold(t *testing.T) {
	w := newLarge(t)
	before, _ := w.raft.State()
	after := before.Fork()
	from, to := w.nodes[5].ID, w.nodes[6].ID
	after.Domains["web"] = &raft.Domain{Name: "web", Host: from, Migration: &raft.Migration{From: from, To: to}}
	for _, forms := range [][2]*raft.State{{before, after}, {after, before}} {
		told := map[volume.UUID]bool{}
		concern(forms[0], forms[1], func(object volume.UUID) { told[object] = true },
			func() { t.Fatal("all are told") })
		require.True(t, told[from.UUID])
		require.True(t, told[to.UUID])
	}
}

// TestConcern_theLegsOfAGuestThatMoves: who takes it in is told which legs it needs now.
func TestConcern_theLegsOfAGuestThatMoves(t *testing.T) {
	s, v := heldState()
	to := volume.NewNodeID()
	v.Attach.Domain = "web"
	s.Domains["web"] = &raft.Domain{Name: "web", Running: true, Host: v.Attach.Host,
		Migration: &raft.Migration{Operation: 7, From: v.Attach.Host, To: to}}
	after := s.Fork()
	fewer := *v
	fewer.InSync = fewer.InSync[:len(fewer.InSync)-1]
	after.Volumes[v.ID] = &fewer
	told := map[volume.UUID]bool{}
	concern(s, after, func(object volume.UUID) { told[object] = true }, func() { t.Fatal("all are told") })
	require.True(t, told[to.UUID])
}

// TestAbortMigration_isDecidedByWhoLeads: a coordinator that does not may not know of the migration, and says nothing.
func TestAbortMigration_isDecidedByWhoLeads(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.create("v1")
		w.domain("web", "h1", "h2")
		_, err := w.api.AbortMigration(t.Context(), "web")
		refusedWith(t, err, api.CodeInvalid, "is not migrated")
		w.raft.lead(false, volume.NewNodeID())
		_, err = w.api.AbortMigration(t.Context(), "web")
		refusedWith(t, err, api.CodeNoLeader, "does not lead")
	})
}
