package host

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/domain"
	"github.com/holdfast-storage/holdfast/domain/proc"
	"github.com/holdfast-storage/holdfast/node/engine"
	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

const patience = 20 * time.Second

// TestMain makes the test binary an engine when the host starts it as one.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "engine" {
		os.Exit(fakeEngine())
	}
	os.Exit(m.Run())
}

// fakeEngine speaks the control protocol and does what an engine does to its guest, without legs:
// it serves at once, and when the file "fence" appears it kills the guarded process and says so.
func fakeEngine() int {
	start, err := engine.ReadStart(os.Stdin)
	if err != nil {
		return 2
	}
	l, err := net.Listen("unix", engine.ControlSocket(start.RunDir))
	if err != nil {
		return 3
	}
	for _, x := range start.Exports {
		go fakeExport(start, x.FD)
	}
	var mu sync.Mutex
	var guarded *engine.Guard
	copied := &fakeCopy{dir: start.RunDir, name: start.Ticket.Name}
	for {
		conn, err := l.Accept()
		if err != nil {
			return 4
		}
		go func() {
			defer conn.Close()
			out, in := json.NewEncoder(conn), json.NewDecoder(bufio.NewReader(conn))
			t := start.Ticket
			_ = out.Encode(engine.Hello{Version: engine.ControlVersion, Volume: t.Volume, Epoch: t.Epoch,
				AttachID: t.AttachID, PID: os.Getpid()})
			var r engine.Request
			if in.Decode(&r) != nil {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			s := peer.EngineStatus{Volume: t.Volume, Epoch: t.Epoch, AttachID: t.AttachID, PID: os.Getpid(),
				State:   peer.EngineServing,
				Exports: []volume.Offer{{Type: "nbd", URL: "nbd+unix:///" + t.Name}}}
			if _, err := os.Stat(filepath.Join(start.RunDir, "fence")); err == nil {
				s.State = peer.EngineFenced
				if guarded != nil {
					_ = syscall.Kill(guarded.PID, syscall.SIGKILL)
				}
			}
			if r.Verb == engine.VerbGuard {
				guarded = r.Guard
			}
			if err := copied.answer(r); err != nil {
				_ = out.Encode(engine.Response{Error: err.Error()})
				return
			}
			s.Copy = copied.report()
			_ = out.Encode(engine.Response{Status: &s, Metrics: fakeMetrics(start.RunDir, t.Name)})
		}()
	}
}

// fakeExport tells whoever connects to the export which epoch serves it, and hangs on until its engine dies.
func fakeExport(start engine.Start, fd int) {
	file := os.NewFile(uintptr(fd), "export")
	l, err := net.FileListener(file)
	if err != nil {
		return
	}
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		_, _ = conn.Write([]byte(start.Ticket.Epoch.String() + "\n"))
	}
}

// fakeMetrics are those of a fake engine, or what the file "metrics" says.
func fakeMetrics(dir, name string) string {
	if text, err := os.ReadFile(filepath.Join(dir, "metrics")); err == nil {
		return string(text)
	}
	return "# HELP holdfast_engine_state x\n# TYPE holdfast_engine_state gauge\n" +
		"holdfast_engine_state{volume=\"" + name + "\",state=\"serving\"} 1\n"
}

// authority is a coordinator reduced to one volume's grant and one domain.
type authority struct {
	mu      sync.Mutex
	a       peer.Assignment
	changed chan struct{}
	begun   []raft.BeginAttach
	gone    map[volume.ID]bool
	cut     []raft.EndClones
	deaf    bool // no command is answered
}

func (c *authority) set(change func(*peer.Assignment)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.change(change)
}

func (c *authority) change(change func(*peer.Assignment)) {
	c.a.Attach, c.a.Domains = slices.Clone(c.a.Attach), slices.Clone(c.a.Domains)
	change(&c.a)
	c.a.Revision++
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *authority) Assignment(ctx context.Context, _ volume.NodeID, after uint64) (peer.Assignment, error) {
	for {
		c.mu.Lock()
		a, changed := c.a, c.changed
		c.mu.Unlock()
		if a.Revision > after {
			return a, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return a, ctx.Err()
		}
	}
}

func (c *authority) Gone(_ context.Context, volumes []volume.ID) ([]volume.ID, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(volumes), func(id volume.ID) bool { return !c.gone[id] }), nil
}

func (c *authority) Command(_ context.Context, command raft.Command) (raft.Result, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.deaf {
		return raft.Result{}, errors.New("nobody answers")
	}
	if command.EndClones != nil {
		c.cut = append(c.cut, *command.EndClones)
		return raft.Result{}, nil
	}
	b := command.BeginAttach
	if b == nil || len(c.a.Attach) == 0 || b.After != c.a.Attach[0].Epoch ||
		b.Renews != c.a.Attach[0].AttachID || !b.Takeover {
		return raft.Result{Err: &raft.Refusal{Code: raft.CodeRetry, Message: "refused"}}, nil
	}
	c.begun = append(c.begun, *b)
	c.change(func(a *peer.Assignment) {
		a.Attach[0].Epoch, a.Attach[0].AttachID = b.After+1, b.AttachID
		if len(a.Domains) > 0 {
			a.Domains[0].Epochs = []volume.Epoch{b.After + 1}
		}
	})
	return raft.Result{}, nil
}

// machine is a host with its directories; its daemon may be started again.
type machine struct {
	drivers  map[string]domain.Driver // beside those that every host has
	t        *testing.T
	run      string
	data     string
	control  *authority
	host     *Host
	stopHost func()
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	run, err := os.MkdirTemp("/tmp", "hf-t") // short enough for sockets
	require.NoError(t, err)
	m := &machine{t: t, run: run, data: t.TempDir(), control: &authority{changed: make(chan struct{})}}
	m.control.a = peer.Assignment{Revision: 1, Registered: true}
	t.Cleanup(func() {
		if m.stopHost != nil {
			m.stopHost()
		}
		left, err := proc.FindEnv(EnvRunDir, run)
		require.NoError(t, err)
		require.NoError(t, proc.Signal(left, syscall.SIGKILL))
		require.NoError(t, os.RemoveAll(run))
	})
	return m
}

// boot starts the daemon's host role.
func (m *machine) boot() {
	m.t.Helper()
	h, err := New(Options{
		Node: volume.NewNodeID(), RunDir: m.run, DataDir: m.data, Coordinators: m.control,
		Peers: func() []peer.Peer { return []peer.Peer{{ID: volume.NewNodeID(), API: "127.0.0.1:1"}} },
		Drivers: m.withDrivers(domain.Drivers(domain.Options{
			Env: []string{"PATH=" + os.Getenv("PATH"), EnvRunDir + "=" + m.run}})),
	})
	require.NoError(m.t, err)
	m.host = h
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { require.NoError(m.t, h.Run(ctx)) })
	running.Go(func() {
		for after := uint64(0); ; {
			a, err := m.control.Assignment(ctx, volume.NodeID{}, after)
			if err != nil {
				return
			}
			after = a.Revision
			h.Assign(a)
		}
	})
	m.stopHost = func() {
		cancel()
		running.Wait()
		m.stopHost = nil
	}
}

func (m *machine) attach(name string) peer.Ticket {
	t := peer.Ticket{Volume: volume.NewID(), Name: name, SizeBytes: 1 << 20, Layout: volume.Mirror(1),
		Epoch: 1, AttachID: volume.NewAttachID(),
		Legs: []peer.TicketLeg{{ID: volume.NewLegID(), Secret: "s3cret"}}}
	m.control.set(func(a *peer.Assignment) { a.Attach = []peer.Ticket{t} })
	return t
}

func (m *machine) order(t peer.Ticket, script string) {
	m.control.set(func(a *peer.Assignment) {
		a.Domains = []peer.DomainOrder{{Name: "web1", Run: 1, Volumes: []volume.ID{t.Volume},
			Epochs: []volume.Epoch{t.Epoch}, Spec: raft.DomainSpec{Name: "web1", Driver: domain.DriverExec,
				Exec:    &raft.ExecSpec{Command: []string{"/bin/sh", "-c", script}},
				Volumes: []raft.DomainVolume{{Name: t.Name}}}}}
	})
}

// serving waits for an engine that serves at the epoch and returns its status.
func (m *machine) serving(e volume.Epoch) peer.EngineStatus {
	m.t.Helper()
	var found peer.EngineStatus
	require.Eventually(m.t, func() bool {
		engines, _ := m.host.Status()
		for _, s := range engines {
			if s.Epoch == e && s.State == peer.EngineServing {
				found = s
				return true
			}
		}
		return false
	}, patience, 5*time.Millisecond)
	return found
}

// guest waits until the domain is in the state, under another process than not, and returns it.
func (m *machine) guest(state domain.Phase, not int) peer.DomainStatus {
	m.t.Helper()
	var found peer.DomainStatus
	require.Eventually(m.t, func() bool {
		_, domains := m.host.Status()
		if len(domains) == 1 && domains[0].State == string(state) && domains[0].PID != not {
			found = domains[0]
			return true
		}
		return false
	}, patience, 5*time.Millisecond)
	return found
}

// printed waits until this is all that the guests of the domain have printed.
func (m *machine) printed(want string) {
	m.t.Helper()
	require.Eventually(m.t, func() bool {
		text, err := os.ReadFile(domain.LogPath(DomainDir(m.run, "web1")))
		return err == nil && string(text) == want
	}, patience, 5*time.Millisecond)
}

func kill(t *testing.T, pid int) proc.ID {
	t.Helper()
	id, err := proc.Identify(pid)
	require.NoError(t, err)
	require.NoError(t, proc.Signal([]proc.ID{id}, syscall.SIGKILL))
	return id
}

func engineProcesses(t *testing.T, dir string) int {
	t.Helper()
	ids, err := proc.FindEnv(EnvEngineDir, dir)
	require.NoError(t, err)
	return len(ids)
}

func TestHost_enginesAndGuestsOutliveTheDaemonAndAreAdopted(t *testing.T) {
	m := newMachine(t)
	m.boot()
	ticket := m.attach("root")
	m.order(ticket, "exec sleep 1000")
	first, guest := m.serving(1), m.guest(domain.PhaseRunning, 0)

	m.stopHost()
	require.Equal(t, 1, engineProcesses(t, EngineDir(m.run, "root")))
	m.boot()
	require.Equal(t, first.PID, m.serving(1).PID)
	require.Equal(t, guest.PID, m.guest(domain.PhaseRunning, 0).PID)
	require.Empty(t, m.control.begun)
	require.Equal(t, 1, engineProcesses(t, EngineDir(m.run, "root")))
}

func TestHost_engineThatDiesTakesItsGuestAndANewEpoch(t *testing.T) {
	m := newMachine(t)
	m.boot()
	ticket := m.attach("root")
	m.order(ticket, `echo "$HOLDFAST_EPOCH"; exec sleep 1000`)
	first, guest := m.serving(1), m.guest(domain.PhaseRunning, 0)
	oldGuest, err := proc.Identify(guest.PID)
	require.NoError(t, err)
	m.printed("1\n")

	kill(t, first.PID)
	second := m.serving(2)
	require.False(t, oldGuest.Alive(), "no guest of the dead engine may meet the new one")
	require.NotEqual(t, ticket.AttachID, second.AttachID)
	again := m.guest(domain.PhaseRunning, guest.PID)
	require.Equal(t, guest.Run, again.Run)
	require.Len(t, m.control.begun, 1)
	require.Equal(t, volume.Epoch(1), m.control.begun[0].After)
	m.printed("1\n2\n")
}

func TestHost_engineThatDiedWhileNoDaemonRanIsNeverStartedAgain(t *testing.T) {
	m := newMachine(t)
	m.boot()
	ticket := m.attach("root")
	first := m.serving(1)
	m.stopHost()
	id := kill(t, first.PID)
	require.Eventually(t, func() bool { return !id.Alive() }, patience, time.Millisecond)
	require.NoError(t, os.RemoveAll(m.run)) // as after a restart of the machine
	m.boot()
	require.NotEqual(t, ticket.AttachID, m.serving(2).AttachID)
}

func TestHost_lostGrantEndsGuestAndEngine(t *testing.T) {
	m := newMachine(t)
	m.boot()
	ticket := m.attach("root")
	m.order(ticket, "trap '' TERM; exec sleep 1000")
	first, guest := m.serving(1), m.guest(domain.PhaseRunning, 0)
	engineID, err := proc.Identify(first.PID)
	require.NoError(t, err)
	guestID, err := proc.Identify(guest.PID)
	require.NoError(t, err)

	m.control.set(func(a *peer.Assignment) { a.Attach, a.Domains = nil, nil })
	require.Eventually(t, func() bool { return !engineID.Alive() && !guestID.Alive() }, patience,
		5*time.Millisecond)
	require.Eventually(t, func() bool {
		engines, domains := m.host.Status()
		return len(engines) == 0 && len(domains) == 0
	}, patience, 5*time.Millisecond)
	require.Empty(t, m.control.begun, "a grant that is another's is not asked back")
}

func TestHost_fencedEngineKillsItsGuest(t *testing.T) {
	m := newMachine(t)
	m.boot()
	ticket := m.attach("root")
	m.order(ticket, "exec sleep 1000")
	m.serving(1)
	guest := m.guest(domain.PhaseRunning, 0)
	guestID, err := proc.Identify(guest.PID)
	require.NoError(t, err)
	require.Eventually(t, func() bool { // the guard is told right after the start
		_, response, err := ask(t.Context(), EngineDir(m.run, "root"),
			engine.Request{Verb: engine.VerbStatus})
		if err == nil && response.Status.State == peer.EngineServing { // else it is at its end
			require.NoError(t, os.WriteFile(filepath.Join(EngineDir(m.run, "root"), "fence"), nil, 0o600))
		}
		return !guestID.Alive()
	}, patience, 5*time.Millisecond)
}

func TestHost_guestThatEndsByItselfStaysDown(t *testing.T) {
	m := newMachine(t)
	m.boot()
	m.order(m.attach("root"), "exit 7")
	ended := m.guest(domain.PhaseExited, -1)
	require.Equal(t, "exit status 7", ended.Error)
	m.control.set(func(*peer.Assignment) {})
	m.control.set(func(a *peer.Assignment) { a.Domains[0].Run = 2 })
	require.Eventually(t, func() bool { return m.guest(domain.PhaseExited, -1).Run == 2 }, patience,
		5*time.Millisecond)
}

func TestHost_ticketsSecretsAreNowhereOnDisk(t *testing.T) {
	m := newMachine(t)
	m.boot()
	m.attach("root")
	m.serving(1)
	for _, root := range []string{m.run, m.data} {
		require.NoError(t, filepath.WalkDir(root, func(path string, e os.DirEntry, err error) error {
			if err != nil || !e.Type().IsRegular() {
				return err
			}
			text, err := os.ReadFile(path)
			require.NotContains(t, string(text), "s3cret", path)
			return err
		}))
	}
}

func TestHost_damagedLedgerIsRefused(t *testing.T) {
	data := t.TempDir()
	require.NoError(t, os.WriteFile(spentFile(data), []byte("{"), 0o600))
	_, err := New(Options{RunDir: "/run/x", DataDir: data})
	require.ErrorContains(t, err, spentFile(data))
}
