package initiator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-storage/holdfast/block"
)

// errChanged means that another unit, or one of another size, is where ours was. It is
// block.ErrFailed: nothing may be written to it.
var errChanged = fmt.Errorf("another unit answers than before: %w", block.ErrFailed)

// logoutTimeout bounds the farewell of a LUN that is closed.
const logoutTimeout = 2 * time.Second

// keep keeps a session up until the LUN is closed or there is no hope any more.
func (l *LUN) keep(ctx context.Context, session *Session) {
	defer close(l.stopped)
	for session != nil {
		select {
		case <-session.Ended():
		case <-ctx.Done():
			farewell, cancel := context.WithTimeout(context.WithoutCancel(ctx), logoutTimeout)
			// An error changes nothing: the session has ended either way.
			_ = session.Logout(farewell)
			cancel()
			return
		}
		l.mu.Lock()
		l.session, l.queue = nil, nil
		l.mu.Unlock()
		session = l.relogin(ctx)
	}
}

// relogin makes a new session and sends what was held back. It returns nil if the LUN was closed or
// condemned.
func (l *LUN) relogin(ctx context.Context) *Session {
	pause := l.options.BackoffMin
	for {
		session, queue, err := l.connect(ctx)
		if err == nil {
			l.mu.Lock()
			l.session, l.queue = session, queue
			held := l.requests.assign(queue)
			l.mu.Unlock()
			for _, lr := range held {
				lr.send(queue)
			}
			return session
		}
		if errors.Is(err, block.ErrFenced) || errors.Is(err, errChanged) {
			l.options.Session.Log.Info("iscsi lun", "state", "given up",
				"target", l.options.Session.TargetName, "lun", l.options.LUN, "cause", err)
			l.condemn(err)
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
			pause = min(2*pause, l.options.BackoffMax)
		}
	}
}

// connect makes one session and the queue of the unit on it. After the first time the unit has to
// be the same.
func (l *LUN) connect(ctx context.Context) (*Session, *RequestQueue, error) {
	ctx, cancel := context.WithTimeout(ctx, l.options.Session.LoginTimeout)
	defer cancel()
	conn, err := l.options.Dial(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("connect to %s: %w: %w",
			l.options.Session.TargetName, block.ErrUnreachable, err)
	}
	session, err := Login(ctx, conn, l.options.Session)
	if err != nil {
		return nil, nil, err
	}
	unit, identity, err := Probe(ctx, session, l.options.LUN)
	if err == nil && l.deviceMethods != nil && (unit != l.unit || identity != l.identity) {
		err = fmt.Errorf("%s: lun %d: %w", l.options.Session.TargetName, l.options.LUN, errChanged)
	}
	var queue *RequestQueue
	if err == nil {
		queue, err = NewRequestQueue(session, unit)
	}
	if err != nil {
		session.Close()
		if ctx.Err() != nil {
			err = fmt.Errorf("%s: lun %d: %w: %w", l.options.Session.TargetName, l.options.LUN,
				block.ErrUnreachable, err)
		}
		return nil, nil, err
	}
	l.unit, l.identity = unit, identity
	return session, queue, nil
}
