package mirror

import (
	"fmt"
	"time"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/volume"
)

// CoreOptions are what a Core is made of.
type CoreOptions struct {
	Epoch     volume.Epoch
	SizeBytes int64         // whole 4 KiB blocks
	Layout    volume.Layout // zero = a mirror
	Timing    Timing        // zero fields take the defaults
	Broken    Rules         // for tests alone: the safety rules that it breaks
}

// Core decides everything that the engine does. It is a step object: Step takes the time and an
// event and returns effects. It has no lock, goroutine, clock or I/O; whoever drives it calls it
// from one goroutine at a time, with a time that never goes back.
//
// Invariant: ack ⊇ the committed in-sync list (I9), whatever replies are lost.
// Invariant: read ⊆ the committed in-sync list (I10).
type Core struct {
	opts CoreOptions
	lay  layout
	now  time.Duration
	out  []Effect
	work workSet // what settle has to look at

	phase  phase
	state  State
	reason string
	stop   error // why the attachment is over; nothing is emitted after it is set

	legs                   [MaxLegs]leg
	known                  legSet // indices in use
	ack, read, wo, removed legSet // by the states of the legs, see enter
	kcfg                   volume.Config
	kisr                   legSet // the legs of kcfg
	conf                   legSet // legs that answered CONFIG(kcfg)

	ops      []*op
	freeOps  []*op
	parked   opList // guest requests from before the volume serves
	unclean  opList // guest requests that wait for a region to be reconciled
	fetching opList // operations that read from a leg
	stale    opList // reads that have their data and wait for fresh confirmations
	writes   opList // dispatched writes, oldest first
	flushes  opList // dispatched flushes, oldest first
	zombies  opList // done, but some leg still holds a request of theirs
	locks    lockTable
	grants   []*op
	seq      uint64 // of the latest dispatched write
	copies   int    // extents being copied
	guestOps int    // guest requests that are not answered
	pace     pace
	lastRead LegIndex

	calls    []call
	nextCall CallID

	tickAt    time.Duration // next regular look at deadlines
	deadline  time.Duration // earliest thing to do; zero = none
	firstRead bool
	unread    int64 // requests of the guest that ended with a medium error
	attach    attachJob
	change    changeJob
	reconcile reconcileJob
	join      joinJob
	heal      healJob
	scrub     scrubJob
	clear     clearJob
	detach    detachJob

	confirming confirmJob
	challenged challenge
	lastLook   time.Duration // at legs and old requests
	awake      time.Duration // since when the engine is not known to have been held up
	lastWrite  time.Duration
	lastClear  time.Duration
	uncleared  bool // some leg may have marks that a STABLE could clear
}

// phase is how far the attachment is.
type phase uint8

const (
	phaseNew         phase = iota
	phaseFencing           // logging in, reporting, asking for Activate
	phaseConfiguring       // CONFIG of Activate goes to S'
	phaseMarking           // asking S' what must be reconciled
	phaseServing           //
	phaseDraining          // detaching: no new requests
	phaseClosing           // detaching: DETACH goes to the legs
	phaseReturning         // detaching: the epoch is given back
	phaseDetached
)

// workSet is a set of things that may have become possible; settle looks at them after each event.
type workSet uint16

const (
	workConfig  workSet = 1 << iota // CONFIG may be everywhere
	workSweep                       // a set of legs changed: look at every write and flush again
	workFetch                       // a leg may have become readable
	workStale                       // a confirmation arrived
	workAttach                      //
	workChange                      // a question to the coordinators may be due
	workCopy                        // a copy may be started
	workJoin                        //
	workClear                       //
	workDetach                      //
	workState                       // the engine's state may have changed
	workIdle                        // an operation ended: somebody may wait for that
	workConfirm                     // the coordinators may be told how far labels have come
	workRound                       // what the layout does afterwards may go on
)

const workMembers = workConfig | workSweep | workFetch | workStale | workChange | workJoin | workClear |
	workDetach | workState | workCopy | workRound

// NewCore returns a Core that knows no legs and has not begun.
func NewCore(o CoreOptions) (*Core, error) {
	o.Timing, o.Layout = o.Timing.withDefaults(), asMirror(o.Layout)
	if err := o.Timing.validate(); err != nil {
		return nil, err
	}
	if o.Epoch == 0 || o.SizeBytes <= 0 || o.SizeBytes%BlockBytes != 0 {
		return nil, fmt.Errorf("core: epoch %s, size %d: the epoch must not be zero, the size whole blocks of %d",
			o.Epoch, o.SizeBytes, BlockBytes)
	}
	lay, err := newLayout(o)
	if err != nil {
		return nil, fmt.Errorf("core: %w", err)
	}
	return &Core{opts: o, lay: lay, state: StateConnecting}, nil
}

// Step takes one event at a time now and returns out with what is to be done appended. Nothing of
// the event is kept but its handles, Data and the slices of Reply.
func (c *Core) Step(now time.Duration, ev *Event, out []Effect) []Effect {
	if c.stop != nil {
		return out // over: nothing is sent, nothing is ever answered
	}
	c.now = max(c.now, now)
	c.out = out
	c.handle(ev)
	c.settle()
	out, c.out = c.out, nil
	return out
}

// Deadline returns when the Core wants an EventTick, zero if never.
func (c *Core) Deadline() time.Duration {
	if c.stop != nil {
		return 0
	}
	return c.deadline
}

func (c *Core) handle(ev *Event) {
	switch ev.Kind {
	case EventGuest:
		c.onGuest(ev)
	case EventDone:
		c.onDone(ev)
	case EventVerified:
		c.onVerified(ev)
	case EventPong:
		c.onPong(ev)
	case EventAnswer:
		c.onAnswer(ev)
	case EventTick:
		c.onTick()
	case EventUp:
		c.onUp(ev.Leg, ev.Report)
	case EventDown:
		c.onDown(ev.Leg, ev.Err)
	case EventLeg:
		c.onLeg(ev.Leg, ev.Info)
	case EventForget:
		c.onForget(ev.Leg)
	case EventAttach:
		c.onAttach()
	case EventScrub:
		c.onScrub(ev.Scrub)
	case EventDetach:
		c.onDetach()
	}
}

// settle does what became possible, until nothing more does. Rules that depend on sets of legs are
// looked at here and not where a set changes, so that no rule acts on half a change.
func (c *Core) settle() {
	for c.work != 0 && c.stop == nil {
		w := c.work
		c.work = 0
		for _, s := range settlers {
			if w&s.on != 0 && c.stop == nil {
				s.run(c)
			}
		}
	}
}

var settlers = []struct {
	on  workSet
	run func(*Core)
}{
	{workConfig, (*Core).settleConfig},
	{workSweep, (*Core).sweep},
	{workAttach | workConfig, (*Core).settleAttach},
	{workFetch, (*Core).retryFetches},
	{workStale, (*Core).retryStale},
	{workCopy | workIdle, (*Core).pumpCopies},
	{workJoin | workIdle, (*Core).settleJoin},
	{workClear | workIdle, (*Core).settleClear},
	{workDetach | workIdle, (*Core).settleDetach},
	{workChange, (*Core).pumpChange},
	{workConfirm | workConfig, (*Core).pumpConfirm},
	{workRound | workIdle, func(c *Core) { c.lay.settle(c) }},
	{workState, (*Core).settleState},
}

func (c *Core) note(w workSet)         { c.work |= w }
func (c *Core) breaks(r Rules) bool    { return c.opts.Broken&r != 0 }
func (c *Core) serving() bool          { return c.phase >= phaseServing && c.phase <= phaseDraining }
func (c *Core) timing() *Timing        { return &c.opts.Timing }
func (c *Core) receivers() legSet      { return c.ack&^c.removed | c.wo }
func (c *Core) leg(i LegIndex) *leg    { return &c.legs[i] }
func (c *Core) usable(i LegIndex) bool { return c.legs[i].up && !c.legs[i].lost && c.legs[i].bad == "" }

// emit adds an effect. Once the attachment is over, nothing more is done.
func (c *Core) emit(e Effect) {
	if c.stop == nil {
		c.out = append(c.out, e)
	}
}

// usableOf returns the legs of s that can take a request now.
func (c *Core) usableOf(s legSet) legSet {
	var u legSet
	for ; s != 0; s = s.rest() {
		if c.usable(s.first()) {
			u = u.with(s.first())
		}
	}
	return u
}

// wake asks for a tick at or before at.
func (c *Core) wake(at time.Duration) {
	if c.deadline == 0 || at < c.deadline {
		c.deadline = at
	}
}

// over ends the attachment: no effect follows, ever. Whatever is under way stays unanswered.
func (c *Core) over(cause error) {
	if c.stop != nil {
		return
	}
	c.endScrub(false)
	c.setState(StateStopped, cause.Error())
	for s := c.known; s != 0; s = s.rest() {
		c.emit(Effect{Kind: EffectStop, Leg: s.first()})
	}
	c.emit(Effect{Kind: EffectStopped, Err: cause})
	c.stop = cause
}

func (c *Core) bug(format string, args ...any) {
	c.over(fmt.Errorf("%w: %s", ErrBug, fmt.Sprintf(format, args...)))
}

func (c *Core) setState(s State, reason string) {
	if c.state == s && c.reason == reason {
		return
	}
	c.state, c.reason = s, reason
	c.emit(Effect{Kind: EffectState, State: s, Text: reason})
}

func (c *Core) stage(name string) { c.emit(Effect{Kind: EffectStage, Text: name}) }

// onGuest admits one request of the guest.
func (c *Core) onGuest(ev *Event) {
	if c.phase >= phaseDraining {
		if ev.Data != nil {
			c.emit(Effect{Kind: EffectRelease, Data: ev.Data})
		}
		c.emit(Effect{Kind: EffectComplete, Guest: ev.Guest, Err: block.ErrClosed})
		return
	}
	kind := opWrite
	switch ev.Op {
	case block.OpRead:
		kind = opRead
	case block.OpFlush:
		kind = opFlush
	}
	o := c.newOp(kind)
	o.guest, o.data, o.verb, o.flags = ev.Guest, ev.Data, ev.Op, ev.Flags
	o.want, o.rng = ev.Range, ev.Range.AlignOut(BlockBytes)
	c.lay.place(o)
	c.guestOps++
	o.askedAt, o.beside = c.now, c.copies > 0
	if c.phase != phaseServing {
		c.parked.push(o)
		return
	}
	c.startGuest(o)
}

// startGuest begins a request of the guest while the volume serves.
func (c *Core) startGuest(o *op) {
	if o.kind == opFlush {
		c.startFlush(o, c.ack&^c.removed)
		return
	}
	// [M:noRecon] Nothing of a marked region is read or written before all legs agree on it.
	if c.needsReconcile(o.rng) && !c.breaks(BreakNoRecon) {
		c.unclean.push(o)
		c.note(workCopy) // what the guest waits for goes first
		return
	}
	c.lockRange(o, o.kind == opWrite)
}

// complete answers the guest.
func (c *Core) complete(o *op, err error) {
	o.acked = true
	c.guestAnswered(o)
	c.emit(Effect{Kind: EffectComplete, Guest: o.guest, Err: err})
	o.guest = nil
}
