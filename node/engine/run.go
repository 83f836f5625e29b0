package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/block/plug"
	"github.com/holdfast-storage/holdfast/block/throttle"
	"github.com/holdfast-storage/holdfast/export/nbd"
	"github.com/holdfast-storage/holdfast/mirror"
	"github.com/holdfast-storage/holdfast/netio"
	"github.com/holdfast-storage/holdfast/node/identity"
	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/volume"
)

// lingerTime is how long an engine that lost its grant goes on to say so before it ends, for a
// daemon that was paused together with it.
const lingerTime = 10 * time.Second

// shutdownTime is how long the guest's last requests may take when the volume is detached.
const shutdownTime = 5 * time.Second

// Options configures Run.
type Options struct {
	Input  io.Reader     // holds the start document
	Logger *slog.Logger  // required; Info carries state transitions only
	Timing mirror.Timing // zero fields take the mirror's defaults
}

// ErrOver means that the attachment ended against the engine's will: the grant was lost, or the
// volume can no longer be served by it. The guest was killed.
var ErrOver = errors.New("the attachment is over")

// Run is the life of one engine: it attaches, serves, and returns when it was detached (nil), when
// ctx ends (nil: the grant is left as it is, and the daemon decides), or when the attachment is over
// (ErrOver).
func Run(ctx context.Context, o Options) error {
	start, err := ReadStart(o.Input)
	if err != nil {
		return err
	}
	id, err := identity.Load(identity.Files{CA: start.Identity.CAFile, Cert: start.Identity.CertFile,
		Key: start.Identity.KeyFile})
	if err != nil {
		return fmt.Errorf("engine of volume %s: %w", start.Ticket.Name, err)
	}
	log := o.Logger.With("volume", start.Ticket.Name, "epoch", start.Ticket.Epoch.String())
	coordinators := peer.NewClient(peer.ClientOptions{Peers: start.Coordinators, TLS: id.ClientTLS(), Logger: log,
		Follow: peer.Lineage{Incarnation: start.Ticket.Incarnation, Generation: start.Ticket.Generation}})
	defer coordinators.Close()
	p := newProcess(start, coordinators, log)
	p.identity = id
	set, err := mirror.New(p.mirrorOptions(o))
	if err != nil {
		return fmt.Errorf("engine of volume %s: %w", start.Ticket.Name, err)
	}
	if err := p.measure(set); err != nil {
		return errors.Join(fmt.Errorf("engine of volume %s: %w", start.Ticket.Name, err), set.Close())
	}
	return p.run(ctx)
}

// coordinators is what the process needs of peer.Client.
type coordinators interface {
	commander
	EngineHeartbeat(ctx context.Context, h peer.EngineHeartbeat) ([]peer.HeartbeatReply, error)
	Ticket(ctx context.Context, v volume.ID, a volume.AttachID, after uint64) (peer.Ticket, error)
	SetPeers(peers []peer.Peer)
}

// set is what the process needs of mirror.Engine.
type set interface {
	block.Queue
	Attach(ctx context.Context) error
	Detach(ctx context.Context) (clean bool, err error)
	Limits() block.Limits
	SetLegs(legs []mirror.LegSpec) error
	Knows(leg volume.LegID) bool
	Scrub(o mirror.ScrubOrder) error
	Status() mirror.Status
	Close() error
}

// process is one engine at work.
type process struct {
	start        Start
	log          *slog.Logger
	coordinators coordinators
	authority    *authority
	identity     *identity.Identity
	guests       *guests
	set          set
	guards       *guards
	scrubs       *scrubber
	copies       *copier
	legs         map[volume.LegID]*leg // of the newest ticket; only of who takes tickets
	began        time.Time             // of the process
	connecting   time.Time             // when Attach was called
	waits        *netio.Waits          // of the legs' sessions and the export's connections
	bursts       plug.Plug             // what a burst of requests or answers brings about is sent together

	life    context.Context // ends with the process
	stop    context.CancelFunc
	running sync.WaitGroup

	lost     chan struct{} // closed when the attachment is over
	detach   chan struct{} // holds a token when a detach is asked for
	detached chan struct{} // closed when a detach has been tried, with its result in detachErr

	mu          sync.Mutex // protects what follows; never held across I/O
	serving     bool
	isDetaching bool
	heard       bool                 // the last heartbeat was answered
	pace        time.Duration        // of heartbeats, as of the last one
	offers      []volume.Offer       // of the exports that answer, that of NBD first
	faults      []volume.ExportFault // of those that do not
	end         peer.EngineState     // how it ended; "" while it lives
	endReason   string
	overCause   error
	detachErr   error
	nodes       map[volume.LegID]string // of the legs, as the newest ticket names them

	registry *prometheus.Registry
	meter    *meter
	throttle *throttle.Throttle
}

func newProcess(start Start, c coordinators, log *slog.Logger) *process {
	life, stop := context.WithCancel(context.Background())
	p := &process{
		start: start, log: log, coordinators: c, guards: newGuards(log), began: time.Now(),
		authority: &authority{coordinators: c, volume: start.Ticket.Volume},
		guests:    &guests{volume: start.Ticket.Volume, series: start.Ticket.Credentials, log: log},
		life:      life, stop: stop, waits: netio.NewWaits(),
		lost: make(chan struct{}), detach: make(chan struct{}, 1), detached: make(chan struct{}),
	}
	p.scrubs = newScrubber(p)
	return p
}

// measure makes a mirror the process's, counts what goes through to it and holds that to the volume's limit.
func (p *process) measure(s set) error {
	p.set, p.registry = s, prometheus.NewRegistry()
	labelled := prometheus.WrapRegistererWith(prometheus.Labels{"volume": p.start.Ticket.Name}, p.registry)
	var err error
	// What waits for a copy's cut counts as the guest sees it, and is in no queue but the tracker's.
	p.copies = newCopier(p, s)
	if p.throttle, err = newThrottle(p.copies.tracker, &p.bursts, labelled); err != nil {
		return err
	}
	if p.meter, err = newMeter(p.throttle, labelled); err != nil {
		return err
	}
	p.takeLimit(p.start.Ticket.Limit)
	return labelled.Register(newSetCollector(p))
}

func (p *process) mirrorOptions(o Options) mirror.Options {
	ticket, t := &p.start.Ticket, o.Timing
	if t.TRead == 0 {
		t.TRead = ticket.TRead // the coordinators wait by it before a takeover
	}
	return mirror.Options{
		Name: ticket.Name, Epoch: ticket.Epoch, AttachID: ticket.AttachID,
		SizeBytes: ticket.SizeBytes, Layout: ticket.Layout, Durability: ticket.Durability,
		Legs: p.legSpecs(ticket.Legs), Authority: p.authority, Clock: bootClock{}, Timing: t,
		Observer: mirror.Observer{Stopped: p.over, Scrubbed: p.scrubs.ended},
		Logger:   o.Logger, // it names volume and epoch itself
	}
}

// run serves until the end. Whatever the end is, nothing of the engine is left behind it.
func (p *process) run(ctx context.Context) error {
	listener, err := nbd.Listen(ControlSocket(p.start.RunDir))
	if err != nil {
		return fmt.Errorf("engine of volume %s: control socket: %w", p.start.Ticket.Name, err)
	}
	p.connecting = time.Now()
	control := serveControl(p, listener)
	attached := make(chan error, 1)
	p.running.Go(func() { attached <- p.set.Attach(p.life) })
	p.running.Go(p.heartbeats)
	p.running.Go(p.watchTicket)
	p.running.Go(p.scrubs.run)
	if p.start.Ticket.Detach {
		p.askDetach("the ticket")
	}

	x := newExports(p)
	result := p.serve(ctx, attached, x)
	x.close()
	if errors.Is(result, ErrOver) {
		p.linger(ctx)
		p.guards.settle(ctx)
	}
	p.stop() // first: a request on the control socket may be waiting for what will not come
	control.close()
	err = p.set.Close()
	p.throttle.Lift() // what still waits is refused: the mirror is closed
	p.copies.tracker.Close()
	p.running.Wait()
	p.guards.close()
	return errors.Join(result, err)
}

// serve waits for the end of the attachment, and opens the exports when the volume is attached.
func (p *process) serve(ctx context.Context, attached <-chan error, x *exports) error {
	for {
		select {
		case <-ctx.Done():
			p.log.Info("engine ends without detaching", "cause", context.Cause(ctx))
			return nil
		case <-p.lost:
			return p.overError()
		case err := <-attached:
			if err == nil {
				err = x.open()
			}
			if err != nil {
				p.over(err)
			} else {
				p.scrubs.serve()
			}
			attached = nil
		case err := <-x.failed:
			p.over(err)
		case <-p.detach:
			return p.leave(ctx, x)
		}
	}
}

// over ends the attachment: the guest is killed first, and nothing is answered to it any more. It
// is safe to call from anywhere, again and again; the first cause counts.
func (p *process) over(cause error) {
	state := peer.EngineFailed
	if errors.Is(cause, block.ErrFenced) || errors.Is(cause, mirror.ErrSuperseded) {
		state = peer.EngineFenced
	}
	p.finish(state, cause.Error())
	p.guards.strike()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.overCause == nil {
		p.overCause = cause
		p.log.Warn("attachment over", "state", string(state), "cause", cause)
		close(p.lost)
	}
}

func (p *process) overError() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return fmt.Errorf("engine of volume %s: %w: %w", p.start.Ticket.Name, ErrOver, p.overCause)
}

// linger lets the daemon see how the engine ended.
func (p *process) linger(ctx context.Context) {
	timer := time.NewTimer(lingerTime)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
