package engine

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/domain/proc"
	"github.com/holdfast-storage/holdfast/mirror"
	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

func goodStart() Start {
	return Start{Version: StartVersion, Node: volume.NewNodeID(), RunDir: "/run/x",
		Coordinators: []peer.Peer{{ID: volume.NewNodeID(), API: "127.0.0.1:1"}},
		Ticket: peer.Ticket{Volume: volume.NewID(), AttachID: volume.NewAttachID(), Epoch: 1, SizeBytes: 1 << 20,
			Name: "root", Layout: volume.Mirror(2),
			Legs: []peer.TicketLeg{{ID: volume.NewLegID(), Secret: "very secret"}}}}
}

func TestReadStart(t *testing.T) {
	want := goodStart()
	document, err := json.Marshal(want)
	require.NoError(t, err)
	got, err := ReadStart(strings.NewReader(string(document)))
	require.NoError(t, err)
	require.Equal(t, want.Ticket.Legs, got.Ticket.Legs)
	for n := range document {
		_, err := ReadStart(strings.NewReader(string(document[:n])))
		require.ErrorContains(t, err, "start document", "prefix of %d bytes", n)
		require.NotContains(t, err.Error(), "secret")
	}
	for name, change := range map[string]func(*Start){
		"version 9":        func(s *Start) { s.Version = 9 },
		"no volume":        func(s *Start) { s.Ticket.Epoch = 0 },
		"no legs":          func(s *Start) { s.Ticket.Legs = nil },
		"layout":           func(s *Start) { s.Ticket.Layout = volume.Layout{} },
		"no multiple":      func(s *Start) { s.Ticket.SizeBytes = 4097 },
		"no coordinator":   func(s *Start) { s.Coordinators = nil },
		"no node":          func(s *Start) { s.Node = volume.NodeID{} },
		"is not absolute":  func(s *Start) { s.RunDir = "run" },
		"attachment or ep": func(s *Start) { s.Ticket.AttachID = volume.AttachID{} },
	} {
		bad := goodStart()
		change(&bad)
		document, err := json.Marshal(bad)
		require.NoError(t, err)
		_, err = ReadStart(strings.NewReader(string(document)))
		require.ErrorContains(t, err, name)
	}
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// started starts a process and returns what names it and where its end shows.
func started(t *testing.T, name string, args ...string) (Guard, <-chan error) {
	t.Helper()
	cmd := exec.Command(name, args...)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	id, err := proc.Identify(cmd.Process.Pid)
	require.NoError(t, err)
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	return Guard{PID: id.PID, StartTime: id.Start}, exited
}

func TestGuards_strike(t *testing.T) {
	g := newGuards(discard())
	first, firstExited := started(t, "sleep", "600")
	spared, sparedExited := started(t, "sleep", "600")
	require.NoError(t, g.add(first))
	require.NoError(t, g.add(first), "again is the same")
	require.NoError(t, g.add(spared))
	g.remove(spared)
	g.remove(spared)
	g.strike()
	require.Error(t, <-firstExited)
	late, lateExited := started(t, "sleep", "600")
	require.ErrorContains(t, g.add(late), "lost already")
	require.Error(t, <-lateExited, "it comes too late and is killed all the same")
	require.Empty(t, sparedExited)
	g.strike()
	g.close()
}

// A guest that is a script is killed with what it started.
func TestGuards_killDescendants(t *testing.T) {
	cmd := exec.Command("sh", "-c", "sleep 600 & echo $!; wait")
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	line := make([]byte, 16)
	n, err := out.Read(line)
	require.NoError(t, err)
	child, err := strconv.Atoi(strings.TrimSpace(string(line[:n])))
	require.NoError(t, err)
	childID, err := proc.Identify(child)
	require.NoError(t, err)
	handle, err := proc.Open(childID)
	require.NoError(t, err)
	defer handle.Close()
	id, err := proc.Identify(cmd.Process.Pid)
	require.NoError(t, err)

	g := newGuards(discard())
	require.NoError(t, g.add(Guard{PID: id.PID, StartTime: id.Start}))
	g.strike()
	_, _ = io.Copy(io.Discard, out) // until both have let go of it
	require.Error(t, cmd.Wait())
	require.NoError(t, handle.Wait(t.Context()))
}

// A number that was given to another process names nobody: it is refused, and nobody is killed.
func TestGuards_refuseAnotherProcess(t *testing.T) {
	g := newGuards(discard())
	other, exited := started(t, "sleep", "600")
	other.StartTime++
	require.ErrorIs(t, g.add(other), proc.ErrGone)
	g.strike()
	require.ErrorIs(t, g.add(other), proc.ErrGone)
	require.Empty(t, exited)
	require.Error(t, g.add(Guard{PID: 0}))
}

func TestGuards_closeLetsRunOn(t *testing.T) {
	g := newGuards(discard())
	kept, exited := started(t, "sleep", "600")
	require.NoError(t, g.add(kept))
	ended, gone := started(t, "true")
	_ = g.add(ended) // it may have ended already
	require.NoError(t, <-gone)
	g.close()
	g.strike()
	require.Empty(t, exited)
	require.NoError(t, syscall.Kill(kept.PID, syscall.SIGKILL))
	require.Error(t, <-exited)
}

func TestControl_badRequests(t *testing.T) {
	c := newCluster(t, 1)
	c.createVolume("root", 1)
	e := c.startEngine(c.grant("root"))
	e.waitState(peer.EngineServing)
	for verb, want := range map[Verb]string{
		"dance": "unknown", VerbGuard: "names no process", VerbUnguard: "names no process",
	} {
		_, r, err := e.ask(Request{Verb: verb})
		require.NoError(t, err)
		require.Contains(t, r.Error, want)
	}
	conn, err := net.Dial("unix", ControlSocket(e.dir))
	require.NoError(t, err)
	defer conn.Close()
	_, err = conn.Write([]byte("no json at all"))
	require.NoError(t, err)
	answers, err := io.ReadAll(conn)
	require.NoError(t, err)
	require.Contains(t, string(answers), "no well-formed JSON")
	e.waitState(peer.EngineServing)
}

// One run directory has one engine: the socket of one that lives is never taken over.
func TestControlSocket_isNotTakenFromALivingEngine(t *testing.T) {
	c := newCluster(t, 1)
	c.createVolume("root", 1)
	first := c.startEngine(c.grant("root"))
	first.waitState(peer.EngineServing)
	second := c.startEngineIn(first.dir, c.grant("root"))
	require.ErrorContains(t, second.wait(), "in use")
}

// What a coordinator says on the side is a hint: raft itself is asked before the guest is killed.
func TestSuperseded_isConfirmed(t *testing.T) {
	c := newCluster(t, 1)
	c.createVolume("root", 1)
	ticket := c.grant("root")
	var activate raft.Result
	answers := &scripted{command: func(raft.Command) raft.Result { return activate }}
	p := newProcess(Start{Ticket: ticket}, answers, discard())
	p.confirmSuperseded()
	require.False(t, p.isLost(), "it does not serve yet: the mirror asks by itself")
	p.opened()
	p.confirmSuperseded()
	require.False(t, p.isLost())
	activate.Err = &raft.Refusal{Code: raft.CodeBusy, Message: "?"}
	p.confirmSuperseded()
	require.False(t, p.isLost())
	activate.Err = &raft.Refusal{Code: raft.CodeFenced, Message: "superseded"}
	p.confirmSuperseded()
	require.True(t, p.isLost())
	require.ErrorIs(t, p.overError(), mirror.ErrSuperseded)
	p.over(io.ErrUnexpectedEOF)
	require.NotErrorIs(t, p.overError(), io.ErrUnexpectedEOF, "the first cause counts")

	p = newProcess(Start{Ticket: ticket}, answers, discard())
	p.opened()
	p.leaving()
	p.confirmSuperseded()
	require.False(t, p.isLost(), "its own detach ended the attachment")
}

func TestStates(t *testing.T) {
	for _, c := range []struct {
		mirror  mirror.State
		serving bool
		want    peer.EngineState
	}{
		{mirror.StateConnecting, false, peer.EngineConnecting},
		{mirror.StateServing, false, peer.EngineConnecting},
		{mirror.StateServing, true, peer.EngineServing},
		{mirror.StateHeld, true, peer.EngineHeld},
		{mirror.StateDetaching, true, peer.EngineHeld},
		{mirror.StateDetached, true, peer.EngineDetached},
		{mirror.StateStopped, true, peer.EngineFailed},
	} {
		require.Equal(t, c.want, stateOf(c.mirror, c.serving), "%s %v", c.mirror, c.serving)
	}
	for _, c := range []struct {
		leg  mirror.LegStatus
		want string
	}{
		{mirror.LegStatus{State: mirror.LegInSync, Connected: true}, legInSync},
		{mirror.LegStatus{State: mirror.LegCopying, Connected: true, Lossy: true}, legJoining},
		{mirror.LegStatus{State: mirror.LegOutside}, legDown},
		{mirror.LegStatus{State: mirror.LegOutside, Connected: true}, legConnecting},
		{mirror.LegStatus{State: mirror.LegSuspect, Connected: true, Lossy: true}, legLost},
		{mirror.LegStatus{State: mirror.LegRemoving}, legDown},
	} {
		require.Equal(t, c.want, legStateOf(c.leg), "%+v", c.leg)
	}
	require.Zero(t, bannedFor(mirror.LegStatus{RejoinIn: time.Second}), "an ordinary wait")
	require.Equal(t, 4*time.Minute, bannedFor(mirror.LegStatus{RejoinIn: 4 * time.Minute}))
}

func TestBootClock(t *testing.T) {
	before := bootClock{}.Now()
	require.Positive(t, before)
	require.GreaterOrEqual(t, bootClock{}.Now(), before)
	require.Less(t, bootClock{}.Now()-before, time.Minute)
}

// scripted is a coordinator whose answers the test gives.
type scripted struct {
	coordinators
	command func(raft.Command) raft.Result
}

func (s *scripted) Command(_ context.Context, c raft.Command) (raft.Result, error) {
	return s.command(c), nil
}

// counting returns a command that appends a line to a file each time it is run, then does what the script says.
func counting(t *testing.T, then string) (command []string, runs func() int) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "runs")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	return []string{"/bin/sh", "-c", `echo run >>"$0"; n=$(wc -l <"$0"); ` + then, file}, func() int {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		return strings.Count(string(text), "run\n")
	}
}

// A guest that is not all in its process: its command is run once the process is killed, until it succeeds, and whoever
// waits for that waits.
func TestGuards_killCommandIsRepeatedUntilItSucceeds(t *testing.T) {
	g := newGuards(discard())
	guard, exited := started(t, "sleep", "600")
	var runs func() int
	guard.Kill, runs = counting(t, `[ "$n" -ge 3 ] || { echo not yet >&2; exit 1; }`)
	require.NoError(t, g.add(guard))
	require.NoError(t, g.add(guard), "again is the same")
	g.strike()
	require.Error(t, <-exited)
	g.settle(t.Context())
	require.Equal(t, 3, runs())
	g.strike()
	g.settle(t.Context())
	require.Equal(t, 3, runs(), "what has succeeded is not run again")
	g.close()
}

// A command that hangs is killed with what it started, and run again.
func TestGuards_killCommandIsBoundedInTime(t *testing.T) {
	g := newGuards(discard())
	g.limit = 300 * time.Millisecond
	guard, exited := started(t, "sleep", "600")
	var runs func() int
	guard.Kill, runs = counting(t, `[ "$n" -ge 2 ] || { sleep 600 & wait; }`)
	require.NoError(t, g.add(guard))
	g.strike()
	require.Error(t, <-exited)
	g.settle(t.Context())
	require.Equal(t, 2, runs())
	g.close()
}

// One that comes after the grant was lost is ended by its command, too; one that ended before is not.
func TestGuards_killCommandOfOneThatComesLate(t *testing.T) {
	g := newGuards(discard())
	let, letExited := started(t, "sleep", "600")
	var letRuns, lateRuns func() int
	let.Kill, letRuns = counting(t, "")
	require.NoError(t, g.add(let))
	g.remove(let)
	g.strike()
	late, lateExited := started(t, "sleep", "600")
	late.Kill, lateRuns = counting(t, "")
	require.ErrorContains(t, g.add(late), "lost already")
	require.Error(t, <-lateExited)
	g.settle(t.Context())
	require.Equal(t, 1, lateRuns())
	require.Zero(t, letRuns())
	require.Empty(t, letExited)
	g.close()
}

// An engine that is told to end does not wait for a command that fails.
func TestGuards_killCommandIsGivenUpWithTheEngine(t *testing.T) {
	g := newGuards(discard())
	guard, exited := started(t, "sleep", "600")
	guard.Kill, _ = counting(t, "exit 1")
	require.NoError(t, g.add(guard))
	g.strike()
	require.Error(t, <-exited)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	g.settle(ctx)
	g.close()
}
