package host

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/domain"
	"github.com/holdfast-storage/holdfast/domain/proc"
	"github.com/holdfast-storage/holdfast/domain/qga"
	"github.com/holdfast-storage/holdfast/node/engine"
	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// fakeCopy is the copy of a fake engine. What was done of it stands in a log beside the directories of all engines. A
// file "fail-VERB" in the engine's directory has it refuse, "slow-VERB" has it do so late, "lost" has it lose its
// clone.
type fakeCopy struct {
	dir, name string
	status    *peer.CopyStatus
}

// answer does what a request says, and returns what is wrong with it.
func (f *fakeCopy) answer(r engine.Request) error {
	switch r.Verb {
	case engine.VerbCopy, engine.VerbCopyHold, engine.VerbCopyEnd, engine.VerbCopyRelease, engine.VerbCopyStop:
	default:
		return nil
	}
	if _, err := os.Stat(filepath.Join(f.dir, "slow-"+string(r.Verb))); err == nil {
		<-time.After(300 * time.Millisecond)
	}
	log, err := os.OpenFile(filepath.Join(filepath.Dir(f.dir), "copies.log"),
		os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = log.WriteString(f.name + " " + string(r.Verb) + "\n")
		err = errors.Join(err, log.Close())
	}
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(f.dir, "fail-"+string(r.Verb))); err == nil {
		return errors.New("it was told to fail")
	}
	switch r.Verb {
	case engine.VerbCopy:
		f.status = &peer.CopyStatus{Group: r.Copy.Group, Volume: r.Copy.Volume, Epoch: r.Copy.Epoch,
			State: peer.CopyNear}
	case engine.VerbCopyHold:
		f.status.State, f.status.Cut = peer.CopyHeld, r.Cut.Cut
	case engine.VerbCopyEnd:
		f.status.State = peer.CopyEnded
	case engine.VerbCopyRelease:
		if f.status.State == peer.CopyHeld {
			f.status.State, f.status.Cut = peer.CopyNear, volume.UUID{}
		}
	case engine.VerbCopyStop:
		f.status = nil
	}
	return nil
}

func (f *fakeCopy) report() *peer.CopyStatus {
	if _, err := os.Stat(filepath.Join(f.dir, "lost")); err == nil && f.status != nil {
		f.status.Lost = true
	}
	return f.status
}

// cloning is a host that is to fill clones of two volumes at one moment.
type cloning struct {
	*machine
	order peer.CloneOrder
}

func newCloning(t *testing.T) *cloning {
	t.Helper()
	m := &cloning{machine: newMachine(t), order: peer.CloneOrder{Group: volume.NewUUID()}}
	m.boot()
	var tickets []peer.Ticket
	for _, name := range []string{"a", "a2", "b", "b2"} {
		tickets = append(tickets, peer.Ticket{Volume: volume.NewID(), Name: name, SizeBytes: 1 << 20,
			Layout: volume.Mirror(1), Epoch: volume.Epoch(len(tickets) + 1), AttachID: volume.NewAttachID(),
			Legs: []peer.TicketLeg{{ID: volume.NewLegID(), Secret: "s3cret"}}})
	}
	for i := 0; i < 4; i += 2 {
		m.order.Fills = append(m.order.Fills, peer.CloneFill{Volume: tickets[i+1].Volume, Name: tickets[i+1].Name,
			Epoch: tickets[i+1].Epoch, Source: tickets[i].Volume, SourceEpoch: tickets[i].Epoch})
	}
	m.control.set(func(a *peer.Assignment) { a.Attach = tickets })
	for e := range tickets {
		m.serving(volume.Epoch(e + 1))
	}
	return m
}

func (m *cloning) want() {
	m.control.set(func(a *peer.Assignment) { a.Clones = []peer.CloneOrder{m.order} })
}

// log returns what the engines were asked about copies, in order.
func (m *cloning) log() []string {
	m.t.Helper()
	text, err := os.ReadFile(filepath.Join(EngineDir(m.run, ""), "copies.log"))
	if os.IsNotExist(err) {
		return nil
	}
	require.NoError(m.t, err)
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

func (m *cloning) count(line string) int {
	n := 0
	for _, l := range m.log() {
		if l == line {
			n++
		}
	}
	return n
}

func (m *cloning) file(name, file string) string { return filepath.Join(EngineDir(m.run, name), file) }

// told waits until the coordinators were told that the group is cut.
func (m *cloning) told() raft.EndClones {
	m.t.Helper()
	var found raft.EndClones
	require.Eventually(m.t, func() bool {
		m.control.mu.Lock()
		defer m.control.mu.Unlock()
		if len(m.control.cut) > 0 {
			found = m.control.cut[0]
		}
		return len(m.control.cut) > 0
	}, patience, 5*time.Millisecond)
	return found
}

// last returns where a line is in the log for the last time.
func (m *cloning) last(line string) int {
	m.t.Helper()
	all := m.log()
	slices.Reverse(all)
	i := slices.Index(all, line)
	require.GreaterOrEqual(m.t, i, 0, line)
	return len(all) - 1 - i
}

func TestClones_allAreHeldBeforeOneIsComplete(t *testing.T) {
	m := newCloning(t)
	require.NoError(t, os.WriteFile(m.file("b", "slow-copy_hold"), nil, 0o600))
	m.want()
	said := m.told()
	require.Equal(t, m.order.Group, said.Group)
	require.False(t, said.Frozen, "there is no guest")
	require.Len(t, said.Clones, 2)
	for i, f := range m.order.Fills {
		require.Equal(t, raft.CutClone{Volume: f.Volume, Epoch: f.Epoch, SourceEpoch: f.SourceEpoch}, said.Clones[i])
	}
	for _, held := range []string{"a copy_hold", "b copy_hold"} {
		for _, complete := range []string{"a copy_end", "b copy_end"} {
			require.Less(t, m.last(held), slices.Index(m.log(), complete))
		}
	}
	require.Equal(t, m.count("a copy"), 1)

	// The order is withdrawn: so are the copies.
	m.control.set(func(a *peer.Assignment) { a.Clones = nil })
	require.Eventually(t, func() bool { return m.count("a copy_stop") > 0 && m.count("b copy_stop") > 0 }, patience,
		5*time.Millisecond)
}

// One of the two fails at the cut: both go on, what was complete too, and are cut anew.
func TestClones_aCutThatFailsForOneFailsForAll(t *testing.T) {
	m := newCloning(t)
	require.NoError(t, os.WriteFile(m.file("b", "fail-copy_end"), nil, 0o600))
	m.want()
	require.Eventually(t, func() bool { return m.count("a copy_end") > 0 && m.count("b copy_release") > 0 }, patience,
		5*time.Millisecond)
	require.Eventually(t, func() bool { return m.count("a copy") == 2 }, patience, 5*time.Millisecond, "it goes on")
	m.control.mu.Lock()
	require.Empty(t, m.control.cut)
	m.control.mu.Unlock()
	require.NoError(t, os.Remove(m.file("b", "fail-copy_end")))
	m.told()
	require.GreaterOrEqual(t, m.count("a copy_end"), 2)
}

// The daemon ends when both are complete and before the coordinators know: the next one says so, and resumes nothing.
func TestClones_theNextDaemonTellsWhatIsComplete(t *testing.T) {
	m := newCloning(t)
	m.control.mu.Lock()
	m.control.deaf = true
	m.control.mu.Unlock()
	m.want()
	require.Eventually(t, func() bool { return m.count("a copy_end") > 0 && m.count("b copy_end") > 0 }, patience,
		5*time.Millisecond)
	m.stopHost()
	require.Zero(t, m.count("a copy_stop"), "it is the next daemon's")
	m.control.mu.Lock()
	m.control.deaf = false
	m.control.mu.Unlock()
	m.boot()
	m.told()
	require.Equal(t, 1, m.count("a copy"))
	require.Equal(t, 1, m.count("a copy_end"))
}

// A copy whose clone is lost is not trusted any more: the clone's engine ends, and with it that attachment.
func TestClones_anEngineThatIsLostIsGivenUp(t *testing.T) {
	m := newCloning(t)
	require.NoError(t, os.WriteFile(m.file("a", "fail-copy_hold"), nil, 0o600)) // so that it is not cut
	before := m.serving(2)
	id, err := proc.Identify(before.PID)
	require.NoError(t, err)
	m.want()
	require.Eventually(t, func() bool { return m.count("a copy") > 0 }, patience, 5*time.Millisecond)
	require.NoError(t, os.WriteFile(m.file("a", "lost"), nil, 0o600))
	require.Eventually(t, func() bool { return !id.Alive() }, patience, 5*time.Millisecond)
}

// A copy of a group that nobody wants is ended, whoever began it.
func TestClones_strayCopiesEnd(t *testing.T) {
	m := newCloning(t)
	e := &running{name: "a", dir: EngineDir(m.run, "a")}
	g, _, err := statusWithin(t.Context(), e.dir)
	require.NoError(t, err)
	e.hello = g.hello
	p := pair{source: e}
	require.NoError(t, p.request(t.Context(), engine.Request{Verb: engine.VerbCopy,
		Copy: &engine.CopyOrder{Group: volume.NewUUID()}}))
	require.Eventually(t, func() bool { return m.count("a copy_stop") > 0 }, patience, 5*time.Millisecond)
}

func TestNextOf_isTotal(t *testing.T) {
	one, other := volume.NewUUID(), volume.NewUUID()
	at := func(state peer.CopyState, cut volume.UUID) peer.CopyStatus {
		return peer.CopyStatus{State: state, Cut: cut}
	}
	none := volume.UUID{}
	for name, c := range map[string]struct {
		copies []peer.CopyStatus
		want   copiesNext
	}{
		"much is left":          {[]peer.CopyStatus{at(peer.CopyRuns, none)}, copiesWait},
		"much is left of one":   {[]peer.CopyStatus{at(peer.CopyNear, none), at(peer.CopyRuns, none)}, copiesWait},
		"near":                  {[]peer.CopyStatus{at(peer.CopyNear, none), at(peer.CopyNear, none)}, copiesCut},
		"held":                  {[]peer.CopyStatus{at(peer.CopyNear, none), at(peer.CopyHeld, one)}, copiesRelease},
		"held beside complete":  {[]peer.CopyStatus{at(peer.CopyEnded, one), at(peer.CopyHeld, one)}, copiesRelease},
		"complete":              {[]peer.CopyStatus{at(peer.CopyEnded, one), at(peer.CopyEnded, one)}, copiesTell},
		"complete, and near":    {[]peer.CopyStatus{at(peer.CopyEnded, one), at(peer.CopyNear, none)}, copiesResume},
		"complete, of two cuts": {[]peer.CopyStatus{at(peer.CopyEnded, one), at(peer.CopyEnded, other)}, copiesResume},
	} {
		require.Equal(t, c.want, nextOf(c.copies), name)
	}
}

// agentGuest is a guest with an agent, which says what it is asked.
type agentGuest struct {
	domain.Process
	dir string
	log func(string)
	bad map[string]error

	mu sync.Mutex
}

func (g *agentGuest) Order() domain.Order { return domain.Order{Name: "web1", Dir: g.dir, Run: 1} }
func (g *agentGuest) State() domain.State { return domain.State{Phase: domain.PhaseRunning} }
func (g *agentGuest) HasAgent() bool      { return true }
func (g *agentGuest) AskAgent(context.Context) error {
	return g.bad["ask"]
}

func (g *agentGuest) Frozen(context.Context) (bool, error) { return false, nil }

func (g *agentGuest) Freeze(context.Context) (int, error) {
	g.log("freeze")
	return 1, g.bad["freeze"]
}

func (g *agentGuest) Thaw(context.Context) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.log("thaw")
	err := g.bad["thaw"]
	delete(g.bad, "thaw") // once
	return err
}

// A guest that may be frozen has its mark before, and is let go whatever happens.
func TestFreeze(t *testing.T) {
	h, err := New(Options{RunDir: t.TempDir(), DataDir: t.TempDir()})
	require.NoError(t, err)
	marked := func(g *agentGuest) bool { return marked(g.Order()) }
	go func() { // the loop
		for {
			select {
			case f := <-h.events:
				f()
			case <-t.Context().Done():
				return
			}
		}
	}()
	newGuest := func(bad map[string]error) (*agentGuest, *[]string) {
		var said []string
		g := &agentGuest{dir: t.TempDir(), bad: bad}
		g.log = func(what string) {
			require.True(t, marked(g), what)
			said = append(said, what)
		}
		return g, &said
	}
	g, said := newGuest(nil)
	require.True(t, h.freezeGuest(t.Context(), g))
	require.True(t, marked(g))
	h.thawGuest(g)
	require.False(t, marked(g))
	require.Equal(t, []string{"freeze", "thaw"}, *said)

	silent := errors.New("no answer")
	g, said = newGuest(map[string]error{"ask": silent})
	require.False(t, h.freezeGuest(t.Context(), g), "it is not even tried")
	require.Empty(t, *said)

	g, said = newGuest(map[string]error{"freeze": silent, "thaw": silent})
	require.False(t, h.freezeGuest(t.Context(), g))
	require.False(t, marked(g))
	require.Equal(t, []string{"freeze", "thaw", "thaw"}, *said, "it may be frozen: it is let go, until that is heard")

	g, said = newGuest(map[string]error{"freeze": &qga.Error{Class: "GenericError"}})
	require.False(t, h.freezeGuest(t.Context(), g))
	require.False(t, marked(g))
	require.Equal(t, []string{"freeze"}, *said, "who has frozen it lets it go")

	// One that is sent to another host is not frozen, and one that may be frozen is not sent: nobody there would know.
	g, said = newGuest(nil)
	asLoop := func(f func()) {
		done := make(chan struct{})
		h.post(func() { f(); close(done) })
		<-done
	}
	asLoop(func() { h.sendings["web1"] = &sending{} })
	require.False(t, h.freezeGuest(t.Context(), g))
	require.Empty(t, *said)
	require.False(t, marked(g))
	asLoop(func() { delete(h.sendings, "web1") })
	require.True(t, h.freezeGuest(t.Context(), g))
	asLoop(func() {
		h.guests["web1"] = hosted{process: g}
		h.send([]sendOrder{{name: "web1", run: 1}})
		require.Empty(t, h.sendings)
	})
	h.thawGuest(g)
}
