package initiator

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/block/plug"
	"github.com/holdfast-storage/holdfast/iscsi"
	"github.com/holdfast-storage/holdfast/netio"
)

// Why a session ends when nothing went wrong. Its error wraps one of them beside
// block.ErrUnreachable.
var (
	// ErrLoggedOut means that Logout ended the session.
	ErrLoggedOut = errors.New("logged out")
	// ErrAborted means that Close or Abort ended the session.
	ErrAborted = errors.New("session aborted")
)

// Session is one login's life: from the Login Response on until its connection ends, for whatever
// reason. All its methods may be called by many goroutines at once.
//
// The reader completes tasks, and whoever submits sends them, or the writer when the socket is full. All work on the
// state below under mu, and no I/O is done and no callback called while it is held.
//
// Invariant: at most one goroutine sends, and sending says so.
type Session struct {
	options Options
	conn    net.Conn
	params  iscsi.Params
	keys    []iscsi.KeyValue

	in      *iscsi.Reader // the reader's
	sense   []byte        // the reader's
	holding bool          // the reader holds the plug
	plug    *plug.Plug
	unplug  func()        // takes the session off the plug
	dying   chan struct{} // closed when cause is set
	ended   chan struct{} // closed after OnDown
	workers sync.WaitGroup

	// These belong to whoever sends.
	load   load
	batch  iscsi.Batch
	sender *netio.Sender
	wake   chan struct{} // holds one token when the writer is to go on; never full

	mu       sync.Mutex
	cause    error // why the session ends, wraps block.ErrUnreachable; nil while it lives
	sending  bool  // somebody sends: he sees what is queued before he stops
	tasks    taskTable
	waiting  taskQueue // commands that wait for the window
	resting  taskQueue // commands that were answered BUSY, and wait for their time
	urgent   taskQueue // pings and logout, which the window does not hold up
	orders   []order   // what the target asked for: data-out, answers to its pings
	window   window
	deadline deadline
}

// Login logs in to the target on a connection and returns the session. The connection is the
// session's from now on, also when Login fails.
//
// It blocks until the login is over, at most Options.LoginTimeout. An error is a *LoginError if the
// target refused; wraps block.ErrFailed if the target broke the protocol or could not prove itself;
// wraps block.ErrUnreachable if the connection failed or time ran out.
func Login(ctx context.Context, conn net.Conn, options Options) (*Session, error) {
	options = options.withDefaults()
	if err := options.validate(); err != nil {
		conn.Close()
		return nil, fmt.Errorf("log in to %q: %w", options.TargetName, err)
	}
	conn, err := netio.Direct(conn, options.Waits)
	if err != nil {
		return nil, fmt.Errorf("log in to %q: %w: %w", options.TargetName, block.ErrUnreachable, err)
	}
	l := newLogin(conn, options)
	if err := l.run(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	s := l.session()
	s.unplug = s.plug.Add(s.kick)
	s.workers.Add(2)
	go s.readLoop()
	go s.writeLoop()
	go s.supervise()
	options.Log.Info("iscsi session", "state", "up", "target", options.TargetName)
	return s, nil
}

// TextKeys returns the keys that RFC 7143 does not define and the target sent during login. The
// slice must not be changed.
func (s *Session) TextKeys() []iscsi.KeyValue { return s.keys }

// Params returns what was negotiated.
func (s *Session) Params() iscsi.Params { return s.params }

// Ended is closed when the session has ended, every task has completed and OnDown has returned.
func (s *Session) Ended() <-chan struct{} { return s.ended }

// Submit sends a command, or keeps it until the window has room for it. It does not block. It may call Done of other
// tasks, too, so the caller holds no lock that these take. After the session has ended the task completes at once
// with the session's error.
func (s *Session) Submit(t *Task) {
	t.tries = 0
	s.submit(t)
}

// submit sends a command for the first time, or again.
func (s *Session) submit(t *Task) {
	t.start(kindCommand)
	t.tries++
	if len(t.DataIn) > 0 && len(t.DataOut) > 0 || len(t.DataIn)|len(t.DataOut) > maxTransferBytes {
		t.Err = fmt.Errorf("command %#02x: data in both directions or too long: %w",
			t.CDB[0], block.ErrUnsupported)
		t.Done(t)
		return
	}
	s.enqueue(&s.waiting, t)
}

// maxTransferBytes is the most data that one command can move here.
const maxTransferBytes = 1<<30 - 1

func (s *Session) enqueue(q *taskQueue, t *Task) {
	s.mu.Lock()
	if s.cause != nil {
		t.Err = s.cause
		s.mu.Unlock()
		t.Done(t)
		return
	}
	t.since = time.Now()
	q.push(t)
	s.deadline.arm()
	s.mu.Unlock()
	s.signal()
}

// signal has what is queued sent: now, or together with what else comes of the burst that is being handled.
func (s *Session) signal() {
	if !s.plug.PutOff() {
		s.kick()
	}
}

// Ping asks the target for a sign of life. done is called once, from any goroutine, with nil when
// it answered and with the session's error otherwise. It must not block.
func (s *Session) Ping(done func(error)) {
	t := &Task{Done: func(t *Task) { done(t.Err) }}
	t.start(kindPing)
	s.enqueue(&s.urgent, t)
}

// Logout tells the target that the session is over, and ends it. Commands that are not answered by
// then complete with an error. It blocks until the session has ended; if ctx ends first the session
// is aborted. It must not be called from a callback of the session.
func (s *Session) Logout(ctx context.Context) error {
	answered := make(chan error, 1)
	t := &Task{Done: func(t *Task) { answered <- t.Err }}
	t.start(kindLogout)
	s.enqueue(&s.urgent, t)
	var err error
	select {
	case err = <-answered:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		s.Abort(err)
	} else {
		s.Abort(ErrLoggedOut)
	}
	<-s.ended
	return err
}

// Close ends the session without a word to the target and waits until it has ended. It must not be
// called from a callback of the session.
func (s *Session) Close() {
	s.Abort(ErrAborted)
	<-s.ended
}

// Abort ends the session without a word to the target and does not wait. The first reason given
// counts.
func (s *Session) Abort(reason error) {
	s.mu.Lock()
	if s.cause == nil {
		s.cause = &downError{target: s.options.TargetName, reason: reason}
		close(s.dying)
		s.deadline.disarm()
	}
	s.mu.Unlock()
	s.conn.Close()
}

// downError is the error of a session that ended. It is block.ErrUnreachable and the reason, but
// never another of block's errors: a reason cannot turn a lost session into a fence.
type downError struct {
	target string
	reason error
}

func (e *downError) Error() string {
	return fmt.Sprintf("session to %s: %v: %v", e.target, block.ErrUnreachable, e.reason)
}

func (e *downError) Is(target error) bool {
	switch target {
	case block.ErrUnreachable:
		return true
	case ErrLoggedOut, ErrAborted:
		return errors.Is(e.reason, target)
	}
	return false
}

// supervise waits for the reader, the writer and whoever sends, after which nobody touches a task's buffers, then
// completes what is outstanding, in the order of submission, and reports the end.
func (s *Session) supervise() {
	s.workers.Wait()
	s.unplug()
	s.conn.Close()
	s.mu.Lock()
	cause := s.cause
	var left taskQueue
	for _, q := range []*taskQueue{&s.tasks.inFlight, &s.waiting, &s.resting, &s.urgent} {
		for t := q.pop(); t != nil; t = q.pop() {
			left.push(t)
		}
	}
	s.mu.Unlock()
	for t := left.pop(); t != nil; t = left.pop() {
		if !t.answered {
			t.Err = cause
		}
		t.Done(t)
	}
	s.options.Log.Info("iscsi session", "state", "down", "target", s.options.TargetName, "cause", cause)
	if s.options.OnDown != nil {
		s.options.OnDown(cause)
	}
	close(s.ended)
}

// checkDeadline is what the deadline's timer calls.
func (s *Session) checkDeadline() {
	s.mu.Lock()
	late := s.cause == nil && s.deadline.expired(time.Now(), s.oldest())
	s.mu.Unlock()
	if late {
		s.Abort(fmt.Errorf("no answer within %v", s.options.Deadline))
	}
}

// oldest returns since when the oldest task has been waiting for its answer; zero if there is none.
// A command that is not sent yet waits only once nothing is in front of it.
func (s *Session) oldest() time.Time {
	if t := s.tasks.inFlight.first; t != nil {
		return t.since
	}
	since := time.Time{}
	for _, t := range []*Task{s.waiting.first, s.urgent.first} {
		if t != nil && (since.IsZero() || t.since.Before(since)) {
			since = t.since
		}
	}
	if !since.IsZero() && since.Before(s.tasks.drained) {
		return s.tasks.drained
	}
	return since
}
