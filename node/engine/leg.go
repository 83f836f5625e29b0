package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/block/plug"
	"github.com/holdfast-storage/holdfast/initiator"
	"github.com/holdfast-storage/holdfast/iscsi"
	"github.com/holdfast-storage/holdfast/mirror"
	"github.com/holdfast-storage/holdfast/netio"
	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/volume"
)

// The times of a leg's sessions. They decide how soon a leg is tried again, never what is safe.
const (
	legDialTimeout  = time.Second
	legLoginTimeout = 10 * time.Second // the leg drains older sessions before it answers
	legDeadline     = 20 * time.Second // longer than a flush may take (mirror.Timing.SlowFlush)
	legPauseMin     = 20 * time.Millisecond
	legPauseMax     = time.Second
	legLogoutTime   = 500 * time.Millisecond
)

// legQueueDepth is how many commands one session has at its leg at once.
const legQueueDepth = 128

// leg adapts the iSCSI sessions to one leg to mirror.Leg. One goroutine logs in, again and again,
// and is the only one that calls the sink.
type leg struct {
	ticket *peer.Ticket // of the attachment; Legs is not used, since it changes
	spec   peer.TicketLeg
	portal atomic.Pointer[string] // where its node answers, by the newest ticket; it may move
	bursts *plug.Plug             // shared by all legs and the export, as waits
	waits  *netio.Waits
	log    *slog.Logger

	stages stageTasks

	sink    mirror.LegSink
	current atomic.Pointer[legSession] // nil between sessions
	life    context.Context
	stop    context.CancelFunc
	running sync.WaitGroup
}

// legSession is one session with what travels on it.
type legSession struct {
	session *initiator.Session
	queue   *initiator.RequestQueue
	down    <-chan error // holds why the session ended, once it has
}

// cause returns why the session ended; it is asked once, after the end.
func (s *legSession) cause() error {
	select {
	case err := <-s.down:
		return err
	default:
		return block.ErrUnreachable
	}
}

var _ mirror.Leg = (*leg)(nil)

func newLeg(t *peer.Ticket, spec peer.TicketLeg, bursts *plug.Plug, waits *netio.Waits,
	log *slog.Logger) *leg {
	life, stop := context.WithCancel(context.Background())
	l := &leg{ticket: t, spec: spec, bursts: bursts, waits: waits, life: life, stop: stop,
		log: log.With("leg", spec.ID.Short(), "node", spec.Node)}
	l.moveTo(spec.Portal)
	return l
}

// moveTo says where the leg's node answers from now on: the next login goes there. A session that
// stands is left alone. Who answers there is settled by the leg's name and secret, not by the address.
func (l *leg) moveTo(portal string) { l.portal.Store(&portal) }

// ID names the leg.
func (l *leg) ID() volume.LegID { return l.spec.ID }

// Start begins to connect. It is called once.
func (l *leg) Start(sink mirror.LegSink) {
	l.sink = sink
	l.running.Go(l.run)
}

// Stop ends the session and the reconnecting, and waits for that. It must not be called from a
// method of the sink.
func (l *leg) Stop() {
	l.stop()
	l.running.Wait()
}

// Reset ends the current session as if its connection were lost.
func (l *leg) Reset(reason string) {
	if s := l.current.Load(); s != nil {
		s.session.Abort(fmt.Errorf("reset: %s", reason))
	}
}

// Submit sends one request on the current session.
func (l *leg) Submit(r *block.Request) {
	s := l.current.Load()
	if s == nil {
		r.Complete(r, l.noSession())
		return
	}
	s.queue.Submit(r)
}

// Ping asks for a sign of life on the current session.
func (l *leg) Ping(done func(error)) {
	s := l.current.Load()
	if s == nil {
		done(l.noSession())
		return
	}
	s.session.Ping(done)
}

func (l *leg) noSession() error {
	return fmt.Errorf("leg %s on %s: no session: %w", l.spec.ID.Short(), l.spec.Node, block.ErrUnreachable)
}

// run keeps one session after the other until Stop, or until the leg proves that it was fenced:
// after that no login could ever succeed.
func (l *leg) run() {
	pause := legPauseMin
	for l.life.Err() == nil {
		s, report, err := l.login()
		if l.life.Err() != nil {
			if s != nil {
				s.session.Close()
			}
			return
		}
		if err != nil {
			err = loginFailure(err)
			l.sink.Down(l.spec.ID, fmt.Errorf("leg %s on %s: %w", l.spec.ID.Short(), l.spec.Node, err))
			if errors.Is(err, block.ErrFenced) {
				return
			}
			l.wait(pause)
			pause = min(2*pause, legPauseMax)
			continue
		}
		pause = legPauseMin
		l.serve(s, report)
	}
}

// serve lends a session to the mirror until it ends, and returns when everything on it has
// completed and the mirror has heard of its end.
func (l *leg) serve(s *legSession, report volume.LegReport) {
	l.current.Store(s)
	l.sink.Up(l.spec.ID, report)
	select {
	case <-s.session.Ended():
	case <-l.life.Done():
		ctx, cancel := context.WithTimeout(context.Background(), legLogoutTime)
		_ = s.session.Logout(ctx) // courtesy: the leg takes a lost connection as well
		cancel()
		<-s.session.Ended()
	}
	l.current.Store(nil)
	if l.life.Err() == nil {
		l.sink.Down(l.spec.ID, fmt.Errorf("leg %s on %s: %w", l.spec.ID.Short(), l.spec.Node, s.cause()))
	}
}

func (l *leg) wait(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.life.Done():
	}
}

// login dials, logs in, and asks who is there. A leg that is not the one of the ticket is left
// again: nothing but READ LABEL and questions about the unit were sent to it.
func (l *leg) login() (*legSession, volume.LegReport, error) {
	ctx, cancel := context.WithTimeout(l.life, legDialTimeout+legLoginTimeout)
	defer cancel()
	conn, err := dialPortal(ctx, *l.portal.Load())
	if err != nil {
		return nil, volume.LegReport{}, fmt.Errorf("%w: %w", block.ErrUnreachable, err)
	}
	down := make(chan error, 1)
	options := l.options()
	options.OnDown = func(err error) { down <- err }
	session, err := initiator.Login(ctx, conn, options)
	if err != nil {
		return nil, volume.LegReport{}, err
	}
	queue, report, err := l.introduce(ctx, session)
	if err != nil {
		session.Close()
		if ctx.Err() != nil {
			err = fmt.Errorf("%w: no answer in time: %w", block.ErrUnreachable, err)
		}
		return nil, volume.LegReport{}, err
	}
	return &legSession{session: session, queue: queue, down: down}, report, nil
}

func (l *leg) options() initiator.Options {
	return initiator.Options{
		TargetName:    volume.TargetName(l.spec.ID, l.ticket.Epoch),
		InitiatorName: volume.InitiatorName(l.ticket.AttachID),
		// One ISID for every login of this attachment to this leg: a login reinstates the session
		// that was lost, so that nothing of it can land later (protocol-flush B.2).
		ISID:         iscsi.ISID{0x80, 0, 0, 0, 0, 1},
		CHAP:         initiator.CHAP{User: volume.ChapUser(l.ticket.AttachID), Secret: l.spec.Secret},
		QueueDepth:   legQueueDepth,
		LoginTimeout: legLoginTimeout,
		Plug:         l.bursts,
		Waits:        l.waits,
		Deadline:     legDeadline,
		Fenced:       func(keys []iscsi.KeyValue) bool { return newerEpoch(l.ticket.Epoch, keys) },
		Log:          l.log,
	}
}

// introduce asks the leg for its label right after the login and checks it against the ticket.
func (l *leg) introduce(ctx context.Context, session *initiator.Session) (
	*initiator.RequestQueue, volume.LegReport, error) {
	report, err := readLabel(ctx, session)
	if err == nil {
		err = checkReport(l.ticket, &l.spec, report)
	}
	if err != nil {
		return nil, report, err
	}
	unit, _, err := initiator.Probe(ctx, session, 0)
	switch {
	case err != nil:
		return nil, report, err
	case unit.Limits.SizeBytes != l.bytes():
		return nil, report, fmt.Errorf("%w: its logical unit has %d bytes, want %d of a leg of %s", block.ErrFailed,
			unit.Limits.SizeBytes, l.bytes(), l.ticket.Layout)
	case mirror.BlockBytes%unit.Limits.BlockBytes != 0:
		return nil, report, fmt.Errorf("%w: its logical blocks have %d bytes", block.ErrFailed,
			unit.Limits.BlockBytes)
	}
	queue, err := initiator.NewRequestQueue(session, unit)
	return queue, report, err
}

// dialPortal connects to a storage node. A node that lost power sends no reset: the kernel gives the
// connection up when nothing is acknowledged for a while, so that a new login is tried.
func dialPortal(ctx context.Context, portal string) (net.Conn, error) {
	d := net.Dialer{Timeout: legDialTimeout, Control: setUserTimeout, KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: time.Second, Interval: time.Second, Count: 3}}
	return d.DialContext(ctx, "tcp", portal)
}
