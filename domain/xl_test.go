package domain

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/domain/guest"
	"github.com/holdfast-storage/holdfast/domain/proc"
	"github.com/holdfast-storage/holdfast/internal/fakexl"
)

func xlOrder(t *testing.T, x *fakexl.Xen) Order {
	t.Helper()
	o := qemuOrder()
	o.Driver, o.Dir = DriverXL, filepath.Join(t.TempDir(), "web1")
	o.Machine.Boot = &guest.Boot{Kernel: "/boot/vmlinuz"}
	var err error
	o.Settings, err = json.Marshal(map[string]string{"binary": x.XL, "storage_daemon": x.StorageDaemon})
	require.NoError(t, err)
	return o
}

func TestXL_runsIsAdoptedAndShutDown(t *testing.T) {
	x := fakexl.New(t)
	o := xlOrder(t, x)
	first, err := NewXL(Options{}).Start(t.Context(), o)
	require.NoError(t, err)
	require.Equal(t, []string{"web1 " + uuidOf("", "web1") + " -b----"}, x.Domains())
	require.Equal(t, []string{`storage-daemon {"discard":"unmap","driver":"nbd","export":"root@5f",` +
		`"node-name":"volume","reconnect-delay":60,"server":{"path":"/run/v/root/nbd.sock","type":"unix"}} ` +
		`{"allow-other":"off","growable":false,"id":"disk","mountpoint":"` + o.Dir + `/disk0","node-name":"volume",` +
		`"type":"fuse","writable":true}`}, x.Calls("storage-daemon"))
	_, err = NewXL(Options{}).Start(t.Context(), o)
	require.ErrorIs(t, err, ErrRunning)

	first.Release() // the daemon ends
	p, err := NewXL(Options{}).Adopt(t.Context(), o.Dir)
	require.NoError(t, err)
	require.Equal(t, first.ID(), p.ID())
	require.Equal(t, PhaseRunning, p.State().Phase)
	token := first.(*localProcess).snapshot().Token
	require.GreaterOrEqual(t, len(carriers(t, token)), 2, "xl, and the storage daemon")
	require.NoError(t, p.Stop(t.Context(), patience))
	require.Equal(t, PhaseStopped, p.State().Phase)
	require.Empty(t, x.Domains())
	require.Empty(t, carriers(t, token))
	require.Empty(t, x.Calls("destroy"))
	require.NoFileExists(t, xlDiskPath(o.Dir, 0))
}

func TestXL_whoDoesNotHeedAShutdownIsDestroyed(t *testing.T) {
	x := fakexl.New(t)
	x.Set("deaf")
	p := start(t, NewXL(Options{}), xlOrder(t, x))
	require.NoError(t, p.Stop(t.Context(), 50*time.Millisecond))
	require.Equal(t, State{Phase: PhaseKilled, Cause: "signal: killed"}, p.State())
	require.Equal(t, []string{"shutdown -F 1"}, x.Calls("shutdown"))
	require.Equal(t, []string{"destroy 1"}, x.Calls("destroy"))
	require.Empty(t, x.Domains())
}

// One that is paused cannot notice: it is not waited for.
func TestXL_pausedGuestIsDestroyedAtOnce(t *testing.T) {
	x := fakexl.New(t)
	p := start(t, NewXL(Options{}), xlOrder(t, x))
	x.Put(1, "web1", uuidOf("", "web1"), "--p---")
	require.NoError(t, p.Stop(t.Context(), time.Hour))
	require.Equal(t, PhaseKilled, p.State().Phase)
	require.Empty(t, x.Calls("shutdown"))
	require.Empty(t, x.Domains())
}

// A disk that nobody serves any more fails for good: the guest is ended, so that it can be started anew.
func TestXL_guestEndsWithItsStorageDaemon(t *testing.T) {
	for name, adopted := range map[string]bool{
		"started": false, "adopted before": true, "while no daemon watched": true,
	} {
		t.Run(name, func(t *testing.T) {
			x := fakexl.New(t)
			o := xlOrder(t, x)
			p, err := NewXL(Options{}).Start(t.Context(), o)
			require.NoError(t, err)
			served, err := neededFrom("it", xlPIDPath(o.Dir, 0), p.(*localProcess).snapshot().Token)
			require.NoError(t, err)
			end := func() { require.NoError(t, proc.Signal([]proc.ID{served.ID}, syscall.SIGKILL)) }
			if adopted {
				p.Release()
			}
			if name == "while no daemon watched" {
				end()
				require.NoError(t, os.Remove(xlPIDPath(o.Dir, 0)), "as one that ends in order does")
			}
			if adopted {
				p, err = NewXL(Options{}).Adopt(t.Context(), o.Dir)
				require.NoError(t, err)
			}
			if name != "while no daemon watched" {
				end()
			}
			requireEnd(t, p)
			require.Equal(t, State{Phase: PhaseKilled, Cause: "the storage daemon of volume root has ended"}, p.State())
			require.Empty(t, x.Domains())
			require.NoFileExists(t, xlPIDPath(o.Dir, 0))
		})
	}
}

// A guest that an older version started is known without what it needs: it is left alone.
func TestXL_storageDaemonThatIsNotKnownIsNotWatched(t *testing.T) {
	x := fakexl.New(t)
	o := xlOrder(t, x)
	p, err := NewXL(Options{}).Start(t.Context(), o)
	require.NoError(t, err)
	p.Release()
	r, err := load(o.Dir, DriverXL)
	require.NoError(t, err)
	require.Len(t, r.Needed, 1)
	served := r.Needed[0].ID
	r.Needed = nil
	require.NoError(t, r.save())
	p, err = NewXL(Options{}).Adopt(t.Context(), o.Dir)
	require.NoError(t, err)
	require.NoError(t, proc.Signal([]proc.ID{served}, syscall.SIGKILL))
	require.Eventually(t, func() bool { return !served.Alive() }, patience, time.Millisecond)
	require.Equal(t, PhaseRunning, p.State().Phase)
	require.NoError(t, p.Stop(t.Context(), patience))
	require.Equal(t, PhaseStopped, p.State().Phase)
}

// The domain does not outlive the process that watches it, also while Xen does not let go of it at first.
func TestXL_domainEndsWithItsProcess(t *testing.T) {
	x := fakexl.New(t)
	p := start(t, NewXL(Options{}), xlOrder(t, x))
	x.Set("stuck")
	require.NoError(t, proc.Signal([]proc.ID{p.ID()}, syscall.SIGKILL))
	require.Eventually(t, func() bool { return len(x.Calls("destroy")) >= 2 }, patience, 5*time.Millisecond)
	require.Equal(t, PhaseRunning, p.State().Phase, "it has not ended")
	x.Unset("stuck")
	requireEnd(t, p)
	require.Equal(t, State{Phase: PhaseExited, Cause: "signal: killed"}, p.State())
	require.Empty(t, x.Domains())
}

// A domain is the guest by its UUID: also one that was renamed, and at another number after a reboot.
func TestXL_domainIsKnownByItsUUID(t *testing.T) {
	x := fakexl.New(t)
	x.Put(7, "mail", "11111111-2222-3333-4444-555555555555", "r-----")
	p := start(t, NewXL(Options{}), xlOrder(t, x))
	x.Put(9, "renamed", strings.ToUpper(uuidOf("", "web1")), "-b----")
	x.Put(11, "(null)", uuidOf("", "web1"), "---s-d") // what the hypervisor is about to forget
	require.NoError(t, p.Stop(t.Context(), 0))
	require.ElementsMatch(t, []string{"mail 11111111-2222-3333-4444-555555555555 r-----",
		"(null) " + uuidOf("", "web1") + " ---s-d"}, x.Domains())
}

// What somebody made by hand under the guest's name, or UUID, is left alone, and the guest does not start.
func TestXL_domainOfSomebodyElse(t *testing.T) {
	for name, other := range map[string]struct{ name, uuid, want string }{
		"name": {"web1", "11111111-2222-3333-4444-555555555555", "another domain of the name web1"},
		"UUID": {"mail", uuidOf("", "web1"), "another domain of the UUID"},
	} {
		t.Run(name, func(t *testing.T) {
			x := fakexl.New(t)
			x.Put(3, other.name, other.uuid, "-b----")
			o := xlOrder(t, x)
			d := NewXL(Options{})
			_, err := d.Start(t.Context(), o)
			require.ErrorContains(t, err, other.want)
			require.Len(t, x.Domains(), 1)
			require.Empty(t, x.Calls("destroy"))
			_, err = d.Adopt(t.Context(), o.Dir)
			require.ErrorIs(t, err, ErrNone)
		})
	}
}

// What xl says of why a guest does not start is in the error, and nothing is left of the start.
func TestXL_failedStart(t *testing.T) {
	x := fakexl.New(t)
	x.Set("broken")
	o := xlOrder(t, x)
	d := NewXL(Options{})
	_, err := d.Start(t.Context(), o)
	require.ErrorContains(t, err, "not enough memory")
	_, err = d.Adopt(t.Context(), o.Dir)
	require.ErrorIs(t, err, ErrNone)
	require.NoFileExists(t, xlDiskPath(o.Dir, 0))
	x.Unset("broken")
	start(t, d, o)
}

// An export that is no NBD export at a unix socket is refused before anything is started.
func TestXL_exportThatXenCannotOpen(t *testing.T) {
	x := fakexl.New(t)
	o := xlOrder(t, x)
	o.Volumes[0].URL, o.Volumes[0].BoundURL = "iscsi://10.0.0.1/x", ""
	_, err := NewXL(Options{}).Start(t.Context(), o)
	require.ErrorContains(t, err, "for Xen: volume root")
	require.Empty(t, x.Calls("create"))
}

// What an engine does when a grant is lost, and no daemon can: the command ends the guest, and fails until it has.
func TestXL_killCommand(t *testing.T) {
	x := fakexl.New(t)
	o := xlOrder(t, x)
	p, err := NewXL(Options{Ender: []string{"holdfast", "end-guest"}}).Start(t.Context(), o)
	require.NoError(t, err)
	p.Release() // there is no daemon
	command := p.KillCommand()
	token := p.(*localProcess).snapshot().Token
	require.Equal(t, []string{"holdfast", "end-guest", "xl", o.Dir, token}, command)
	end := func(token string) error { return EndRun(t.Context(), command[2], command[3], token, Options{}) }

	require.NoError(t, end("another"), "that one is over")
	require.Len(t, x.Domains(), 1)
	x.Set("stuck")
	require.ErrorContains(t, end(token), "Unable to destroy")
	x.Set("mute")
	require.Error(t, end(token), "it is not known whether it runs")
	x.Unset("mute")
	x.Unset("stuck")
	require.NoError(t, end(token))
	require.Empty(t, x.Domains())
	require.Empty(t, carriers(t, token))
	require.False(t, p.ID().Alive())
	require.NoError(t, end(token), "again is no error")

	adopted, err := NewXL(Options{}).Adopt(t.Context(), o.Dir) // a daemon comes back
	require.NoError(t, err)
	requireEnd(t, adopted)
	require.NoError(t, end(token), "and so it is once that is noted")
	require.NoError(t, NewXL(Options{}).Forget(o.Dir))
	require.NoError(t, end(token))
	require.ErrorContains(t, EndRun(t.Context(), "vmware", o.Dir, token, Options{}), "vmware")
	require.Nil(t, start(t, NewExec(Options{}), shell(t, "sleep 1000")).KillCommand(), "it ends with its processes")
}

// A kill command that is late ends nothing but its own run, also when it finds the next one, which has the same name
// and UUID, in its place: a start waits until it is through.
func TestXL_lateKillCommandLeavesTheNextRunAlone(t *testing.T) {
	x := fakexl.New(t)
	o := xlOrder(t, x)
	d := NewXL(Options{})
	first, err := d.Start(t.Context(), o)
	require.NoError(t, err)
	token := first.(*localProcess).snapshot().Token
	slow := filepath.Join(t.TempDir(), "slow")
	require.NoError(t, os.WriteFile(slow, nil, 0o600))
	ended := make(chan error, 1)
	go func() {
		ended <- EndRun(t.Context(), DriverXL, o.Dir, token, Options{Env: append(os.Environ(), "FAKEXL_WAIT="+slow)})
	}()
	requireEnd(t, first) // the daemon sees it, too, and is faster
	require.NoError(t, d.Forget(o.Dir))

	o.Run++
	soon, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err = d.Start(soon, o)
	require.ErrorContains(t, err, "an earlier run is still being ended")
	require.Empty(t, x.Domains())
	require.NoError(t, os.Remove(slow))
	second := start(t, d, o)
	require.NoError(t, <-ended)
	require.NoError(t, EndRun(t.Context(), DriverXL, o.Dir, token, Options{}))
	require.Equal(t, PhaseRunning, second.State().Phase)
	require.Len(t, x.Domains(), 1)
	require.FileExists(t, xlDiskPath(o.Dir, 0))
}

// A start that the daemon did not live to note may have made a domain.
func TestXL_startThatTheDaemonDidNotLiveToNote(t *testing.T) {
	x := fakexl.New(t)
	o := xlOrder(t, x)
	p, err := NewXL(Options{}).Start(t.Context(), o)
	require.NoError(t, err)
	p.Release()
	r := p.(*localProcess).snapshot()
	r.Proc, r.State = proc.ID{}, State{Phase: PhaseStarting}
	require.NoError(t, r.save())
	_, err = NewXL(Options{}).Start(t.Context(), o)
	require.ErrorIs(t, err, ErrRunning)
	adopted, err := NewXL(Options{}).Adopt(t.Context(), o.Dir)
	require.NoError(t, err)
	require.Equal(t, PhaseKilled, adopted.State().Phase)
	require.Empty(t, x.Domains())
}

// A domain may be there though no process of its run is left: nobody starts a second one.
func TestXL_domainWithoutItsProcessIsNotForgotten(t *testing.T) {
	x := fakexl.New(t)
	o := xlOrder(t, x)
	p, err := NewXL(Options{}).Start(t.Context(), o)
	require.NoError(t, err)
	p.Release()
	r := p.(*localProcess).snapshot()
	require.NoError(t, proc.Signal([]proc.ID{p.ID()}, syscall.SIGKILL))
	require.NoError(t, r.killLeftovers())
	require.Len(t, x.Domains(), 1)
	_, err = NewXL(Options{}).Start(t.Context(), o)
	require.ErrorIs(t, err, ErrRunning)
	adopted, err := NewXL(Options{}).Adopt(t.Context(), o.Dir)
	require.NoError(t, err)
	requireEnd(t, adopted)
	require.Empty(t, x.Domains())
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, adopted.Stop(ctx, 0))
	require.FileExists(t, recordPath(o.Dir, DriverXL))
	require.NoError(t, os.RemoveAll(o.Dir))
}
