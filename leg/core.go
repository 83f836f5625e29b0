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
	// EffectPersist makes Sectors of the file regions durable, then Label if WriteLabel is set, then
	// calls Persisted. There is one at a time.
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

	WriteLabel bool           // Label is not what the disk says
	Sectors    []RegionSector // at most 1 MiB; the caller's until Persisted, then neither's
}

// Core decides for one leg: the label's transitions, the marks and versions of its regions, and the gate.
// It does no I/O, reads no clock and starts nothing; its caller holds a lock around each method, then
// takes the Effects and does them, in order, without the lock.
//
// The label and the regions change in memory first; the gate follows a change at once where that closes
// it, and only once it is durable where that opens it. Changes that come while others are on their way to
// the disk become durable together, with the next write.
//
// Invariant: a session that is open has label.FenceEpoch's epoch and attachment, or is refused.
// Invariant: a region in safe is marked on the disk, and stays so whatever is written next.
// Invariant: label.Marked if and only if a region is marked.
type Core struct {
	label         volume.Label // with every accepted change
	labelChange   uint64       // number of its newest change
	durable       volume.Label // what is on the disk
	durableChange uint64       // number of the newest change that is on the disk

	regions        *Regions      // with every accepted change
	dirty          dirtySectors  // of regions
	regionsDurable uint64        // number of the newest change of regions that is on the disk
	safe           bitset        // regions whose mark is durable and not being cleared
	current        bitset        // regions that a write or mark touched since the last ROTATE
	stamp          volume.CfgVer // what a write stamps its regions with: the newest CONFIG that was accepted
	restamped      uint64        // change of regions with which CONFIG or STAMP raised versions last
	writing        persist       // on its way to the disk
	maxSectors     int           // that one EffectPersist carries

	boot     volume.UUID // identity of the boot and mount now
	instance uint64      // of this process; random
	broken   Rules
	failed   error // why the leg refuses everything, nil while it is well
	closing  bool  // a DETACH closed the gate and is waiting for what is in flight

	sessions    []*session // few, in the order of their logins
	nextSession SessionID
	pending     []*operation // in the order of arrival
	effects     []Effect

	window   uint64 // generation of marks that writes belong to now
	writes   int    // changes of data in flight that entered in this window
	older    int    // those that entered before
	changes  uint64 // changes of data that have ended
	counters Counters
}

// persist is an EffectPersist whose answer is awaited.
type persist struct {
	active      bool
	labelChange uint64 // of the label that it carries
	covered     uint64 // change of regions up to which nothing is missing on the disk then
	sectors     []RegionSector
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
	opStamp
	opConfig
	opStable
	opDetach
)

// operation is an event whose answer waits for the disk or for requests in flight.
type operation struct {
	id      OpID
	kind    opKind
	session SessionID
	label   uint64 // change of the label that must be durable; valid when !before
	regions uint64 // change of regions that must be durable
	// before is true until a CONFIG, DETACH or STABLE has changed the label or the marks.
	before  bool
	syncing bool
	synced  bool
	gen     uint64        // of STABLE
	clean   bool          // of DETACH
	config  volume.Config // of CONFIG
}

// CoreOptions are what a Core is made of.
type CoreOptions struct {
	Label    volume.Label // as it is on the disk, made durable by what StartLeg says
	Regions  *Regions     // as they are on the disk, likewise; the Core's from now on
	Boot     volume.UUID  // identity of the boot and mount
	Instance uint64       // random, for each start of the process
	Broken   Rules        // for tests: rules that the Core breaks
}

// NewCore makes the core of a leg.
func NewCore(o CoreOptions) *Core {
	r := o.Regions
	return &Core{
		label: o.Label, durable: o.Label, boot: o.Boot, instance: o.Instance, broken: o.Broken,
		regions: r, safe: r.marks.clone(), current: newBitset(r.Count()),
		dirty: dirtySectors{queued: newBitset(r.Sectors())},
		stamp: o.Label.Config.CfgVer, maxSectors: maxPersistSectors,
		// Generations of another process must not clear marks of this one: each has numbers of
		// its own. The marks that were found belong to the first window.
		window: o.Instance<<32 | 1,
	}
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
		Lossy: lossy(c.durable, c.boot), MarksHash: c.regions.marksHash(), Changes: c.changes,
	}
}

// lossy is protocol-flush A: marks of another boot are writes whose cache is gone. In class sync nothing
// was answered out of the cache; but there too a cache that is known to have failed (no boot at all) may
// have held what was answered.
func lossy(l volume.Label, boot volume.UUID) bool {
	return l.Marked &&
		(l.OpenBoot.IsZero() || l.Durability != volume.DurabilitySync && l.OpenBoot != boot)
}

// Fail makes the leg refuse everything from now on: a sync, a write or the label failed.
func (c *Core) Fail(err error) {
	if c.failed != nil || err == nil {
		return
	}
	c.failed = fmt.Errorf("leg %s: failed for good, replace it: %w: %w", c.label.LegID, block.ErrFailed, err)
	c.emit(Effect{Kind: EffectFailed, Err: err})
	c.settle()
}

// Persisted says that the last EffectPersist is durable, or that it failed. l is the label as it was
// written, with its SlotSeq; it is looked at only if the effect had WriteLabel.
func (c *Core) Persisted(l volume.Label, err error) {
	done := c.writing
	c.writing = persist{}
	if err != nil {
		c.Fail(fmt.Errorf("make the label and regions durable: %w", err))
		return
	}
	if done.labelChange > c.durableChange {
		c.durable, c.durableChange = l, done.labelChange
		c.label.SlotSeq = l.SlotSeq
	}
	c.regionsDurable = done.covered
	for i := range done.sectors {
		c.marksAreDurable(&done.sectors[i])
	}
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
// stays a fence, a mark a mark. What had not begun (a CONFIG whose stamps were on their way, a STABLE
// that waited for its sync) never will. A login's session is dead.
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

// change notes that the label was changed.
func (c *Core) change() { c.labelChange++ }

// settle answers every operation that is ready and asks for the next write of the label and the regions.
func (c *Core) settle() {
	for again := true; again; {
		again = false
		c.pending = slices.DeleteFunc(c.pending, func(o *operation) bool {
			done, progressed := c.advance(o)
			again = again || progressed
			return done
		})
	}
	if c.failed == nil && !c.writing.active && (c.labelChange > c.durableChange || len(c.dirty.queue) > 0) {
		c.persist()
	}
}

// persist asks for a write of all that the disk lacks, as far as it goes into one.
func (c *Core) persist() {
	numbers, covered := c.dirty.take(c.maxSectors)
	sectors := make([]RegionSector, len(numbers))
	for i, n := range numbers {
		sectors[i] = c.regions.Sector(n)
	}
	c.writing = persist{active: true, labelChange: c.labelChange, covered: covered, sectors: sectors}
	next := c.label
	next.Config = next.Config.Clone()
	c.emit(Effect{Kind: EffectPersist, Label: next, WriteLabel: c.labelChange > c.durableChange,
		Sectors: sectors})
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
