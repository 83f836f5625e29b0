package domain

import (
	"context"
	"encoding/json"
	"net"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/domain/proc"
)

// comesLate has a process of a run come about, as if whoever was to start it had taken his time.
func comesLate(t *testing.T, token string) *exec.Cmd {
	t.Helper()
	late := exec.Command("sleep", "1000")
	late.Env = append(late.Environ(), EnvToken+"="+token)
	require.NoError(t, late.Start())
	t.Cleanup(func() { _ = late.Process.Kill() })
	return late
}

func requireKilled(t *testing.T, c *exec.Cmd) {
	t.Helper()
	ended := make(chan struct{})
	go func() {
		_ = c.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(patience):
		require.Fail(t, "a guest of a start that was given up goes on")
	}
}

// A daemon that takes the call and does not answer may still start the guest, at any time: the run is remembered, so
// that whoever comes is found by every later adoption, also if the next start gets no answer either.
func TestLocal_anUnsettledStartIsRemembered(t *testing.T) {
	silent, err := net.Listen("unix", filepath.Join(t.TempDir(), "libvirt-sock"))
	require.NoError(t, err)
	defer silent.Close()
	o := qemuOrder()
	o.Driver, o.Dir = DriverLibvirt, filepath.Join(t.TempDir(), "web1")
	o.Settings, err = json.Marshal(map[string]string{"socket": silent.Addr().String()})
	require.NoError(t, err)
	d := newLocal(Options{}, program{word: DriverLibvirt, launch: func(context.Context, record) (proc.ID, error) {
		return proc.ID{}, errUnsettled
	}})
	_, err = d.Start(t.Context(), o)
	require.ErrorIs(t, err, errUnsettled)
	r, err := load(o.Dir, DriverLibvirt)
	require.NoError(t, err)
	require.True(t, r.unsettled())

	for range 2 {
		late := comesLate(t, r.Token)
		_, err = NewLibvirt(Options{}).Start(t.Context(), o)
		require.ErrorIs(t, err, ErrRunning)
		adopted, err := d.Adopt(t.Context(), o.Dir)
		require.NoError(t, err)
		require.Equal(t, PhaseKilled, adopted.State().Phase)
		requireKilled(t, late)
	}

	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = NewLibvirt(Options{}).Start(ctx, o)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	late := comesLate(t, r.Token)
	adopted, err := d.Adopt(t.Context(), o.Dir)
	require.NoError(t, err, "the start before is forgotten")
	require.Equal(t, PhaseKilled, adopted.State().Phase)
	requireKilled(t, late)
	require.NoError(t, d.Forget(o.Dir))
	_, err = d.Adopt(t.Context(), o.Dir)
	require.ErrorIs(t, err, ErrNone)
}

// A start that is refused leaves nothing behind to be adopted.
func TestLocal_aRefusedStartIsForgotten(t *testing.T) {
	o := qemuOrder()
	o.Driver, o.Dir = DriverLibvirt, filepath.Join(t.TempDir(), "web1")
	o.Settings = json.RawMessage(`{"socket": "/nowhere/libvirt-sock"}`)
	d := NewLibvirt(Options{})
	_, err := d.Start(t.Context(), o)
	require.ErrorContains(t, err, "/nowhere/libvirt-sock")
	_, err = d.Adopt(t.Context(), o.Dir)
	require.ErrorIs(t, err, ErrNone)
}
