package domain

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/domain/proc"
	"github.com/holdfast-storage/holdfast/internal/fakexl"
)

func pauser(t *testing.T, p Process) Pauser {
	t.Helper()
	out, ok := p.(Pauser)
	require.True(t, ok, "%T", p)
	return out
}

// Every process of a guest stands still, those of other sessions too, and all go on.
func TestPause_anExecGuestStandsStillAsAWhole(t *testing.T) {
	o := shell(t, `for n in 1 2; do setsid sh -c '`+whileTested("sleep 0.02")+`' & done; echo up; `+
		whileTested("sleep 0.02"))
	p := start(t, NewExec(Options{}), o)
	waitLog(t, o, "up")
	token := p.(*localProcess).snapshot().Token
	require.NoError(t, pauser(t, p).Pause(t.Context()))
	require.Equal(t, State{Phase: PhaseRunning, Paused: true}, p.State())
	all := carriers(t, token)
	require.GreaterOrEqual(t, len(all), 3)
	for _, id := range all {
		require.True(t, id.Stopped() || id.Blocked(), "%s", id)
	}
	require.NoError(t, pauser(t, p).Pause(t.Context()), "once more")

	require.NoError(t, pauser(t, p).Unpause(t.Context()))
	require.Equal(t, State{Phase: PhaseRunning}, p.State())
	for _, id := range carriers(t, token) {
		require.False(t, id.Stopped(), "%s", id)
	}
}

// The next daemon knows that the guest is paused. It is ended at once, as it cannot notice that it is asked to, and
// killed as any other.
func TestPause_isRememberedAndKeepsNoGuestAlive(t *testing.T) {
	o := shell(t, "trap 'echo bye; exit 0' TERM; echo up; "+whileTested("sleep 0.02"))
	first, err := NewExec(Options{}).Start(t.Context(), o)
	require.NoError(t, err)
	waitLog(t, o, "up")
	require.NoError(t, pauser(t, first).Pause(t.Context()))
	first.Release()
	p, err := NewExec(Options{}).Adopt(t.Context(), o.Dir)
	require.NoError(t, err)
	require.Equal(t, State{Phase: PhaseRunning, Paused: true}, p.State())
	require.NoError(t, p.Stop(t.Context(), time.Hour), "it is not waited for")
	require.Equal(t, PhaseKilled, p.State().Phase)
	require.False(t, p.State().Paused)
	require.NotContains(t, log(t, o), "bye")

	o.Run++
	again := start(t, NewExec(Options{}), o)
	require.NoError(t, pauser(t, again).Pause(t.Context()))
	require.NoError(t, proc.Signal([]proc.ID{again.ID()}, syscall.SIGKILL)) // as an engine does whose grant is lost
	requireEnd(t, again)
	require.False(t, again.State().Paused)
}

func TestPause_ofAGuestThatHasEnded(t *testing.T) {
	p := start(t, NewExec(Options{}), shell(t, "exit 0"))
	requireEnd(t, p)
	_ = pauser(t, p).Pause(t.Context())
	require.False(t, p.State().Paused)
	require.Equal(t, PhaseExited, p.State().Phase)
}

// A QEMU guest goes on from where it stood, also under the next daemon.
func TestPause_aQEMUGuestGoesOnFromWhereItStood(t *testing.T) {
	o := realQEMU(t)
	first, err := NewQEMU(Options{}).Start(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, proc.Signal([]proc.ID{first.ID()}, syscall.SIGKILL)) })
	goesOn(t, o)
	require.NoError(t, pauser(t, first).Pause(t.Context()))
	require.Equal(t, "paused", status(t, o))
	before := counted(o)
	first.Release()
	p, err := NewQEMU(Options{}).Adopt(t.Context(), o.Dir)
	require.NoError(t, err)
	require.True(t, p.State().Paused)
	require.NoError(t, pauser(t, p).Pause(t.Context()), "once more")
	require.Equal(t, before, counted(o))
	require.NoError(t, pauser(t, p).Unpause(t.Context()))
	require.NoError(t, pauser(t, p).Unpause(t.Context()), "once more")
	goesOn(t, o)
	require.False(t, p.State().Paused)
	require.NoError(t, p.Stop(t.Context(), 0))
}

// A guest whose state is sent is halted by that, and what paused or let go would run it on.
func TestPause_aQEMUGuestThatMovesIsLeftAlone(t *testing.T) {
	o := realQEMU(t)
	d := NewQEMU(Options{})
	p := start(t, d, o)
	goesOn(t, o)
	there := elsewhere(t, o)
	taken, m := receive(t, d, there)
	guest := migrant(t, p)
	require.NoError(t, guest.Send(t.Context(), 7, ReceiveSocket(there.Dir)))
	eventuallySending(t, guest, SendingDone)
	require.Eventually(t, func() bool {
		loaded, err := m.Loaded(t.Context())
		return err == nil && loaded
	}, patience, 5*time.Millisecond)
	require.ErrorContains(t, pauser(t, taken).Unpause(t.Context()), "receiving", "it is not to run yet")
	for _, do := range []error{pauser(t, p).Pause(t.Context()), pauser(t, p).Unpause(t.Context())} {
		require.ErrorContains(t, do, "postmigrate")
	}
	require.False(t, p.State().Paused)
	require.NoError(t, guest.Resume(t.Context()))
	goesOn(t, o)
}

func TestPause_aLibvirtGuestGoesOnFromWhereItStood(t *testing.T) {
	o := realLibvirt(t)
	p := start(t, NewLibvirt(Options{}), o)
	goesOn(t, o)
	for range 2 { // what is so already is no error
		require.NoError(t, pauser(t, p).Pause(t.Context()))
	}
	require.True(t, p.State().Paused)
	require.Error(t, libvirtPowerDown(t.Context(), p.(*libvirtProcess).localProcess), "it could not notice")
	for range 2 {
		require.NoError(t, pauser(t, p).Unpause(t.Context()))
	}
	require.False(t, p.State().Paused)
	goesOn(t, o)
}

// Xen counts how often a domain was told to stand still.
func TestPause_aXenGuestIsToldOnceAndLetGoUntilItRuns(t *testing.T) {
	x := fakexl.New(t)
	p := start(t, NewXL(Options{}), xlOrder(t, x))
	for range 2 {
		require.NoError(t, pauser(t, p).Pause(t.Context()))
	}
	require.Equal(t, []string{"pause 1"}, x.Calls("pause"))
	require.True(t, strings.HasSuffix(x.Domains()[0], "--p---"))
	// A daemon that died before it noted that tells it again.
	require.NoError(t, p.(*localProcess).remember(func(r *record) { r.State.Paused = false }))
	require.NoError(t, pauser(t, p).Pause(t.Context()))
	require.Equal(t, []string{"pause 1", "pause 1"}, x.Calls("pause"))
	require.NoError(t, pauser(t, p).Unpause(t.Context()))
	require.Equal(t, []string{"unpause 1", "unpause 1"}, x.Calls("unpause"))
	require.True(t, strings.HasSuffix(x.Domains()[0], "-b----"))

	require.NoError(t, pauser(t, p).Pause(t.Context()))
	require.NoError(t, p.Stop(t.Context(), time.Hour))
	require.Empty(t, x.Domains())
	require.Empty(t, x.Calls("shutdown"), "it could not notice")
	require.ErrorContains(t, pauser(t, p).Unpause(t.Context()), "killed")
	_, err := os.Stat(xlDiskPath(p.Order().Dir, 0))
	require.ErrorIs(t, err, os.ErrNotExist)
}
