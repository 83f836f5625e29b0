package domain

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/domain/proc"
)

// elsewhere returns the order of the next run of a guest, to be taken in on another host.
func elsewhere(t *testing.T, o Order) Order {
	t.Helper()
	o.Run, o.Incoming, o.Dir = o.Run+1, 7, filepath.Join(filepath.Dir(o.Dir), "else")
	socket := strings.TrimPrefix(o.Volumes[0].URL, "nbd+unix:///root?socket=")
	info, err := os.Stat(filepath.Join(filepath.Dir(socket), "disk"))
	require.NoError(t, err)
	v := o.Volumes[0]
	v.URL, v.SizeBytes = "", info.Size()
	o.Volumes = []Volume{v}
	return o
}

func receive(t *testing.T, d Driver, o Order) (Process, Migrant) {
	t.Helper()
	r, ok := d.(Receiver)
	require.True(t, ok)
	p, err := r.Receive(t.Context(), o)
	require.NoError(t, err)
	// Not Stop: nobody watches it once it is released. While somebody does, its record is written when it ends, and its
	// directory is removed after this.
	t.Cleanup(func() {
		require.NoError(t, proc.Signal([]proc.ID{p.ID()}, syscall.SIGKILL))
		p.Release()
	})
	m, ok := p.(Migrant)
	require.True(t, ok)
	return p, m
}

func migrant(t *testing.T, p Process) Migrant {
	t.Helper()
	m, ok := p.(Migrant)
	require.True(t, ok)
	return m
}

func eventuallySending(t *testing.T, m Migrant, want Sending) {
	t.Helper()
	require.Eventually(t, func() bool {
		s, err := m.Sending(t.Context())
		return err == nil && s == want
	}, time.Minute, 10*time.Millisecond, "its sending is not %s", want)
}

func TestQEMU_movesWhileItCounts(t *testing.T) {
	o := realQEMU(t)
	d := NewQEMU(Options{})
	source := start(t, d, o)
	goesOn(t, o)
	there := elsewhere(t, o)
	p, m := receive(t, d, there)
	require.Equal(t, PhaseReceiving, p.State().Phase)
	loaded, err := m.Loaded(t.Context())
	require.NoError(t, err)
	require.False(t, loaded)
	require.Error(t, m.Plug(t.Context(), o.Volumes), "there is nothing to plug them into")

	require.NoError(t, migrant(t, source).Send(t.Context(), 7, ReceiveSocket(there.Dir)))
	eventuallySending(t, migrant(t, source), SendingDone)
	halted := time.Now()
	require.Eventually(t, func() bool {
		loaded, err := m.Loaded(t.Context())
		return err == nil && loaded
	}, patience, 5*time.Millisecond)
	require.Zero(t, counted(there), "it does not run by itself")
	last := counted(o)
	require.NoError(t, source.Stop(t.Context(), 0)) // the disk is for one at a time

	require.NoError(t, m.Plug(t.Context(), o.Volumes))
	require.NoError(t, m.Plug(t.Context(), o.Volumes), "what was plugged in stays")
	p.Release() // the daemon is restarted just here
	p, err = d.Adopt(t.Context(), there.Dir)
	require.NoError(t, err)
	require.Equal(t, PhaseReceiving, p.State().Phase)
	require.Equal(t, o.Volumes, p.Order().Volumes)
	require.NoError(t, migrant(t, p).Run(t.Context()))
	t.Logf("halted for %s", time.Since(halted).Round(time.Millisecond))
	require.Equal(t, PhaseRunning, p.State().Phase)
	goesOn(t, there)
	require.Greater(t, counted(there), last)
	require.Equal(t, last, counted(o), "the one that was left counted on")
}

func TestQEMU_resumesWhereItWasAfterAllWasSent(t *testing.T) {
	o := realQEMU(t)
	d := NewQEMU(Options{})
	source := start(t, d, o)
	goesOn(t, o)
	there := elsewhere(t, o)
	p, _ := receive(t, d, there)
	m := migrant(t, source)
	require.NoError(t, m.Send(t.Context(), 7, ReceiveSocket(there.Dir)))
	eventuallySending(t, m, SendingDone)
	require.NoError(t, p.Stop(t.Context(), 0))
	require.Equal(t, uint64(7), source.State().Sending)
	require.NoError(t, m.Resume(t.Context()))
	require.Zero(t, source.State().Sending)
	goesOn(t, o)
	require.NoError(t, m.Resume(t.Context()), "one that runs is left alone")
	goesOn(t, o)
	s, err := m.Sending(t.Context())
	require.NoError(t, err)
	require.NotEqual(t, SendingDone, s, "it runs")
}

// Who takes the state may go away, or take it as slowly as it likes.
func TestQEMU_runsOnWhenWhoTakesItsStateIsGone(t *testing.T) {
	o := realQEMU(t)
	source := start(t, NewQEMU(Options{}), o)
	goesOn(t, o)
	m := migrant(t, source)
	listener, err := net.Listen("unix", SendSocket(o.Dir))
	require.NoError(t, err)
	defer listener.Close()
	require.NoError(t, m.Send(t.Context(), 7, SendSocket(o.Dir)))
	conn, err := listener.Accept()
	require.NoError(t, err)
	goesOn(t, o)
	require.NoError(t, conn.Close())
	eventuallySending(t, m, SendingOver)
	goesOn(t, o)

	require.NoError(t, m.Send(t.Context(), 7, SendSocket(o.Dir)))
	conn, err = listener.Accept() // and nobody reads
	require.NoError(t, err)
	defer conn.Close()
	goesOn(t, o)
	require.NoError(t, m.Resume(t.Context()))
	eventuallySending(t, m, SendingOver)
	goesOn(t, o)
}
