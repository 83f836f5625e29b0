package domain

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/domain/proc"
)

const patience = 10 * time.Second

func shell(t *testing.T, script string) Order {
	t.Helper()
	return Order{Name: "web1", Driver: DriverExec, Run: 1, Dir: filepath.Join(t.TempDir(), "web1"),
		Settings: command(t, "/bin/sh", "-c", script)}
}

// whileTested is a loop of a guest that no signal ends: it ends with this process, which may be killed.
func whileTested(do string) string {
	return fmt.Sprintf("while kill -0 %d 2>/dev/null; do %s; done", os.Getpid(), do)
}

// command returns the settings of an exec guest.
func command(t *testing.T, args ...string) json.RawMessage {
	t.Helper()
	text, err := json.Marshal(execSettings{Command: args})
	require.NoError(t, err)
	return text
}

func start(t *testing.T, d Driver, o Order) Process {
	t.Helper()
	p, err := d.Start(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Stop(context.Background(), 0)) })
	return p
}

func log(t *testing.T, o Order) string {
	t.Helper()
	text, err := os.ReadFile(LogPath(o.Dir))
	require.NoError(t, err)
	return string(text)
}

func requireEnd(t *testing.T, p Process) {
	t.Helper()
	select {
	case <-p.Done():
	case <-time.After(patience):
		require.Fail(t, "the guest has not ended", "%v", p.State())
	}
}

func waitLog(t *testing.T, o Order, text string) {
	t.Helper()
	require.Eventually(t, func() bool { return strings.Contains(log(t, o), text) }, patience,
		5*time.Millisecond)
}

func TestExec_environmentAndExpansion(t *testing.T) {
	o := shell(t, "")
	o.Settings = command(t, "/bin/sh", "-c", `echo "$HOLDFAST_DOMAIN/$HOLDFAST_EPOCH/$HOLDFAST_VOLUME_ROOT_1_URL/$KEPT"
		echo "$0" "$1"; exit 3`, "$HOLDFAST_VOLUME_ROOT_1_URL", "${HOLDFAST_DOMAIN}-$UNKNOWN")
	o.Volumes = []Volume{{Name: "root-1", URL: "nbd:/x", Epoch: 7}, {Name: "data", Epoch: 4}}
	p := start(t, NewExec(Options{Env: []string{"KEPT=yes"}}), o)
	requireEnd(t, p)
	require.Equal(t, "web1/7/nbd:/x/yes\nnbd:/x web1-$UNKNOWN\n", log(t, o))
	require.Equal(t, State{Phase: PhaseExited, Cause: "exit status 3"}, p.State())
}

func TestExec_secondStartIsRefusedAlsoByAnotherDaemon(t *testing.T) {
	o := shell(t, "echo up; exec sleep 1000")
	p := start(t, NewExec(Options{}), o)
	waitLog(t, o, "up")
	for _, d := range []Driver{NewExec(Options{}), NewExec(Options{})} {
		_, err := d.Start(t.Context(), o)
		require.ErrorIs(t, err, ErrRunning)
		require.ErrorContains(t, err, "web1")
	}
	require.True(t, p.ID().Alive())
	require.Equal(t, "up\n", log(t, o))
}

func TestExec_adoptedGuestIsTheSameAndCanBeStopped(t *testing.T) {
	o := shell(t, `trap 'echo bye; exit 0' TERM; echo up; `+whileTested(`sleep 0.05`))
	first, err := NewExec(Options{}).Start(t.Context(), o)
	require.NoError(t, err)
	waitLog(t, o, "up")
	first.Release() // the daemon ends

	second, err := NewExec(Options{}).Adopt(t.Context(), o.Dir)
	require.NoError(t, err)
	require.Equal(t, first.ID(), second.ID())
	require.Equal(t, o, second.Order())
	require.Equal(t, PhaseRunning, second.State().Phase)
	require.NoError(t, second.Stop(t.Context(), patience))
	require.Equal(t, PhaseStopped, second.State().Phase)
	require.Contains(t, log(t, o), "bye")
	require.False(t, first.ID().Alive())

	third, err := NewExec(Options{}).Adopt(t.Context(), o.Dir)
	require.NoError(t, err)
	require.Equal(t, PhaseStopped, third.State().Phase, "how it ended is remembered")
	requireEnd(t, third)
}

func TestExec_endWhileNoDaemonWatchedIsNoticed(t *testing.T) {
	o := shell(t, `echo up; exec sleep 1000`)
	first, err := NewExec(Options{}).Start(t.Context(), o)
	require.NoError(t, err)
	waitLog(t, o, "up")
	first.Release()
	require.NoError(t, proc.Signal([]proc.ID{first.ID()}, syscall.SIGKILL))

	adopted, err := NewExec(Options{}).Adopt(t.Context(), o.Dir)
	require.NoError(t, err)
	requireEnd(t, adopted)
	require.Equal(t, PhaseExited, adopted.State().Phase)
}

// A guest may start helpers in its group, in a session of their own, and orphans. None outlives it.
func TestExec_killReachesEveryProcess(t *testing.T) {
	const script = `sleep 1001 & setsid sleep 1002 & (setsid sleep 1003 &)
		trap '' TERM; echo up; wait; sleep 1004`
	o := shell(t, script)
	p := start(t, NewExec(Options{}), o)
	waitLog(t, o, "up")
	token := p.(*localProcess).snapshot().Token
	require.Eventually(t, func() bool { return len(carriers(t, token)) == 4 }, patience, 5*time.Millisecond)
	require.NoError(t, p.Stop(t.Context(), 50*time.Millisecond))
	require.Empty(t, carriers(t, token))
	require.Equal(t, PhaseKilled, p.State().Phase, "it ignored SIGTERM")
}

func TestExec_endOfTheMainProcessEndsTheRest(t *testing.T) {
	o := shell(t, `setsid sleep 1005 & exit 0`)
	p := start(t, NewExec(Options{}), o)
	requireEnd(t, p)
	require.Empty(t, carriers(t, p.(*localProcess).snapshot().Token))
}

func TestExec_stoppedGuestIsKilled(t *testing.T) {
	o := shell(t, `trap '' TERM; echo up; exec sleep 1000`)
	p := start(t, NewExec(Options{}), o)
	waitLog(t, o, "up")
	require.NoError(t, proc.Signal([]proc.ID{p.ID()}, syscall.SIGSTOP))
	require.NoError(t, p.Stop(t.Context(), 50*time.Millisecond))
	require.Equal(t, State{Phase: PhaseKilled, Cause: "signal: killed"}, p.State())
}

func TestExec_graceOutlivesTheCaller(t *testing.T) {
	o := shell(t, `trap 'echo asked' TERM; echo up; `+whileTested(`sleep 0.01`))
	p := start(t, NewExec(Options{}), o)
	waitLog(t, o, "up")
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- p.Stop(ctx, time.Hour) }()
	waitLog(t, o, "asked")
	cancel()
	require.ErrorIs(t, <-stopped, context.Canceled)
	require.True(t, p.ID().Alive())
}

func TestExec_startThatTheDaemonDidNotLiveToNote(t *testing.T) {
	o := shell(t, `echo up; exec sleep 1000`)
	p := start(t, NewExec(Options{}), o)
	waitLog(t, o, "up")
	r := p.(*localProcess).snapshot()
	r.Proc, r.State = proc.ID{}, State{Phase: PhaseStarting} // as it stands before the fork
	require.NoError(t, r.save())

	_, err := NewExec(Options{}).Start(t.Context(), o)
	require.ErrorIs(t, err, ErrRunning)
	adopted, err := NewExec(Options{}).Adopt(t.Context(), o.Dir)
	require.NoError(t, err)
	require.Equal(t, PhaseKilled, adopted.State().Phase)
	requireEnd(t, p)
}

func TestExec_restartOfTheMachine(t *testing.T) {
	o := shell(t, `exec sleep 1000`)
	require.NoError(t, os.MkdirAll(o.Dir, 0o700))
	self, err := proc.Identify(os.Getpid())
	require.NoError(t, err)
	self.Boot = "another boot" // the same number and start time may come again
	r := record{Driver: DriverExec, Order: o, Token: "x", Proc: self, Boot: self.Boot,
		State: State{Phase: PhaseRunning}}
	require.NoError(t, r.save())
	adopted, err := NewExec(Options{}).Adopt(t.Context(), o.Dir)
	require.NoError(t, err)
	require.Equal(t, State{Phase: PhaseKilled, Cause: "the host was restarted"}, adopted.State())
	start(t, NewExec(Options{}), o)
}

func TestExec_refusals(t *testing.T) {
	d := NewExec(Options{})
	good := shell(t, "true")
	for name, test := range map[string]struct {
		change func(*Order)
		want   string
	}{
		"no command": {func(o *Order) { o.Settings = nil }, "needs a command"},
		"bad name":   {func(o *Order) { o.Name = "../x" }, "domain name"},
		"relative":   {func(o *Order) { o.Dir = "x" }, "not absolute"},
		"not executable": {func(o *Order) { o.Settings = command(t, "/no/such/program") },
			"/no/such/program"},
		"same variable": {func(o *Order) { o.Volumes = []Volume{{Name: "a-b"}, {Name: "a.b"}} },
			"share the variable HOLDFAST_VOLUME_A_B_URL"},
	} {
		t.Run(name, func(t *testing.T) {
			o := good
			test.change(&o)
			_, err := d.Start(t.Context(), o)
			require.ErrorContains(t, err, test.want)
			_, err = d.Adopt(t.Context(), good.Dir)
			require.ErrorIs(t, err, ErrNone)
		})
	}
}

func TestExec_damagedRecordIsNotPassedOver(t *testing.T) {
	o := shell(t, "true")
	require.NoError(t, os.MkdirAll(o.Dir, 0o700))
	require.NoError(t, os.WriteFile(recordPath(o.Dir, DriverExec), []byte("{"), 0o600))
	_, err := NewExec(Options{}).Start(t.Context(), o)
	require.ErrorContains(t, err, recordPath(o.Dir, DriverExec))
	_, err = NewExec(Options{}).Adopt(t.Context(), o.Dir)
	require.ErrorContains(t, err, "damaged")
}

func TestVolumeVariable(t *testing.T) {
	require.Equal(t, "HOLDFAST_VOLUME_WEB_1_X_URL", VolumeVariable("web-1.x"))
}

func TestExpand(t *testing.T) {
	vars := map[string]string{"A": "1", "AB": "2"}
	for text, want := range map[string]string{
		"": "", "$A": "1", "$AB": "2", "${A}B": "1B", "$ABC": "$ABC", "a$": "a$", "${A": "${A", "$$A": "$1",
		"${}": "${}", "$A$AB/${AB}": "12/2", "cost 5$ ${X}": "cost 5$ ${X}",
	} {
		require.Equal(t, want, expand(text, vars), text)
	}
}

func carriers(t *testing.T, token string) []proc.ID {
	t.Helper()
	ids, err := proc.FindEnv(EnvToken, token)
	require.NoError(t, err)
	return ids
}
