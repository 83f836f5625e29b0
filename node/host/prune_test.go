package host

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/volume"
)

// What is remembered of a volume that was deleted is forgotten; of every other it is kept, and of one that is granted
// here it is not even asked.
func TestPrune_forgetsVolumesThatAreGone(t *testing.T) {
	m := newMachine(t)
	l, err := openLedger(spentFile(m.data))
	require.NoError(t, err)
	deleted, elsewhere := volume.NewID(), volume.NewID()
	kept := volume.NewAttachID()
	require.NoError(t, l.record(deleted, volume.NewAttachID()))
	require.NoError(t, l.record(elsewhere, kept))
	m.boot()
	ticket := m.attach("root")
	m.serving(1)
	m.control.mu.Lock()
	m.control.gone = map[volume.ID]bool{deleted: true, ticket.Volume: true} // a coordinator that is out of its mind
	m.control.mu.Unlock()
	for range 2 {
		require.NoError(t, m.host.prune(t.Context()))
		require.Equal(t, map[volume.ID]volume.AttachID{elsewhere: kept, ticket.Volume: ticket.AttachID},
			m.host.ledger.snapshot())
	}
	m.stopHost()
	after, err := openLedger(spentFile(m.data))
	require.NoError(t, err)
	require.Equal(t, m.host.ledger.snapshot(), after.snapshot())
}

// An entry that was made since the question was asked is not what was asked about.
func TestLedger_forgetsOnlyWhatItWasAskedAbout(t *testing.T) {
	l, err := openLedger(filepath.Join(t.TempDir(), "attachments.json"))
	require.NoError(t, err)
	v, a, b := volume.NewID(), volume.NewAttachID(), volume.NewAttachID()
	require.NoError(t, l.record(v, b))
	require.NoError(t, l.forget(map[volume.ID]volume.AttachID{v: a}))
	require.Equal(t, map[volume.ID]volume.AttachID{v: b}, l.snapshot())
	require.NoError(t, l.forget(map[volume.ID]volume.AttachID{v: b}))
	require.Empty(t, l.snapshot())
}

// Before the first assignment nothing is known, and while anything here has to do with a volume it is in use.
func TestCore_idleVolumes(t *testing.T) {
	id, a := volumeID("root"), attachID("a1")
	c := newCore("/run", map[volume.ID]volume.AttachID{id: a})
	require.Empty(t, c.idleVolumes(), "nobody said anything yet")
	c.assign(peer.Assignment{Revision: 1, Registered: true})
	want := map[volume.ID]volume.AttachID{id: a}
	require.Equal(t, want, c.idleVolumes())
	c.assign(peer.Assignment{Revision: 2, Registered: true,
		Attach: []peer.Ticket{{Volume: id, Name: "root", AttachID: a}}})
	require.Empty(t, c.idleVolumes(), "it is granted")
	c.volumesGone(want)
	require.NotNil(t, c.volumes[id])
	c.assign(peer.Assignment{Revision: 3, Registered: true})
	c.engineSeen("root", peer.EngineStatus{Volume: id, AttachID: a, State: peer.EngineServing}, 0)
	require.Empty(t, c.idleVolumes(), "its engine runs")
	c.engineGone(id, a, time.Second)
	require.Equal(t, want, c.idleVolumes())
	c.volumesGone(map[volume.ID]volume.AttachID{id: attachID("a2")})
	require.NotNil(t, c.volumes[id], "another one was asked about")
	c.volumesGone(want)
	require.Nil(t, c.volumes[id])
}
