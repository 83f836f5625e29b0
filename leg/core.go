package leg

import (
	"fmt"
	"slices"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/volume"
)

type (
	// SessionID names a session of one Core; it is never used twice.
	SessionID uint64
	// OpID names an event whose answer comes later. The caller chooses it, never zero, never twice.
	OpID uint64
)

// EffectKind says what an Effect asks for.
type EffectKind uint8

// The kinds of effects.
const (
	// EffectKill ends Session at once: none of its commands that has not entered the gate will.
	EffectKill EffectKind = iota + 1
	// EffectPersist makes Label durable, then calls Persisted. There is one at a time.
	EffectPersist
	// EffectSync puts all data written so far on stable storage, then calls Synced(Op, …).
	EffectSync
	// EffectReply ends Op with Err; for a Login with Session, which is open if Err is nil.
	EffectReply
	// EffectFailed says that the leg has failed for good with Err, which should be recorded.
	EffectFailed
)

// Effect is what the caller of a Core is to do next.
type Effect struct {
	Kind    EffectKind
	Op      OpID
	Session SessionID
	Label   volume.Label
	Err     error
}

// Core decides for one leg: the label's transitions and the gate. It does no I/O, reads no clock
// and starts nothing; its caller holds a lock around each method, then takes the Effects and does
// them, in order, without the lock.
//
// The label changes in memory first; the gate follows the change at once where that closes it, and
// only once it is durable where that opens it. Several changes become durable with one write.
//
// Invariant: durableVersion <= version, and label == durable when they are equal.
// Invariant: a session that is open has label.FenceEpoch's epoch and attachment, or is refused.
type Core struct {
	label          volume.Label // with every accepted change
	version        uint64       // of label; grows with each change
	durable        volume.Label // what is on the disk
	durableVersion uint64
	writing        uint64 // version on its way to the disk, zero when none is

	boot     volume.UUID // identity of the boot and mount now
	instance uint64      // of this process; random
	failed   error       // why the leg refuses everything, nil while it is well
	closing  bool        // a DETACH closed the gate and is waiting for what is in flight

	sessions    []*session // few, in the order of their logins
	nextSession SessionID
	pending     []*operation // in the order of arrival
	effects     []Effect

	window      uint64 // generation of marks that writes belong to now
	lastWrite   uint64 // generation of the newest write or mark
	markVersion uint64 // the label's version that set Marked last
	writes      int    // changes of data in flight

	counters Counters
}

// Counters count since the leg was opened.
type Counters struct {
	RefusedLogins   uint64 // with an epoch below the label's
	RefusedCommands uint64 // of sessions that a newer epoch fenced
}

type session struct {
	id       SessionID
	login    Login
	open     bool // its login completed, and it was not killed
	dead     bool // killed or closed: nothing of it enters any more
	ended    bool // its owner said that it is gone
	inflight int  // requests inside the gate
}

type opKind uint8

const (
	opLogin opKind = iota + 1
	opMark
	opConfig
	opStable
	opDetach
)

// operation is an event whose answer waits for the disk or for requests in flight.
type operation struct {
	id      OpID
	kind    opKind
	session SessionID
	version uint64 // must be durable; valid when !beforeChange
	// before is true until a DETACH or STABLE has changed the label: it waits for drain and sync.
	before  bool
	syncing bool
	synced  bool
	gen     uint64 // of STABLE
	clean   bool   // of DETACH
}

// NewCore makes the core of a leg whose durable label was read, or changed by StartLabel and made
// durable. boot is the identity of the boot and mount; instance is random for each process.
func NewCore(label volume.Label, boot volume.UUID, instance uint64) *Core {
	c := &Core{
		label: label, durable: label, boot: boot, instance: instance,
		// Generations of another process must not clear marks of this one: each has numbers of
		// its own. The marks that were found belong to the first window.
		window: instance<<32 | 1,
	}
	if label.Marked {
		c.lastWrite = c.window
	}
	return c
}

// StartLabel returns the label with which a node that has just started goes on; it must be durable
// before NewCore. cacheSuspect says that marks are set and the node could not prove that the page
// cache was kept: the label then says that it was not, for good.
func StartLabel(l volume.Label, cacheSuspect bool) volume.Label {
	if !l.Marked {
		return l
	}
	if !l.Closed {
		l.CrashGen++
	}
	if cacheSuspect {
		// No boot has the zero identity, so the leg stays lossy until a CONFIG.
		l.OpenBoot = volume.UUID{}
	}
	return l
}

// Effects returns what is to be done since the last call. The slice is the caller's until the next
// method of the core is called under the lock.
func (c *Core) Effects() []Effect {
	out := c.effects
	c.effects = nil
	return out
}

// Durable returns the label that is on the disk.
func (c *Core) Durable() volume.Label { return c.durable }

// Failed returns why the leg has failed, nil while it is well.
func (c *Core) Failed() error { return c.failed }

// Counters returns the counters.
func (c *Core) Counters() Counters { return c.counters }

// Sessions returns how many sessions are open.
func (c *Core) Sessions() int {
	n := 0
	for _, s := range c.sessions {
		if s.open {
			n++
		}
	}
	return n
}

// Report returns what READ LABEL answers.
func (c *Core) Report() volume.LegReport {
	return volume.LegReport{
		Label: c.durable, BootID: c.boot, Instance: c.instance,
		Lossy: lossy(c.durable, c.boot), MarksHash: marksHash(c.durable),
	}
}

// lossy is protocol-flush A: marks of another boot are writes whose cache is gone.
func lossy(l volume.Label, boot volume.UUID) bool { return l.Marked && l.OpenBoot != boot }

// Fail makes the leg refuse everything from now on: a sync, a write or the label failed.
func (c *Core) Fail(err error) {
	if c.failed != nil || err == nil {
		return
	}
	c.failed = fmt.Errorf("leg %s: failed for good, replace it: %w: %w", c.label.LegID, block.ErrFailed, err)
	c.emit(Effect{Kind: EffectFailed, Err: err})
	c.settle()
}

// Persisted says that the label of the last EffectPersist is durable, or that it failed.
func (c *Core) Persisted(l volume.Label, err error) {
	version := c.writing
	c.writing = 0
	if err != nil {
		c.Fail(fmt.Errorf("write the label: %w", err))
		return
	}
	c.durable, c.durableVersion = l, version
	c.label.SlotSeq = l.SlotSeq
	c.settle()
}

// Synced says that the data written before the EffectSync of op is on stable storage.
func (c *Core) Synced(op OpID, err error) {
	if err != nil {
		c.Fail(err)
		return
	}
	for _, o := range c.pending {
		if o.id == op {
			o.synced = true
		}
	}
	c.settle()
}

// Abandon forgets an operation whose caller no longer waits. What it has begun goes on: a fence
// stays a fence. A login's session is dead.
func (c *Core) Abandon(op OpID) {
	i := slices.IndexFunc(c.pending, func(o *operation) bool { return o.id == op })
	if i < 0 {
		return
	}
	o := c.pending[i]
	c.pending = slices.Delete(c.pending, i, i+1)
	switch o.kind {
	case opLogin:
		c.end(c.session(o.session))
	case opDetach:
		// Nobody hears the answer, so the host cannot say that it was clean; but the gate was
		// closed for its session and opens for nobody but a newer epoch or the same one again.
		c.closing = false
	}
	c.settle()
}

// session returns a session by its name, nil if it was forgotten.
func (c *Core) session(id SessionID) *session {
	for _, s := range c.sessions {
		if s.id == id {
			return s
		}
	}
	return nil
}

func (c *Core) forget(s *session) {
	c.sessions = slices.DeleteFunc(c.sessions, func(other *session) bool { return other == s })
}

func (c *Core) emit(e Effect) { c.effects = append(c.effects, e) }

// change bumps the label's version after it was changed.
func (c *Core) change() { c.version++ }

// settle answers every operation that is ready and asks for the next write of the label.
func (c *Core) settle() {
	for again := true; again; {
		again = false
		c.pending = slices.DeleteFunc(c.pending, func(o *operation) bool {
			done, progressed := c.advance(o)
			again = again || progressed
			return done
		})
	}
	if c.failed == nil && c.writing == 0 && c.version > c.durableVersion {
		c.writing = c.version
		next := c.label
		next.Config = next.Config.Clone()
		c.emit(Effect{Kind: EffectPersist, Label: next})
	}
}

// reply ends an operation.
func (c *Core) reply(o *operation, err error) {
	c.emit(Effect{Kind: EffectReply, Op: o.id, Session: o.session, Err: err})
}

// Stop makes the leg refuse everything because its process is done with it: nothing is recorded,
// the sessions are killed, and no effect but replies and kills comes any more.
func (c *Core) Stop() {
	if c.failed == nil {
		c.failed = c.refusal(block.ErrClosed)
	}
	for _, s := range c.sessions {
		c.kill(s)
	}
	c.settle()
}

// Inflight returns how many requests are inside the gate.
func (c *Core) Inflight() int {
	n := 0
	for _, s := range c.sessions {
		n += s.inflight
	}
	return n
}
