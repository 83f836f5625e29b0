package engine

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/block/blocktest"
	"github.com/holdfast-storage/holdfast/domain/proc"
	"github.com/holdfast-storage/holdfast/export/nbd"
	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// guest opens the engine's export as a guest does, by its URL.
func guest(t *testing.T, e *runningEngine, reconnect time.Duration) block.Device {
	t.Helper()
	exports := e.status().Exports
	require.NotEmpty(t, exports)
	require.Equal(t, fmt.Sprintf("nbd+unix:///%s?socket=%s", e.ticket.Name, NBDSocket(e.dir)), exports[0].URL)
	address, err := nbd.ParseURL(exports[0].URL)
	require.NoError(t, err)
	d, err := nbd.Dial(t.Context(), address, nbd.ClientOptions{Reconnect: reconnect})
	require.NoError(t, err)
	t.Cleanup(func() { _ = d.Close() }) // some tests close it themselves
	return d
}

func inSync(n int) func(peer.EngineStatus) bool {
	return func(s peer.EngineStatus) bool {
		count := 0
		for _, l := range s.Legs {
			if l.State == legInSync {
				count++
			}
		}
		return count == n
	}
}

// A volume passes the same suite as any device, from the export through mirror and sessions to files.
func TestSuite_throughTheWholePath(t *testing.T) {
	c := newCluster(t, 2)
	n := 0
	blocktest.Run(t, func(t *testing.T) block.Device {
		n++
		name := fmt.Sprintf("v%d", n)
		c.createVolume(name, 2)
		e := c.startEngine(c.grant(name))
		e.waitState(peer.EngineServing)
		return guest(t, e, 0)
	})
}

func TestAttachServeDetach(t *testing.T) {
	c := newCluster(t, 2)
	c.createVolume("root", 2)
	e := c.startEngine(c.grant("root"))
	e.waitState(peer.EngineServing)
	hello, _, err := e.ask(Request{Verb: VerbStatus})
	require.NoError(t, err)
	require.Equal(t, Hello{Version: ControlVersion, Volume: e.ticket.Volume, Epoch: 1, AttachID: e.ticket.AttachID,
		PID: hello.PID}, hello)
	want := bytes.Repeat([]byte("holdfast"), 512)
	d := guest(t, e, 0)
	require.NoError(t, d.Write(t.Context(), want, 4096, 0))
	require.NoError(t, d.Flush(t.Context()))
	require.NoError(t, d.Close())
	require.Eventually(t, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.last.State == peer.EngineServing && c.last.AttachID == e.ticket.AttachID
	}, 5*time.Second, time.Millisecond, "heartbeats")

	_, response, err := e.ask(Request{Verb: VerbDetach})
	require.NoError(t, err)
	require.Empty(t, response.Error)
	require.NoError(t, e.wait())
	require.Equal(t, volume.PhaseDetached, c.volume("root").Phase)
	require.True(t, c.volume("root").Clean)

	again := c.startEngineIn(e.dir, c.grant("root"))
	again.waitState(peer.EngineServing)
	got := make([]byte, len(want))
	require.NoError(t, guest(t, again, 0).Read(t.Context(), got, 4096))
	require.Equal(t, want, got)
}

func TestDetach_byTicket(t *testing.T) {
	c := newCluster(t, 2)
	c.createVolume("root", 2)
	e := c.startEngine(c.grant("root"))
	e.waitState(peer.EngineServing)
	c.apply(raft.Command{RequestDetach: &raft.RequestDetach{Volume: e.ticket.Volume, Epoch: e.ticket.Epoch}})
	require.NoError(t, e.wait())
	require.Equal(t, volume.PhaseDetached, c.volume("root").Phase)
}

// SIGTERM ends the process and leaves the grant: the daemon decides what becomes of it.
func TestEnd_withoutDetaching(t *testing.T) {
	c := newCluster(t, 2)
	c.createVolume("root", 2)
	e := c.startEngine(c.grant("root"))
	e.waitState(peer.EngineServing)
	e.stop()
	require.NoError(t, e.wait())
	require.Equal(t, volume.PhaseAttached, c.volume("root").Phase)
}

// The end of the process does not wait for a detach that cannot be committed, and whoever asked for
// the detach hears that it was not done.
func TestEnd_whileDetaching(t *testing.T) {
	c := newCluster(t, 2)
	c.createVolume("root", 2)
	e := c.startEngine(c.grant("root"))
	e.waitState(peer.EngineServing)
	c.setDown(true)
	answer := make(chan string, 1)
	go func() {
		_, r, err := e.ask(Request{Verb: VerbDetach})
		if err != nil {
			r.Error = "no answer: " + err.Error()
		}
		answer <- r.Error
	}()
	require.Eventually(t, func() bool { return strings.Contains(e.log.String(), "detach asked for") },
		5*time.Second, time.Millisecond)
	require.Empty(t, answer)
	e.stop()
	require.NoError(t, e.wait())
	require.Contains(t, <-answer, "detach")
	require.Equal(t, volume.PhaseAttached, c.volume("root").Phase)
}

// A maintenance attachment serves nobody.
func TestMaintenance_hasNoExport(t *testing.T) {
	c := newCluster(t, 2)
	c.createVolume("root", 2)
	ticket := c.grant("root")
	ticket.Maintenance = true
	e := c.startEngine(ticket)
	e.waitState(peer.EngineServing)
	require.Empty(t, e.status().Exports)
	_, err := nbd.Dial(t.Context(), nbd.Address{Socket: NBDSocket(e.dir)}, nbd.ClientOptions{})
	require.ErrorIs(t, err, block.ErrUnreachable)
}

// A storage node that dies is removed by a commit before writes go on without it, and comes back by
// itself when it does.
func TestLegFails_andReturns(t *testing.T) {
	c := newCluster(t, 2)
	c.createVolume("root", 2)
	e := c.startEngine(c.grant("root"))
	e.waitState(peer.EngineServing)
	d := guest(t, e, 0)
	require.NoError(t, d.Write(t.Context(), make([]byte, 4096), 0, 0))
	c.nodes[1].stop()
	require.NoError(t, d.Write(t.Context(), bytes.Repeat([]byte{1}, 4096), 0, 0))
	require.Len(t, c.volume("root").InSync, 1, "committed before the write was acknowledged")
	c.nodes[1].restart()
	e.waitFor("both legs in sync", inSync(2))
	require.Len(t, c.volume("root").InSync, 2)

	c.nodes[0].stop() // what was written without the other leg must be on it now
	got := make([]byte, 4096)
	require.NoError(t, d.Read(t.Context(), got, 0))
	require.Equal(t, bytes.Repeat([]byte{1}, 4096), got)
}

// Without a coordinator a write that a leg missed is held, and no longer.
func TestNoCoordinator_holdsTheAck(t *testing.T) {
	c := newCluster(t, 2)
	c.createVolume("root", 2)
	e := c.startEngine(c.grant("root"))
	e.waitState(peer.EngineServing)
	d := guest(t, e, 0)
	c.setDown(true)
	c.nodes[1].stop()
	written := make(chan error, 1)
	go func() { written <- d.Write(context.Background(), make([]byte, 4096), 0, 0) }()
	e.waitState(peer.EngineHeld)
	require.Empty(t, written)
	require.Len(t, c.volume("root").InSync, 2)
	c.setDown(false)
	require.NoError(t, <-written)
	require.Len(t, c.volume("root").InSync, 1)
}

// A takeover fences the engine before it: its guest is killed, it serves nothing any more, and what
// it acknowledged is there in the new epoch.
func TestTakeover_fencesTheOldEngine(t *testing.T) {
	c := newCluster(t, 2)
	c.createVolume("root", 2)
	old := c.startEngine(c.grant("root"))
	old.waitState(peer.EngineServing)
	d := guest(t, old, 0)
	want := bytes.Repeat([]byte{7}, 4096)
	require.NoError(t, d.Write(t.Context(), want, 8192, 0))
	domU, exited := guardedProcess(t, old)
	kill, runs := counting(t, `[ "$n" -ge 2 ]`)
	withCommand, otherExited := guardedBy(t, old, VerbGuardKill, kill)
	require.NotEqual(t, domU, withCommand)

	next := c.startEngine(c.grant("root"))
	next.waitState(peer.EngineServing)
	got := make([]byte, 4096)
	require.NoError(t, guest(t, next, 0).Read(t.Context(), got, 8192))
	require.Equal(t, want, got)

	old.waitState(peer.EngineFenced)
	require.Error(t, <-exited, "the guest was killed")
	require.Error(t, <-otherExited)
	require.Eventually(t, func() bool { return runs() == 2 }, 20*time.Second, 5*time.Millisecond,
		"its kill command is run until it succeeds")
	require.Error(t, d.Write(t.Context(), make([]byte, 4096), 8192, 0))
	require.Empty(t, old.status().Exports)
	_, r, err := old.ask(Request{Verb: VerbGuard, Guard: domU})
	require.NoError(t, err)
	require.NotEmpty(t, r.Error, "no guest is taken in any more")
	old.stop()
	require.ErrorIs(t, old.wait(), ErrOver)
	require.NoError(t, guest(t, next, 0).Read(t.Context(), got, 8192))
	require.Equal(t, want, got)
}

// guardedProcess starts something that runs until it is killed, with a child, and has it guarded.
func guardedProcess(t *testing.T, e *runningEngine) (*Guard, <-chan error) {
	t.Helper()
	return guardedBy(t, e, VerbGuard, nil)
}

func guardedBy(t *testing.T, e *runningEngine, verb Verb, kill []string) (*Guard, <-chan error) {
	t.Helper()
	cmd := exec.Command("sleep", "600")
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	id, err := proc.Identify(cmd.Process.Pid)
	require.NoError(t, err)
	g := &Guard{PID: id.PID, StartTime: id.Start, Kill: kill}
	_, r, err := e.ask(Request{Verb: verb, Guard: g})
	require.NoError(t, err)
	require.Empty(t, r.Error)
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	return g, exited
}

// A blank leg that the ticket brings while the volume is served is copied and joins.
func TestTicket_bringsANewLeg(t *testing.T) {
	c := newCluster(t, 3)
	c.createVolume("root", 2)
	e := c.startEngine(c.grant("root"))
	e.waitState(peer.EngineServing)
	d := guest(t, e, 0)
	want := bytes.Repeat([]byte{9}, 1<<20)
	require.NoError(t, d.Write(t.Context(), want, 1<<20, 0))
	replaced := c.volume("root").Legs[1].ID
	c.apply(raft.Command{ReplaceLeg: &raft.ReplaceLeg{Volume: e.ticket.Volume, Old: replaced, New: c.nodes[2].leg(1)}})
	c.assign()
	require.Eventually(t, func() bool {
		v := c.volume("root")
		return len(v.InSync) == 2 && v.InSync[0] != replaced && v.InSync[1] != replaced
	}, 20*time.Second, 5*time.Millisecond)
	c.nodes[0].stop()
	c.nodes[1].stop()
	got := make([]byte, len(want))
	require.NoError(t, d.Read(t.Context(), got, 1<<20))
	require.True(t, bytes.Equal(want, got))
}

// A storage node that comes back at another address is found there, and nobody else is taken for it.
func TestTicket_followsALegToItsNodesNewAddress(t *testing.T) {
	c := newCluster(t, 2)
	c.createVolume("root", 2)
	e := c.startEngine(c.grant("root"))
	e.waitState(peer.EngineServing)
	d := guest(t, e, 0)
	for _, n := range c.nodes {
		n.stop()
	}
	first, second := c.nodes[0], c.nodes[1]
	first.node.Portal, second.node.Portal = second.node.Portal, first.node.Portal
	for _, n := range c.nodes {
		n.restart()
	}
	written := make(chan error, 1)
	want := bytes.Repeat([]byte{3}, 4096)
	go func() { written <- d.Write(context.Background(), want, 0, 0) }()
	for _, n := range c.nodes {
		c.register(n.node)
	}
	require.NoError(t, <-written)
	e.waitFor("both legs in sync", inSync(2))
	second.stop()
	got := make([]byte, 4096)
	require.NoError(t, d.Read(t.Context(), got, 0))
	require.Equal(t, want, got)
}

func TestLogHoldsNoSecret(t *testing.T) {
	c := newCluster(t, 2)
	c.createVolume("root", 2)
	e := c.startEngine(c.grant("root"))
	e.waitState(peer.EngineServing)
	c.nodes[0].stop()
	e.waitFor("a leg that failed", func(s peer.EngineStatus) bool { return !inSync(2)(s) })
	e.stop()
	require.NoError(t, e.wait())
	for _, l := range e.ticket.Legs {
		require.NotEmpty(t, l.Secret)
		require.False(t, strings.Contains(e.log.String(), l.Secret))
	}
}
