package mirror

import (
	"container/heap"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/volume"
)

const simTRead = 2 * time.Second

// simData is payload: one value per block.
type simData []uint64

// simWorld runs real Cores against simLegs and a simRaft in one goroutine and virtual time. All
// chance comes from its seed.
type simWorld struct {
	rng    *rand.Rand
	now    time.Duration
	queue  simQueue
	order  uint64
	legs   []*simLeg
	raft   *simRaft
	hosts  []*simHost
	broken Rules
	failed string
	value  uint64
	// removals counts questions on their way to raft that may remove a leg.
	removals int
	acked    map[int64]uint64 // block → latest acknowledged write
	ops      []simOp
	calm     bool // faults are over
	media    bool // in this run legs fill up and fail, too
	commands bool // in this run legs are often late with commands, or fail them
	layout   volume.Layout
	blocks   int64         // of the volume
	payloads *payloads     // of a set of parity
	lossAt   time.Duration // since when caches that get lost have not been declared
	losses   bool          // in this run more legs may lose their caches than the layout bears
	events   int
}

type simEvent struct {
	at    time.Duration
	order uint64
	run   func()
}

type simQueue []simEvent

func (q simQueue) Len() int { return len(q) }
func (q simQueue) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].order < q[j].order
}
func (q simQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *simQueue) Push(x any)   { *q = append(*q, x.(simEvent)) }
func (q *simQueue) Pop() any {
	old := *q
	x := old[len(old)-1]
	*q = old[:len(old)-1]
	return x
}

func (w *simWorld) after(d time.Duration, run func()) {
	w.order++
	heap.Push(&w.queue, simEvent{at: w.now + d, order: w.order, run: run})
}

// latency is mostly short, sometimes long, so that orders vary.
func (w *simWorld) latency() time.Duration {
	if w.rng.IntN(20) == 0 {
		return time.Duration(w.rng.IntN(int(60 * time.Millisecond)))
	}
	return time.Duration(w.rng.IntN(int(2 * time.Millisecond)))
}

func (w *simWorld) violation(format string, args ...any) {
	if w.failed == "" {
		w.failed = fmt.Sprintf("%v: ", w.now) + fmt.Sprintf(format, args...)
	}
}

// runUntil runs events up to a time, or to the first violation.
func (w *simWorld) runUntil(at time.Duration) {
	for len(w.queue) > 0 && w.queue[0].at <= at && w.failed == "" {
		e := heap.Pop(&w.queue).(simEvent)
		w.now = max(w.now, e.at)
		w.events++
		e.run()
	}
	w.now = max(w.now, at)
}

func (w *simWorld) legOf(id volume.LegID) *simLeg {
	for _, l := range w.legs {
		if l.id == id {
			return l
		}
	}
	return nil
}

// simOp is one guest operation on one block, for the linearizability check.
type simOp struct {
	block    int64
	write    bool
	value    uint64
	call     time.Duration
	ret      time.Duration // max if it was never answered
	client   int
	finished bool

	// Of a set of parity:
	kind  int           // simFlush, simLoss; 0 = a read or write
	fua   bool          //
	host  *simHost      // that was asked
	until time.Duration // when a later epoch began to serve; nothing takes effect behind that
}

// siteLoss is a declared loss of unflushed writes: the history starts anew, and what was flushed is
// not checked further.
func (w *simWorld) siteLoss() {
	if w.losses {
		w.declareLoss()
		return
	}
	if w.media { // a leg that is removed for its medium may leave one alone that is about to lose its cache
		w.failed = simExcused
	}
	w.violation("the simulation lost every cache, which it avoids")
}

// simExcused ends a run without a verdict.
const simExcused = "excused"

// newSimWorld makes n legs of which the first inSync are in sync.
func newSimWorld(seed uint64, n, inSync int, broken Rules) *simWorld {
	w := &simWorld{rng: rand.New(rand.NewPCG(seed, seed^0x9e3779b97f4a7c15)), broken: broken, now: time.Second,
		acked: map[int64]uint64{}, layout: volume.Mirror(volume.MaxMirrorLegs), blocks: simBlocks}
	w.raft = &simRaft{w: w, cfg: 1, isr: map[*simLeg]bool{}, granted: map[*simLeg]bool{},
		instance: map[*simLeg]uint64{}, joined: map[*simLeg]volume.CfgVer{}, last: map[*simLeg]volume.CfgVer{},
		clean: true}
	for i := range n {
		l := newSimLeg(w, string(rune('a'+i)))
		w.legs = append(w.legs, l)
		if i < inSync {
			w.raft.isr[l] = true
		}
	}
	for _, l := range w.legs {
		if w.raft.isr[l] {
			l.cfg = w.raft.config()
			w.raft.last[l] = 1
		}
	}
	return w
}

// simHost is one engine: a Core and what drives it.
type simHost struct {
	w        *simWorld
	epoch    volume.Epoch
	core     *Core
	sessions []*simSession
	stopped  error
	detached bool
	paused   bool
	backlog  []func()
	nextID   uint64
	tickAt   time.Duration
	pending  int
	serving  bool
	cutLegs  map[*simLeg]bool      // the network to these is cut
	noRaft   bool                  // and to the coordinators
	scrubbed *ScrubReport          // of the latest scrub that ended
	made     map[*simData][][]byte // what legs of parity get of a write
}

// simGuest is one request of the guest.
type simGuest struct {
	covers       map[int64]uint64 // of a flush: the latest write of each block that was acknowledged before
	write, flush bool
	ops          []int // indices in simWorld.ops
	data         *simData
	rng          block.Range
}

func (w *simWorld) newHost() *simHost {
	// A block may hold a newer, unacknowledged write of an older epoch until reconcile decides, so a
	// flush is held to what its own epoch acknowledged.
	w.acked = map[int64]uint64{}
	h := &simHost{w: w, epoch: w.raft.beginAttach(), sessions: make([]*simSession, len(w.legs)),
		cutLegs: map[*simLeg]bool{}, made: map[*simData][][]byte{}}
	core, err := NewCore(CoreOptions{Epoch: h.epoch, SizeBytes: w.blocks * BlockBytes, Layout: w.layout,
		Broken: w.broken, Timing: Timing{CopyBytes: simRegionBlocks * BlockBytes, CopyDepth: 2}})
	if err != nil {
		panic(err)
	}
	h.core = core
	w.hosts = append(w.hosts, h)
	for i, l := range w.legs {
		info := LegInfo{ID: l.id, Slot: l.slot, InSync: w.raft.isr[l], Since: w.raft.last[l], Join: !l.retiring,
			Retiring: l.retiring}
		if l.replaces != nil {
			info.Replaces = l.replaces.id
		}
		h.step(&Event{Kind: EventLeg, Leg: LegIndex(i), Info: &info})
	}
	h.step(&Event{Kind: EventAttach})
	return h
}

// run runs f now, or when the host goes on after a pause.
func (h *simHost) run(f func()) {
	if h.paused {
		h.backlog = append(h.backlog, f)
		return
	}
	f()
}

func (h *simHost) resume() {
	h.paused = false
	list := h.backlog
	h.backlog = nil
	for _, f := range list {
		f()
	}
}

func (h *simHost) step(ev *Event) {
	effects := h.core.Step(h.w.now, ev, nil)
	if *simTrace {
		h.trace(ev, effects)
	}
	h.w.checkSets(h)
	for i := range effects {
		h.carryOut(effects[i])
	}
	if at := h.core.Deadline(); at != 0 && (h.tickAt == 0 || at < h.tickAt) {
		h.tickAt = at
		h.w.after(max(at-h.w.now, 0), func() {
			h.run(func() {
				if h.tickAt == at {
					h.tickAt = 0
					h.step(&Event{Kind: EventTick})
				}
			})
		})
	}
}

// carryOut does an effect, sometimes late: effects of different steps overtake each other.
func (h *simHost) carryOut(x Effect) {
	delay := time.Duration(0)
	if h.w.rng.IntN(10) == 0 {
		delay = h.w.latency()
	}
	switch x.Kind {
	case EffectChange, EffectEncode, EffectTrim, EffectDecode, EffectVerify:
		h.compute(&x)
	case EffectRelease:
		if d, ok := x.Data.(*simData); ok {
			delete(h.made, d)
		}
	case EffectSubmit, EffectPing, EffectCall:
		if x.Stage != nil {
			plan := *x.Stage
			x.Stage, x.Data = &plan, h.payload(&x)
		}
		h.w.after(delay, func() { h.run(func() { h.send(&x) }) })
	case EffectDeliver, EffectComplete:
		h.complete(&x)
	case EffectStart:
		h.connect(int(x.Leg))
	case EffectReset:
		h.w.after(delay, func() {
			l := h.w.legs[x.Leg]
			if s := h.sessions[x.Leg]; s != nil && l.session == s {
				l.end(block.ErrUnreachable, true)
			}
		})
	case EffectStage:
		if x.Text == "serving" {
			h.serving = true
			h.w.epochServes(h)
		}
	case EffectStopped:
		h.stopped = x.Err
	case EffectScrubbed:
		h.scrubbed = x.Scrub
		h.w.checkScrub(h)
	case EffectDetached:
		h.detached = true
	}
}

// connect tries to log in until it succeeds.
func (h *simHost) connect(i int) {
	l := h.w.legs[i]
	h.w.after(time.Duration(1+h.w.rng.IntN(50))*time.Millisecond, func() {
		h.run(func() {
			if h.stopped != nil || h.detached || h.sessions[i] != nil {
				return
			}
			if h.cutLegs[l] {
				h.step(&Event{Kind: EventDown, Leg: LegIndex(i), Err: block.ErrUnreachable})
				h.connect(i)
				return
			}
			s, err := l.login(h)
			if err != nil {
				h.step(&Event{Kind: EventDown, Leg: LegIndex(i), Err: err})
				h.connect(i)
				return
			}
			h.sessions[i] = s
			r := l.report()
			h.step(&Event{Kind: EventUp, Leg: LegIndex(i), Report: &r})
		})
	})
}

// sessionEnded tells the host after everything of the session has ended.
func (h *simHost) sessionEnded(l *simLeg, s *simSession, cause error) {
	h.w.after(h.w.latency(), func() {
		h.run(func() {
			for i, have := range h.sessions {
				if have == s {
					h.sessions[i] = nil
					h.step(&Event{Kind: EventDown, Leg: LegIndex(i), Err: cause})
					h.connect(i)
				}
			}
		})
	})
}

// send carries a request, ping, command or question, with whatever session there is now for
// requests, and with the session that it was decided for for commands.
func (h *simHost) send(x *Effect) {
	if x.Kind == EffectCall && !x.Command.Kind.ToLeg() {
		h.ask(x)
		return
	}
	s := h.sessions[x.Leg]
	bound := x.Kind == EffectCall && h.core.leg(x.Leg).sess != x.Req.Sess
	h.nextID++
	id := h.nextID
	reply := func(err error, data []uint64, r Reply) {
		h.w.after(0, func() { h.run(func() { h.answer(x, err, data, r) }) })
	}
	if s == nil || !s.alive || bound {
		reply(block.ErrUnreachable, nil, Reply{})
		return
	}
	h.w.after(h.w.latency(), func() {
		if !s.alive {
			cause := error(block.ErrUnreachable)
			if s.leg.fence > h.epoch && h.w.rng.IntN(2) == 0 && !h.cutLegs[s.leg] {
				cause = block.ErrFenced
			}
			reply(cause, nil, Reply{})
			return
		}
		s.arrive(x, id, reply)
	})
}

func (h *simHost) answer(x *Effect, err error, data []uint64, r Reply) {
	switch x.Kind {
	case EffectSubmit:
		ev := Event{Kind: EventDone, Req: x.Req, Op: x.Op, Err: err}
		if x.Op == block.OpRead && err == nil {
			d := simData(data)
			ev.Data = &d
		}
		h.step(&ev)
	case EffectPing:
		h.step(&Event{Kind: EventPong, Leg: x.Leg, Sess: x.Req.Sess, Err: err})
	case EffectCall:
		h.step(&Event{Kind: EventAnswer, Call: x.Call, Err: err, Reply: r})
	}
}

var errSimLost = errors.New("no answer from a coordinator")

// ask puts a question to raft: it may be lost, answered, answered into the void, or come twice.
func (h *simHost) ask(x *Effect) {
	w := h.w
	answer := func(r Reply, err error) {
		w.after(w.latency(), func() {
			h.run(func() { h.step(&Event{Kind: EventAnswer, Call: x.Call, Err: err, Reply: r}) })
		})
	}
	chance := w.rng.IntN(12)
	if w.raft.down || h.noRaft || chance == 0 && !w.calm {
		answer(Reply{}, errSimLost)
		return
	}
	apply := func() (Reply, error) { return w.raft.apply(h.epoch, x.Command) }
	if x.Command.Kind == CommandRemoveLeg {
		w.removals++
		apply = func() (Reply, error) {
			w.removals--
			return w.raft.apply(h.epoch, x.Command)
		}
	}
	w.after(w.latency(), func() {
		if w.raft.down || h.noRaft {
			if x.Command.Kind == CommandRemoveLeg {
				w.removals--
			}
			answer(Reply{}, errSimLost)
			return
		}
		r, err := apply()
		if chance == 1 && !w.calm {
			answer(Reply{}, errSimLost)
			return
		}
		answer(r, err)
	})
	if chance == 2 && !w.calm { // a duplicate that comes later, perhaps much later
		w.removals++
		w.after(w.latency()*time.Duration(1+w.rng.IntN(200)), func() {
			w.removals--
			if !w.raft.down {
				_, _ = w.raft.apply(h.epoch, x.Command)
			}
		})
	}
}

// guest submits a random request.
func (h *simHost) guest() {
	w := h.w
	g := &simGuest{}
	if w.payloads != nil {
		h.parityGuest()
		return
	}
	first := int64(w.rng.IntN(simBlocks))
	n := min(1+int64(w.rng.IntN(4)), simBlocks-first)
	g.rng = block.Range{Off: first * BlockBytes, Len: n * BlockBytes}
	ev := Event{Kind: EventGuest, Op: block.OpRead, Range: g.rng, Guest: g}
	kind := w.rng.IntN(10)
	switch {
	case kind == 0:
		g.flush, ev.Op, ev.Range = true, block.OpFlush, block.Range{}
	case kind < 6:
		g.write, ev.Op = true, block.OpWrite
		d := make(simData, n)
		for i := range d {
			w.value++
			d[i] = w.value
		}
		g.data, ev.Data = &d, &d
		if kind == 1 {
			ev.Flags = block.FUA
		}
	}
	if !g.flush {
		for i := range n {
			op := simOp{block: first + i, write: g.write, call: w.now, ret: math.MaxInt64, client: len(w.ops)}
			if g.write {
				op.value = (*g.data)[i]
			}
			g.ops = append(g.ops, len(w.ops))
			w.ops = append(w.ops, op)
		}
	}
	if g.flush {
		g.covers = maps.Clone(w.acked)
	}
	h.pending++
	h.step(&ev)
}

// complete takes an answer to the guest.
func (h *simHost) complete(x *Effect) {
	g := x.Guest.(*simGuest)
	h.pending--
	if x.Err != nil {
		medium := errors.Is(x.Err, block.ErrNoSpace) || errors.Is(x.Err, block.ErrMedium)
		if !errors.Is(x.Err, block.ErrClosed) && !(medium && h.w.media) {
			h.w.violation("the guest got %v", x.Err)
		}
		return
	}
	for n, i := range g.ops {
		op := &h.w.ops[i]
		op.ret, op.finished = h.w.now, true
		if !g.write && !g.flush {
			op.value = (*x.Data.(*simData))[n]
		}
	}
	switch {
	case g.write:
		h.w.checkAck(h, g)
		for i := 0; i < len(*g.data) && h.w.raft.epoch == h.epoch; i++ {
			h.w.acked[g.rng.Off/BlockBytes+int64(i)] = (*g.data)[i]
		}
	case g.flush:
		h.w.checkFlush(h, g)
	}
}

// checkFlush: no power cut brings back what was there before a write that a completed flush covers.
func (w *simWorld) checkFlush(h *simHost, g *simGuest) {
	if w.payloads != nil {
		return // a leg may lose what others make it from: the history tells
	}
	if w.raft.epoch != h.epoch || w.media { // a failed write may be flushed before reconcile undoes it
		return
	}
	for l := range w.raft.isr {
		for b, v := range g.covers {
			if slices.Index(l.disk[b], v) > 0 && !l.lossy() {
				w.violation("leg %s may lose write %d of block %d, which a flush covers", l.name, v, b)
			}
		}
	}
}

// checkAck is I8: an acknowledged write is on every leg of the committed in-sync list.
func (w *simWorld) checkAck(h *simHost, g *simGuest) {
	if w.raft.epoch != h.epoch {
		// Superseded: legal only if the legs that go on have it, which the history will show.
		return
	}
	if w.payloads != nil {
		w.checkParityAck(g)
		return
	}
	for l := range w.raft.isr {
		if l.lossy() {
			continue // it had it, and lost it since
		}
		for i, v := range *g.data {
			if b := g.rng.Off/BlockBytes + int64(i); l.cache[b]&^simRot != v {
				w.violation("acknowledged write %d of block %d is not on in-sync leg %s, which has %d",
					v, b, l.name, l.cache[b])
			}
		}
	}
}

// checkSets is I9 and I10.
func (w *simWorld) checkSets(h *simHost) {
	if w.raft.epoch != h.epoch || !w.raft.active || h.core.phase < phaseConfiguring || h.stopped != nil {
		return
	}
	for i, l := range w.legs {
		if w.raft.isr[l] && !h.core.ack.has(LegIndex(i)) {
			w.violation("leg %s is in sync, but acks do not need it (%s)", l.name, h.core.leg(LegIndex(i)).state)
		}
		if h.core.read.has(LegIndex(i)) && !w.raft.isr[l] {
			w.violation("leg %s is read, but not in sync (%s)", l.name, h.core.leg(LegIndex(i)).state)
		}
	}
}

// checkPromotion is I13: when AddLeg applies, the leg equals an in-sync one, except for blocks that
// have a write outstanding. A leg that lost power while the question travelled shows that it did, as
// if that had happened just after, unless the engine has logged in since and goes on with it.
func (w *simWorld) checkPromotion(l *simLeg) {
	h := w.hosts[len(w.hosts)-1]
	if g := h.core.leg(h.core.indexOf(l.id)); l.lossy() && (!g.up || g.lost || l.session == nil) {
		return
	}
	if w.payloads != nil {
		w.checkParityPromotion(h, l)
		return
	}
	open := map[int64]bool{}
	for o := h.core.writes.head; o != nil; o = o.next {
		if o.acked && o.kind == opWrite {
			continue // whoever is added must have it
		}
		for i := range o.io.Len / BlockBytes {
			open[o.io.Off/BlockBytes+i] = true
		}
	}
	for b := range int64(simBlocks) {
		if h.core.needsReconcile(block.Range{Off: b * BlockBytes, Len: BlockBytes}) {
			open[b] = true // of a write that failed
		}
	}
	for src := range w.raft.isr {
		for b := range int64(simBlocks) {
			if !open[b] && (src.cache[b]^l.cache[b])&^simRot != 0 && !src.lossy() && src.on {
				w.violation("leg %s is added, but block %d is %d there and %d on leg %s", l.name, b, l.cache[b],
					src.cache[b], src.name)
				return
			}
		}
	}
}

// checkScrub: legs in sync are equal wherever no write is under way, so a scrub never finds whole blocks
// that differ.
func (w *simWorld) checkScrub(h *simHost) {
	if n := h.scrubbed.DivergedN; n > 0 && w.raft.epoch == h.epoch {
		w.violation("a scrub found %d blocks that differ: %v", n, h.scrubbed.Diverged)
	}
}

// checkHistory is I34: the history of each block over all epochs is linearizable.
func (w *simWorld) checkHistory() {
	if w.payloads != nil {
		w.checkParityHistory()
		return
	}
	end := int64(w.now) + 1
	byBlock := map[int64][]porcupine.Operation{}
	for i, op := range w.ops {
		if !op.finished && !op.write {
			continue
		}
		ret := int64(op.ret)
		if !op.finished {
			ret = end
		}
		byBlock[op.block] = append(byBlock[op.block], porcupine.Operation{ClientId: i, Input: op,
			Call: int64(op.call), Return: ret})
	}
	for b, ops := range byBlock {
		if !porcupine.CheckOperations(simRegister, ops) {
			w.violation("the history of block %d is not linearizable", b)
			return
		}
	}
}

var simRegister = porcupine.Model{
	Init: func() any { return uint64(0) },
	Step: func(state, input, _ any) (bool, any) {
		op := input.(simOp)
		if op.write {
			return true, op.value
		}
		return state.(uint64) == op.value, state
	},
}

// trace prints a step; for replaying one seed.
func (h *simHost) trace(ev *Event, effects []Effect) {
	fmt.Printf("%v e%s event %d leg %d req %+v %s %v err %v\n", h.w.now, h.epoch, ev.Kind, ev.Leg, ev.Req,
		ev.Op, ev.Range, ev.Err)
	for _, x := range effects {
		fmt.Printf("    effect %d leg %d req %+v %s %v", x.Kind, x.Leg, x.Req, x.Op, x.Range)
		if x.Command != nil {
			fmt.Printf(" %s cfg %v gen %d range %v cfgver %s", x.Command.Kind, x.Command.Config.CfgVer,
				x.Command.Generation, x.Command.Range, x.Command.CfgVer)
		}
		if x.Kind == EffectLeg {
			fmt.Printf(" %s -> %s", x.From, x.To)
		}
		fmt.Println("", x.Text)
	}
}
