package host

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/holdfast-storage/holdfast/domain"
	"github.com/holdfast-storage/holdfast/node/engine"
	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// Coordinators is what the host asks of them; peer.Client is one.
type Coordinators interface {
	// Command has a command committed. Result.Err is a refusal; an error means an unknown outcome.
	Command(ctx context.Context, c raft.Command) (raft.Result, error)
	// Assignment returns what the node is to do, as soon as its revision is above after.
	Assignment(ctx context.Context, node volume.NodeID, after uint64) (peer.Assignment, error)
	// Gone returns those of the volumes, at most peer.GoneMax, that there are no more.
	Gone(ctx context.Context, volumes []volume.ID) ([]volume.ID, error)
}

// Options configures a Host.
type Options struct {
	Node    volume.NodeID
	RunDir  string   // absolute; at most config.RunDirMax bytes
	DataDir string   // absolute
	Engine  []string // the command that is an engine; nil is this very program's `engine`
	// Identity names the TLS files that engines use.
	Identity     engine.Identity
	Peers        func() []peer.Peer // the coordinators that a new engine talks to first
	Coordinators Coordinators
	Drivers      map[string]domain.Driver
	Images       Images // nil keeps none
	// Reach returns what reaches another node's HTTPS, with this node's certificate, and no other node. It must speak
	// HTTP/1.1: guests are sent over connections of it.
	Reach  func(volume.NodeID) http.RoundTripper
	Logger *slog.Logger // nil discards
}

// Host is the host role of one node. Assign and Status may be called from any goroutine.
type Host struct {
	options Options
	ledger  *ledger
	began   time.Time
	life    context.Context // ends when Run is to return
	end     context.CancelFunc
	events  chan func() // run by the loop, which alone touches what follows
	core    *core
	engines map[volume.ID]*running
	guests  map[string]hosted
	jobs    sync.WaitGroup
	sockets sockets

	consoles consoles
	sendings map[string]*sending     // of the loop alone
	cloners  map[volume.UUID]*cloner // of the loop alone, by group
	// unsent are the guests to be taken in that this daemon started and nothing was sent to yet. Of the loop alone.
	unsent map[string]domain.Process

	mu    sync.Mutex // protects what Status and Looking return
	found bool       // what ran before is known, and what follows tells of it
	seen  []peer.EngineStatus
	hosts []peer.DomainStatus
}

// hosted is a guest with its driver.
type hosted struct {
	driver  domain.Driver
	process domain.Process
}

// New returns a host that does nothing yet. It fails when the record of spent attachments cannot be
// read: without it, an attachment could be used twice.
func New(o Options) (*Host, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Engine == nil {
		o.Engine = []string{"/proc/self/exe", "engine"} // also when the file was replaced or removed
	}
	l, err := openLedger(spentFile(o.DataDir))
	if err != nil {
		return nil, err
	}
	if o.Images == nil {
		o.Images = noImages{}
	}
	life, end := context.WithCancel(context.Background())
	h := &Host{
		life: life, end: end,
		options: o, ledger: l, began: time.Now(), events: make(chan func(), 64),
		core:    newCore(o.RunDir, l.snapshot()),
		engines: make(map[volume.ID]*running), guests: make(map[string]hosted),
		sendings: make(map[string]*sending), cloners: make(map[volume.UUID]*cloner),
		unsent:   make(map[string]domain.Process),
		sockets:  sockets{log: o.Logger, held: make(map[socketKey]*exportSocket)},
		consoles: consoles{open: make(map[string]*conversation)},
	}
	h.core.images = o.Images
	return h, nil
}

// Run looks for what runs already and then does what Assign says until ctx ends. Engines and guests
// go on when it returns; its own goroutines have ended. It is called once.
func (h *Host) Run(ctx context.Context) error {
	defer context.AfterFunc(ctx, h.end)()
	defer h.end()
	for _, dir := range []string{EngineDir(h.options.RunDir, ""), DomainDir(h.options.RunDir, "")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("host: %w", err)
		}
	}
	err := h.discover()
	if err == nil && h.discoverGuests() {
		h.thawLeft()
		h.jobs.Go(h.prunes)
		h.jobs.Go(h.asksAgents)
		h.loop()
	}
	h.end()
	h.jobs.Wait()
	h.sockets.release()
	for _, g := range h.guests {
		g.process.Release()
	}
	return err
}

// Assign takes in an assignment. It does not wait for what that causes. Before Run it waits for Run.
func (h *Host) Assign(a peer.Assignment) {
	h.post(func() { h.core.assign(a) })
}

// Status returns the state of every engine and domain, for heartbeats.
func (h *Host) Status() ([]peer.EngineStatus, []peer.DomainStatus) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.seen, h.hosts
}

// Looking reports whether the host has yet to find what an earlier daemon started: until then Status is empty, and that
// says nothing. Who asks both asks this first.
func (h *Host) Looking() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !h.found
}

// Life is done when Run is about to return.
func (h *Host) Life() context.Context { return h.life }

func (h *Host) now() time.Duration { return time.Since(h.began) }

// post has the loop run f, unless the host is at its end.
func (h *Host) post(f func()) {
	select {
	case h.events <- f:
	case <-h.life.Done():
	}
}

// loop is the only goroutine that touches core, engines and guests.
func (h *Host) loop() {
	for {
		actions, wait := h.core.step(h.now())
		h.sockets.keep(h.core.mayExport) // first: an action may need the path of one that goes
		for _, a := range actions {
			h.dispatch(a)
		}
		h.send(h.core.sendings())
		h.fill(h.core.clones)
		h.publish()
		var due <-chan time.Time
		if wait > 0 {
			due = time.After(wait)
		}
		select {
		case <-h.life.Done():
			return
		case <-due:
		case f := <-h.events:
			f()
		}
	}
}

func (h *Host) publish() {
	engines, domains := h.core.report()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.found, h.seen, h.hosts = true, engines, domains
}

// discover finds the engines that an earlier daemon started. They are asked at the same
// time, since one that hangs takes its whole timeout.
func (h *Host) discover() error {
	names, err := entries(EngineDir(h.options.RunDir, ""))
	if err != nil {
		return err
	}
	type found struct {
		engine *running
		status peer.EngineStatus
		err    error
	}
	answers := make([]found, len(names))
	var asked sync.WaitGroup
	for i, name := range names {
		asked.Go(func() { answers[i].engine, answers[i].status, answers[i].err = h.adopt(h.life, name) })
	}
	asked.Wait()
	for i, a := range answers {
		if a.err != nil {
			h.options.Logger.Debug("no engine answers", "volume", names[i], "error", a.err)
			continue
		}
		h.options.Logger.Info("engine adopted", "volume", names[i], "epoch", a.status.Epoch,
			"pid", a.engine.handle.ID().PID)
		h.keep(a.engine, a.status)
	}
	return nil
}

func entries(dir string) ([]string, error) {
	list, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("host: %w", err)
	}
	names := make([]string, len(list))
	for i, e := range list {
		names[i] = e.Name()
	}
	return names, nil
}
