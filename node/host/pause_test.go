package host

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/domain"
	"github.com/holdfast-storage/holdfast/domain/proc"
	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/volume"
)

func (m *machine) paused(paused bool) {
	m.control.set(func(a *peer.Assignment) { a.Domains[0].Paused = paused })
}

// A guest that is paused stays so under the next daemon, which paused it no more than the first did, and goes on when
// it is resumed.
func TestHost_aPausedGuestStaysSoWhenTheDaemonIsRestarted(t *testing.T) {
	m := newMachine(t)
	m.boot()
	m.order(m.attach("root"), "echo up; while :; do sleep 0.01; done")
	before := m.guest(domain.PhaseRunning, 0)
	m.paused(true)
	held := m.guest(peer.DomainPaused, 0)
	require.Equal(t, before.PID, held.PID)
	id, err := proc.Identify(held.PID)
	require.NoError(t, err)
	require.True(t, id.Stopped() || id.Blocked())
	m.stopHost()
	require.True(t, id.Stopped() || id.Blocked())

	m.boot()
	require.Equal(t, held.PID, m.guest(peer.DomainPaused, 0).PID)
	require.True(t, id.Stopped() || id.Blocked())
	m.paused(false)
	require.Equal(t, held.PID, m.guest(domain.PhaseRunning, 0).PID)
	require.False(t, id.Stopped())
	m.printed("up\n")
}

// A grant that is lost kills a guest that stands still, too. It starts anew once it is resumed, not before.
func TestHost_aPausedGuestDiesWithItsGrant(t *testing.T) {
	m := newMachine(t)
	m.boot()
	m.order(m.attach("root"), "echo up; while :; do sleep 0.01; done")
	m.guest(domain.PhaseRunning, 0)
	m.paused(true)
	held := m.guest(peer.DomainPaused, 0)
	id, err := proc.Identify(held.PID)
	require.NoError(t, err)
	fence := filepath.Join(EngineDir(m.run, "root"), "fence")
	require.NoError(t, os.WriteFile(fence, nil, 0o600))
	require.Eventually(t, func() bool { return !id.Alive() }, patience, 5*time.Millisecond)
	require.NoError(t, os.RemoveAll(fence))
	m.control.set(func(a *peer.Assignment) {
		a.Attach[0].Epoch, a.Attach[0].AttachID = 7, volume.NewAttachID()
		a.Domains[0].Epochs = []volume.Epoch{7}
	})
	m.serving(7)
	require.Zero(t, m.guest(peer.DomainPaused, held.PID).PID)
	m.printed("up\n")
	m.paused(false)
	require.NotZero(t, m.guest(domain.PhaseRunning, 0).PID)
	m.printed("up\nup\n")
}
