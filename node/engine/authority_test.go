package engine

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/mirror"
	"github.com/holdfast-storage/holdfast/node/identity"
	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// TestAuthority_refusalsTellWhatStands asks a real coordinator's state through the real client: a
// refused removal or addition brings the configuration that the engine missed.
func TestAuthority_refusalsTellWhatStands(t *testing.T) {
	c := newCluster(t, 2)
	c.createVolume("web", 2)
	ticket := c.grant("web")
	id, err := identity.Load(c.files)
	require.NoError(t, err)
	client := peer.NewClient(peer.ClientOptions{Peers: []peer.Peer{c.peer}, TLS: id.ClientTLS()})
	defer client.Close()
	a := &authority{coordinators: client, volume: ticket.Volume}
	legA, legB := ticket.Legs[0], ticket.Legs[1]
	for i, l := range []peer.TicketLeg{legA, legB} {
		label := volume.Label{VolumeID: ticket.Volume, LegID: l.ID, StoreID: l.Store, Incarnation: ticket.Incarnation,
			DataGen: c.volume("web").DataGen, FenceEpoch: ticket.Epoch, AttachID: ticket.AttachID}
		report := volume.LegReport{Label: label, Instance: uint64(i)}
		fenced, err := a.RecordFence(t.Context(), ticket.Epoch, report, false)
		require.NoError(t, err)
		require.Zero(t, fenced)
	}
	activation, err := a.Activate(t.Context(), ticket.Epoch)
	require.NoError(t, err)
	first := activation.Config.CfgVer

	without, err := a.RemoveLeg(t.Context(), ticket.Epoch, legB.ID, first, "away", false, nil)
	require.NoError(t, err)
	got, err := a.RemoveLeg(t.Context(), ticket.Epoch, legA.ID, first, "the last one", false, nil)
	require.ErrorIs(t, err, mirror.ErrLast)
	require.Equal(t, without, got)
	got, err = a.AddLeg(t.Context(), ticket.Epoch, first, legB.ID, legB.Store, 1)
	require.ErrorIs(t, err, mirror.ErrRetry)
	require.Equal(t, without, got)

	with, err := a.AddLeg(t.Context(), ticket.Epoch, without.CfgVer, legB.ID, legB.Store, 1)
	require.NoError(t, err)
	got, err = a.RemoveLeg(t.Context(), ticket.Epoch, legB.ID, without.CfgVer,
		"a duplicate from before it joined", false, nil)
	require.ErrorIs(t, err, mirror.ErrStaleRequest)
	require.Equal(t, with, got)

	// A leg that raft dropped, or that it does not use any more, will never be added: that is an answer.
	got, err = a.AddLeg(t.Context(), ticket.Epoch, with.CfgVer, volume.NewLegID(), legB.Store, 1)
	require.ErrorIs(t, err, mirror.ErrRetry)
	require.Equal(t, with, got)
	c.apply(raft.Command{LegLost: &raft.LegLost{Volume: ticket.Volume, Leg: legB.ID, Reason: "its disk is empty"}})
	without, err = a.RemoveLeg(t.Context(), ticket.Epoch, legB.ID, with.CfgVer, "lost", false, nil)
	require.NoError(t, err)
	got, err = a.AddLeg(t.Context(), ticket.Epoch, without.CfgVer, legB.ID, legB.Store, 1)
	require.ErrorIs(t, err, mirror.ErrRetry)
	require.Equal(t, without, got)

	// What is kept of a copy is that of a leg which never was in sync.
	_, err = a.ConfirmCopy(t.Context(), ticket.Epoch, without.CfgVer, legB.ID, legB.Store, 1,
		mirror.Copied{Upto: 4096, Since: 1}, nil)
	require.ErrorIs(t, err, mirror.ErrWait)

	c.grant("web")
	got, err = a.AddLeg(t.Context(), ticket.Epoch, without.CfgVer, legB.ID, legB.Store, 1)
	require.ErrorIs(t, err, mirror.ErrSuperseded)
	require.NotErrorIs(t, err, mirror.ErrRetry)
	require.Zero(t, got, "what a newer epoch does is none of its business")
}
