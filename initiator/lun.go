package initiator

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/scsi"
)

// LUNOptions configure a LUN.
type LUNOptions struct {
	// Session is how every session is made. OnDown is the LUN's own and must be nil.
	Session Options
	// Dial connects to the target's portal; required. It must end when ctx does.
	Dial func(ctx context.Context) (net.Conn, error)
	LUN  uint64 // as it stands in the iSCSI header

	// RequestTimeout is how long a request may take in all, over as many sessions as it needs,
	// before it fails with block.ErrUnreachable; 0 = 60 s.
	RequestTimeout time.Duration
	// BackoffMin and BackoffMax bound the pause before a login is tried again, which doubles from
	// one to the other; 0 = 100 ms and 5 s.
	BackoffMin, BackoffMax time.Duration
}

func (o LUNOptions) withDefaults() LUNOptions {
	o.Session = o.Session.withDefaults()
	if o.RequestTimeout == 0 {
		o.RequestTimeout = 60 * time.Second
	}
	if o.BackoffMin == 0 {
		o.BackoffMin = 100 * time.Millisecond
	}
	if o.BackoffMax == 0 {
		o.BackoffMax = 5 * time.Second
	}
	return o
}

func (o LUNOptions) validate() error {
	var faults []error
	if o.Dial == nil {
		faults = append(faults, errors.New("dial is missing"))
	}
	if o.Session.OnDown != nil {
		faults = append(faults, errors.New("the session's OnDown belongs to the LUN"))
	}
	if o.RequestTimeout < 0 || o.BackoffMin < 0 || o.BackoffMax < o.BackoffMin {
		faults = append(faults, fmt.Errorf("request timeout %v, back-off %v to %v: none may be negative",
			o.RequestTimeout, o.BackoffMin, o.BackoffMax))
	}
	return errors.Join(append(faults, o.Session.validate())...)
}

// deviceMethods are the blocking half of a LUN.
type deviceMethods = block.Device

// LUN is a remote logical unit as a block.Device and as a block.Queue. While its session is down it
// holds requests back and tries to log in again, with the same ISID, so that the target ends the old
// session before the new one begins; then it sends again what was not answered. A request may hence
// be executed twice, which changes nothing as reads, writes and zeroes are idempotent, and
// overlapping requests in flight have no order.
//
// Errors tell apart: block.ErrFenced, a newer epoch holds the target (after a refused login for all
// requests and for good, after RESERVATION CONFLICT for that request); block.ErrUnreachable, no
// answer within RequestTimeout; block.ErrFailed and the like, what the target answered.
//
// A LUN does not notice that a target restarted and lost its write cache. The legs of a volume must
// know that, so they use a Session and not this.
type LUN struct {
	deviceMethods
	options  LUNOptions
	unit     Unit
	identity string
	pool     sync.Pool
	stop     context.CancelFunc
	stopped  chan struct{} // closed when keep has returned

	mu       sync.Mutex
	session  *Session      // nil while down
	queue    *RequestQueue // of session; nil while down
	verdict  error         // why all requests fail from now on; nil while there is hope
	requests requestList   // not completed, in the order of submission
	deadline deadline
}

// OpenLUN connects, logs in, and asks the unit for its limits. It fails at once if that fails; only
// a session that is lost later is made again.
func OpenLUN(ctx context.Context, o LUNOptions) (*LUN, error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("open lun %d of %q: %w", o.LUN, o.Session.TargetName, err)
	}
	l := &LUN{options: o, stopped: make(chan struct{})}
	l.pool.New = func() any {
		lr := &lunRequest{lun: l}
		lr.inner.Complete = lr.answered
		return lr
	}
	session, queue, err := l.connect(ctx)
	if err != nil {
		return nil, err
	}
	l.session, l.queue = session, queue
	l.deviceMethods = block.Blocking(l, queue.Limits(), l.close)
	l.deadline.start(o.RequestTimeout, l.checkDeadline)
	keeping, stop := context.WithCancel(context.Background())
	l.stop = stop
	go l.keep(keeping, session)
	return l, nil
}

// Submit implements block.Queue. It does not block.
func (l *LUN) Submit(r *block.Request) {
	lr := l.pool.Get().(*lunRequest)
	lr.begin(r)
	l.mu.Lock()
	if err := l.verdict; err != nil {
		l.mu.Unlock()
		lr.complete(err)
		return
	}
	l.requests.push(lr)
	l.deadline.arm()
	queue := l.queue
	lr.queue = queue
	l.mu.Unlock()
	lr.send(queue)
}

// close implements Device.Close.
func (l *LUN) close() error {
	l.condemn(block.ErrClosed)
	l.stop()
	<-l.stopped
	return nil
}

// condemn makes all requests fail from now on: those that wait at once, those that are under way
// when their session has let go of them. The first verdict counts.
func (l *LUN) condemn(verdict error) {
	l.mu.Lock()
	if l.verdict != nil {
		l.mu.Unlock()
		return
	}
	l.verdict = verdict
	l.deadline.disarm()
	held := l.requests.takeHeld(func(*lunRequest) bool { return true })
	l.mu.Unlock()
	completeAll(held, verdict)
}

// checkDeadline is what the deadline's timer calls: it fails the requests that are overdue. For one
// that a session still works on, the session has to end first, to let go of its data.
func (l *LUN) checkDeadline() {
	now := time.Now()
	overdue := func(lr *lunRequest) bool { return now.Sub(lr.since) >= l.options.RequestTimeout }
	l.mu.Lock()
	held := l.requests.takeHeld(overdue)
	oldest := l.requests.first
	var stuck *Session
	if oldest != nil && overdue(oldest) {
		stuck, l.deadline.armed = l.session, false
	} else if oldest != nil {
		l.deadline.expired(now, oldest.since)
	} else {
		l.deadline.armed = false
	}
	l.mu.Unlock()
	completeAll(held, l.overdueError())
	if stuck != nil {
		stuck.Abort(l.overdueError())
	}
}

func (l *LUN) overdueError() error {
	return fmt.Errorf("%s: lun %d: no answer within %v: %w", l.options.Session.TargetName, l.options.LUN,
		l.options.RequestTimeout, block.ErrUnreachable)
}

// settle decides what becomes of a request that a session gave back: it is completed, held, or sent
// again if another session is up already.
func (l *LUN) settle(lr *lunRequest, err error) {
	l.mu.Lock()
	if lostSession(err) {
		err = l.verdict
		if err == nil && time.Since(lr.since) >= l.options.RequestTimeout {
			err = l.overdueError()
		}
		if err == nil {
			queue := l.queueAfter(lr.queue)
			lr.queue = queue
			l.deadline.arm()
			l.mu.Unlock()
			lr.send(queue)
			return
		}
	}
	l.requests.remove(lr)
	l.mu.Unlock()
	lr.complete(err)
}

// queueAfter returns the queue to use when an older one is gone, nil if there is none yet.
func (l *LUN) queueAfter(gone *RequestQueue) *RequestQueue {
	if l.queue == gone {
		return nil
	}
	return l.queue
}

// lostSession reports whether a request ended with its session, unlike one for which the target
// answered that something behind it is unreachable.
func lostSession(err error) bool {
	var answered *scsi.StatusError
	return errors.Is(err, block.ErrUnreachable) && !errors.As(err, &answered)
}
