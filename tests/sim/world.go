package sim

import (
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/holdfast-storage/holdfast/volume"
)

// world is one run: everything that exists, the queue of what is to happen, and the time. It belongs
// to one goroutine.
type world struct {
	opts    Options
	profile profile
	rng     *rand.Rand
	now     time.Duration // true time; each process sees it through its own clock
	queue   eventQueue
	order   uint64
	steps   int

	set     *paritySet // nil: the volume is a mirror
	raft    *coordinators
	nodes   []*node
	hosts   []*host // engine processes, oldest first
	history history
	watch   observer

	calm        bool           // faults have ended: nothing new goes wrong
	steady      bool           // nothing is left to chance but how long things take
	rotten      map[int64]bool // blocks of which no leg in sync had a good copy when one had rotted
	lied        map[int64]bool // blocks that a lying disk lost without a trace
	diskErrorAt time.Duration  // when a disk failed a request, or had no room, last
	undecided   map[int64]bool // blocks that a change failed for
	scrubs      uint64         // ordered so far
	lateUntil   time.Duration  // when the last login that is late will have come, and been made good for
	frozen      bool           // the volume is frozen, which ends a run
	written     int            // writes that a script has submitted
	ignored     []string       // promises that are not held
	down        bool           // every leg in sync has failed for good
	restored    bool           // the coordinators were restored from an old copy
	media       Media
	violation   *Violation
	trace       traceRing
}

// after has run called when d has passed.
func (w *world) after(d time.Duration, run func()) {
	w.order++
	w.queue.push(timed{at: w.now + max(d, 0), order: w.order, run: run})
}

// runFor runs what happens within d, or until the first violation.
func (w *world) runFor(d time.Duration) {
	until := w.now + d
	for len(w.queue) > 0 && w.queue[0].at <= until && w.violation == nil {
		w.next()
	}
	w.now = max(w.now, until)
}

// next runs what happens next.
func (w *world) next() {
	e := w.queue.pop()
	w.now = max(w.now, e.at)
	w.steps++
	e.run()
}

// chance is true once in n.
func (w *world) chance(n int) bool { return n > 0 && !w.steady && w.rng.IntN(n) == 0 }

// pick returns a time below d.
func (w *world) pick(d time.Duration) time.Duration { return time.Duration(w.rng.Int64N(int64(d))) }

// uuid returns an identity that depends on the seed alone.
func (w *world) uuid() volume.UUID {
	var u volume.UUID
	for i := range u {
		u[i] = byte(w.rng.Uint32())
	}
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
	return u
}

// latency is mostly short, sometimes long, so that orders vary.
func (w *world) latency() time.Duration {
	if w.chance(20) {
		return w.pick(60 * time.Millisecond)
	}
	return w.pick(time.Millisecond)
}

// fail records the first violation; the run ends with it.
func (w *world) fail(rule string, format string, args ...any) {
	if w.violation == nil && !slices.Contains(w.ignored, rule) {
		w.violation = &Violation{Seed: w.opts.Seed, Profile: w.opts.Profile, Layout: w.opts.Layout,
			Step: w.steps, At: w.now, Rule: rule,
			Message: fmt.Sprintf(format, args...), Trace: w.trace.lines()}
		w.logf("VIOLATION %s: %s", rule, w.violation.Message)
	}
}

// logf adds a line to the trace.
func (w *world) logf(format string, args ...any) {
	if w.opts.Trace == nil && !w.trace.on {
		return
	}
	line := fmt.Sprintf("%12s #%d ", w.now, w.steps) + fmt.Sprintf(format, args...)
	w.trace.add(line)
	if w.opts.Trace != nil {
		_, _ = io.WriteString(w.opts.Trace, line+"\n") // a trace that cannot be written is no failure
	}
}

// traceRing keeps the last lines of a trace.
type traceRing struct {
	on   bool
	ring []string
	next int
}

const traceLines = 60

func (t *traceRing) add(line string) {
	if len(t.ring) < traceLines {
		t.ring = append(t.ring, line)
		return
	}
	t.ring[t.next] = line
	t.next = (t.next + 1) % traceLines
}

func (t *traceRing) lines() []string {
	return append(append([]string(nil), t.ring[t.next:]...), t.ring[:t.next]...)
}

// clock is the clock of one process: it runs a little fast or slow, and began at another time.
type clock struct {
	offset time.Duration
	rate   float64
}

// newClock returns a clock within the bounds that T_read allows for: 10 % fast or slow.
func (w *world) newClock() clock {
	return clock{offset: time.Second + w.pick(1000*time.Hour), rate: 0.9 + 0.2*w.rng.Float64()}
}

// read returns what the clock shows at a true time.
func (c clock) read(now time.Duration) time.Duration {
	return c.offset + time.Duration(float64(now)*c.rate)
}

// when returns the true time at which the clock shows at.
func (c clock) when(at time.Duration) time.Duration {
	return time.Duration(float64(at-c.offset)/c.rate) + 1
}
