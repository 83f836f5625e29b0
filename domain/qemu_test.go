package domain

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/domain/guest"
	"github.com/holdfast-storage/holdfast/domain/proc"
	"github.com/holdfast-storage/holdfast/domain/qmp"
	"github.com/holdfast-storage/holdfast/tests/counter"
)

// realQEMU returns the order of a guest that counts on its disk, which qemu-nbd serves.
func realQEMU(t *testing.T) Order {
	t.Helper()
	for _, p := range []string{"qemu-system-x86_64", "qemu-nbd"} {
		if _, err := exec.LookPath(p); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatalf("%s is not installed", p)
			}
			t.Skipf("%s is not installed; ./scripts/packages installs it", p)
		}
	}
	base, err := os.MkdirTemp("", "hfq") // short: it holds sockets
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(base)) })
	disk, socket := filepath.Join(base, "disk"), filepath.Join(base, "nbd,1.sock")
	require.NoError(t, os.WriteFile(disk, append(counter.Disk(), make([]byte, 1<<20)...), 0o600))
	server := exec.Command("qemu-nbd", "--persistent", "--format=raw", "--export-name=root", "--socket="+socket, disk)
	server.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // also when the test is killed
	require.NoError(t, server.Start())
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	require.Eventually(t, func() bool { _, err := os.Stat(socket); return err == nil }, patience, 5*time.Millisecond)
	return Order{Name: "web1", Driver: DriverQEMU, Run: 1, Dir: filepath.Join(base, "we,b1"),
		Machine: guest.Machine{VCPUs: 1, MemoryBytes: 64 << 20,
			Interfaces: []guest.Interface{{MAC: "52:54:00:12:34:56"}}},
		Settings: json.RawMessage(`{"accelerator": "tcg"}`),
		Volumes:  []Volume{{Name: "root", Device: "vda", URL: "nbd+unix:///root?socket=" + socket}}}
}

// counted returns the highest number that the guest has reported.
func counted(o Order) uint64 {
	text, err := os.ReadFile(ConsoleLog(o.Dir))
	if err != nil {
		return 0 // it has written nothing yet
	}
	highest := uint64(0)
	for _, n := range counter.Reported(string(text)) {
		highest = max(highest, n)
	}
	return highest
}

// goesOn waits until the guest counts on.
func goesOn(t *testing.T, o Order) {
	t.Helper()
	before := counted(o)
	require.Eventually(t, func() bool { return counted(o) > before }, time.Minute, 10*time.Millisecond,
		"the guest does not count")
}

func status(t *testing.T, o Order) string {
	t.Helper()
	var s struct{ Status string }
	require.NoError(t, qmp.Call(t.Context(), qmpSocket(o.Dir), "query-status", nil, &s))
	return s.Status
}

// halt stops the guest where it is, with its clock.
func halt(t *testing.T, o Order) {
	t.Helper()
	require.NoError(t, qmp.Call(t.Context(), qmpSocket(o.Dir), "stop", nil, nil))
	require.Equal(t, "paused", status(t, o))
}

func TestQEMU_runsIsAdoptedHaltedAndKilled(t *testing.T) {
	o := realQEMU(t)
	first, err := NewQEMU(Options{}).Start(t.Context(), o)
	require.NoError(t, err)
	// Not Stop: nobody watches it once it is released.
	t.Cleanup(func() { require.NoError(t, proc.Signal([]proc.ID{first.ID()}, syscall.SIGKILL)) })
	goesOn(t, o)
	_, err = NewQEMU(Options{}).Start(t.Context(), o)
	require.ErrorIs(t, err, ErrRunning)

	first.Release() // the daemon is restarted
	p, err := NewQEMU(Options{}).Adopt(t.Context(), o.Dir)
	require.NoError(t, err)
	require.Equal(t, first.ID(), p.ID())
	require.Equal(t, o.Volumes, p.Order().Volumes)

	// A guest whose clock stands still has a grant that looks fresh to it. Its process is killed all the same.
	halt(t, o)
	require.NoError(t, p.Stop(t.Context(), 0))
	require.Equal(t, PhaseKilled, p.State().Phase)
	require.False(t, p.ID().Alive())
}

func TestQEMU_goesOnFromItsDiskInTheNextRun(t *testing.T) {
	o := realQEMU(t)
	d := NewQEMU(Options{})
	p := start(t, d, o)
	goesOn(t, o)
	require.NoError(t, proc.Signal([]proc.ID{p.ID()}, syscall.SIGKILL))
	requireEnd(t, p)
	require.Equal(t, PhaseExited, p.State().Phase)
	before := counted(o)
	require.NoError(t, os.Remove(ConsoleLog(o.Dir)))
	o.Run = 2
	start(t, d, o)
	require.Eventually(t, func() bool { return counted(o) > before }, time.Minute, 10*time.Millisecond,
		"it began before %d", before)
}

// The guest has no notion of a power button: once its grace is over it is told to quit.
func TestQEMU_aGuestThatDoesNotHeedThePowerButtonIsToldToQuit(t *testing.T) {
	o := realQEMU(t)
	p := start(t, NewQEMU(Options{}), o)
	require.NoError(t, p.Stop(t.Context(), 300*time.Millisecond))
	require.Equal(t, State{Phase: PhaseKilled, Cause: "exit status 0"}, p.State(), "it quit, and was not killed")
}

func TestQEMU_aHaltedGuestIsNotWaitedFor(t *testing.T) {
	o := realQEMU(t)
	p := start(t, NewQEMU(Options{}), o)
	halt(t, o)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, p.Stop(ctx, time.Hour))
	require.Equal(t, State{Phase: PhaseKilled, Cause: "exit status 0"}, p.State())
}

// What QEMU says of why it does not start is in the error, and nothing is left that would keep the next start back.
func TestQEMU_refusalsOfQEMUAreRepeated(t *testing.T) {
	o := realQEMU(t)
	d := NewQEMU(Options{})
	broken := o
	broken.Settings = json.RawMessage(`{"accelerator": "tcg", "machine": "q36"}`)
	_, err := d.Start(t.Context(), broken)
	require.ErrorContains(t, err, "web1")
	require.ErrorContains(t, err, "unsupported machine")
	broken = o
	broken.Machine.Boot = &guest.Boot{Kernel: "/no/such/kernel"}
	_, err = d.Start(t.Context(), broken)
	require.ErrorContains(t, err, "/no/such/kernel")
	require.NotContains(t, err.Error(), "machine", "those were the words of another run")
	_, err = d.Adopt(t.Context(), o.Dir)
	require.ErrorIs(t, err, ErrNone)
	start(t, d, o)
	goesOn(t, o)
}

// A start that is given up leaves nothing behind: no process, nobody who watches one, and no record.
func TestQEMU_aStartThatIsGivenUpLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	mute, begun := filepath.Join(dir, "mute"), filepath.Join(dir, "begun")
	require.NoError(t, os.WriteFile(mute, []byte("#!/bin/sh\n: >"+begun+"\n"+whileTested("sleep 1")+"\n"), 0o700))
	settings, err := json.Marshal(map[string]string{"binary": mute, "accelerator": "tcg"})
	require.NoError(t, err)
	o := qemuOrder()
	o.Dir, o.Settings = filepath.Join(dir, "web1"), settings
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer cancel()
		assert.Eventually(t, func() bool { _, err := os.Stat(begun); return err == nil }, patience, time.Millisecond)
	}()
	d := NewQEMU(Options{})
	_, err = d.Start(ctx, o)
	require.ErrorIs(t, err, context.Canceled)
	_, err = d.Adopt(t.Context(), o.Dir)
	require.ErrorIs(t, err, ErrNone)
}

// One user at a time: the second is told, and comes in once the first has left. The console goes both ways.
func TestQEMU_consoleIsForOneAtATime(t *testing.T) {
	o := realQEMU(t)
	p := start(t, NewQEMU(Options{}), o)
	consoler, ok := p.(Consoler)
	require.True(t, ok)
	first, err := consoler.Console(t.Context())
	require.NoError(t, err)
	require.NoError(t, first.SetDeadline(time.Now().Add(time.Minute)))
	line, err := bufio.NewReader(first).ReadString('\n')
	require.NoError(t, err)
	require.NotEmpty(t, line)
	_, err = consoler.Console(t.Context())
	require.ErrorIs(t, err, ErrConsoleTaken)
	require.ErrorContains(t, err, ConsoleSocket(o.Dir))
	require.NoError(t, first.Close())
	require.Eventually(t, func() bool {
		second, err := consoler.Console(t.Context())
		return err == nil && second.Close() == nil
	}, patience, 5*time.Millisecond)
}
