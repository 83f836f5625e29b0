package target

import (
	"errors"
	"sync/atomic"
	"time"
)

const (
	// stuckTick is how often a busy connection is looked at: a command that runs on the reader for
	// one whole tick loses the reader.
	stuckTick = 10 * time.Millisecond
	// restTicks is after how many quiet ticks the watch goes back to sleep.
	restTicks = 50
)

// watch is one goroutine that looks after a connection, without a timer for each request: it takes
// the reading from a command that is stuck, pings silent initiators and ends connections that do
// not answer or do not read. An idle connection wakes it once in Options.KeepAlive.
type watch struct {
	heard  atomic.Uint64 // PDUs so far
	turns  atomic.Uint64 // odd while the leader executes a command
	asleep atomic.Bool
	wake   chan struct{}
}

func (w *watch) init() { w.wake = make(chan struct{}, 1) }

// enter says that the leader begins to execute a command.
func (w *watch) enter() (turn uint64) {
	turn = w.turns.Add(1)
	if w.asleep.Load() {
		w.kick()
	}
	return turn
}

// leave says that it has ended and reports whether the caller still is the leader.
func (w *watch) leave(turn uint64) bool { return w.turns.CompareAndSwap(turn, turn+1) }

// kick makes the watch look now, and flush.
func (w *watch) kick() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// watchOver runs until stop is closed.
func (c *conn) watchOver(stop <-chan struct{}) {
	w := &c.watch
	keepAlive := time.NewTicker(c.server.opts.KeepAlive)
	defer keepAlive.Stop()
	tick := time.NewTicker(stuckTick)
	tick.Stop()
	defer tick.Stop()
	var life liveness
	var seen uint64
	quiet := 0
	w.asleep.Store(true)
	for {
		select {
		case <-stop:
			return
		case <-w.wake:
			c.flushWithin(c.server.opts.KeepAlive)
			if w.asleep.CompareAndSwap(true, false) {
				quiet = 0
				tick.Reset(stuckTick)
			}
		case <-tick.C:
			turn := w.turns.Load()
			if turn != seen {
				seen, quiet = turn, 0
				continue
			}
			if turn&1 == 1 {
				c.takeOver(turn)
			}
			if quiet++; quiet > restTicks {
				tick.Stop()
				w.asleep.Store(true)
				// A command may have begun between the two: then nobody has kicked.
				if w.turns.Load() != turn {
					w.kick()
				}
			}
		case <-keepAlive.C:
			c.checkLife(&life)
		}
	}
}

// takeOver starts a new leader if the command of that turn still runs.
func (c *conn) takeOver(turn uint64) {
	if c.watch.turns.CompareAndSwap(turn, turn+1) {
		c.wg.Go(c.lead)
	}
}

// liveness is what the last look at a connection saw.
type liveness struct {
	heard, writes uint64
	asked         bool
}

// checkLife pings an initiator that was silent since the last look, and resets the connection if it
// was asked then already, or if one write has not ended since.
func (c *conn) checkLife(last *liveness) {
	c.mu.Lock()
	now := liveness{heard: c.watch.heard.Load(), writes: c.out.writes}
	stuck := c.out.writing && now.writes == last.writes && last.writes > 0
	c.mu.Unlock()
	switch {
	case stuck:
		c.giveUp(errors.New("the initiator does not read"))
	case now.heard != last.heard:
	case last.asked:
		c.giveUp(errors.New("the initiator does not answer"))
	default:
		now.asked = true
		c.ping()
		c.flushWithin(c.server.opts.KeepAlive)
	}
	*last = now
}

// flushWithin flushes for the watch, which must not wait for an initiator that does not read: then
// the write fails and the connection ends.
func (c *conn) flushWithin(d time.Duration) {
	_ = c.raw.SetWriteDeadline(time.Now().Add(d))
	c.flush()
	_ = c.raw.SetWriteDeadline(time.Time{})
}

// giveUp ends a connection whose peer is gone.
func (c *conn) giveUp(cause error) {
	c.log.Info("connection given up", "cause", cause.Error())
	c.reset()
}
