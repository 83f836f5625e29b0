package mirror

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/volume"
)

// simLeg is a leg as the protocol describes it: a label, a page cache over a medium, marks and
// stamps by region, one session. A value of a block is the number of the write that made it.
type simLeg struct {
	w    *simWorld
	id   volume.LegID
	name string

	fence    volume.Epoch
	admit    bool
	cfg      volume.Config
	store    volume.StoreID
	openBoot volume.UUID
	boot     volume.UUID
	instance uint64
	slotSeq  uint64 // of the durable label
	changes  uint64 // carried out by this instance

	slot int
	// retiring: it is to leave when the leg that replaces it is in sync.
	retiring bool
	replaces *simLeg
	journal  *simJournal // of a leg of parity

	cache map[int64]uint64   // block → value
	disk  map[int64][]uint64 // block → values that a power cut may leave
	marks map[int64]uint64   // region → window of its latest write
	stamp map[int64]volume.CfgVer
	gen   uint64

	on      bool // powered and running
	hung    bool // takes requests and does not answer
	full    bool // stores a part of each write and says that it has no room
	flaky   bool // fails some requests
	sour    bool // fails some commands, of which it carries out some all the same
	late    bool // takes long for some writes, flushes and commands, and does them in any order
	session *simSession
	busy    map[int64]int // block → writes between arrival and answer, for the range lock's oracle
}

const (
	simBlocks       = 64 // of the volume
	simRegionBlocks = 16
)

// A block with one of these bits in its value is bad: it cannot be read, and CHECKSUMS says so. The rest
// of the value is what it would hold if somebody called it whole.
const (
	simRot  uint64 = 1 << 63 // it rotted
	simTorn uint64 = 1 << 62 // it was being written when the power was cut
	simBad         = simRot | simTorn
)

// simSession is one session of a host at a leg.
type simSession struct {
	leg     *simLeg
	host    *simHost
	pending map[uint64]func(error) // requests and commands under way
	alive   bool
}

func newSimLeg(w *simWorld, name string) *simLeg {
	return &simLeg{
		w: w, name: name, id: volume.NewLegID(), store: volume.NewStoreID(), boot: volume.NewUUID(),
		instance: w.rng.Uint64(), cache: map[int64]uint64{}, disk: map[int64][]uint64{},
		marks: map[int64]uint64{}, stamp: map[int64]volume.CfgVer{}, gen: 1, on: true, busy: map[int64]int{},
	}
}

func (l *simLeg) lossy() bool {
	if l.journal != nil {
		return l.journal.lost
	}
	return l.openBoot != l.boot && len(l.marks) > 0
}

func (l *simLeg) report() volume.LegReport {
	return volume.LegReport{
		Label: volume.Label{LegID: l.id, StoreID: l.store, FenceEpoch: l.fence, Admit: l.admit,
			Config: l.cfg.Clone(), OpenBoot: l.openBoot, Marked: len(l.marks) > 0, SlotSeq: l.slotSeq,
			Progress: l.slotSeq},
		BootID: l.boot, Instance: l.instance, Lossy: l.lossy(), Changes: l.changes,
	}
}

// login is protocol-flush B.2.
func (l *simLeg) login(h *simHost) (*simSession, error) {
	if !l.on {
		return nil, block.ErrUnreachable
	}
	if h.epoch < l.fence {
		return nil, fmt.Errorf("epoch %s < %s: %w", h.epoch, l.fence, block.ErrFenced)
	}
	if l.session != nil {
		cause := error(block.ErrUnreachable)
		if h.epoch > l.fence && !l.session.host.cutLegs[l] {
			cause = block.ErrFenced
		}
		l.end(cause, true)
	}
	if h.epoch > l.fence {
		l.fence, l.admit = h.epoch, false
		l.slotSeq++
	}
	if len(l.marks) == 0 {
		l.openBoot = l.boot
	}
	l.session = &simSession{leg: l, host: h, pending: map[uint64]func(error){}, alive: true}
	return l.session, nil
}

// end ends the session; what was under way is drained: it takes effect now or never.
func (l *simLeg) end(cause error, tell bool) {
	s := l.session
	if s == nil {
		return
	}
	l.session = nil
	s.alive = false
	for _, id := range slices.Sorted(maps.Keys(s.pending)) {
		s.pending[id](cause)
	}
	s.pending = nil
	l.busy = map[int64]int{}
	if tell {
		s.host.sessionEnded(l, s, cause)
	}
}

// powerCut loses whatever was not flushed, block by block, and starts a new boot. Some blocks are torn.
func (l *simLeg) powerCut() {
	l.end(block.ErrUnreachable, true) // what was under way took effect before, or never
	for _, b := range slices.Sorted(maps.Keys(l.disk)) {
		values := l.disk[b]
		v := values[l.w.rng.IntN(len(values))]
		if len(values) > 1 && l.w.rng.IntN(4) == 0 && l.journal == nil {
			v |= simTorn
		}
		l.cache[b], l.disk[b] = v, []uint64{v}
	}
	if l.journal != nil {
		l.journal.powerCut(l)
	}
	l.boot = volume.NewUUID()
	l.restart()
}

// restart is a restart of the process: the cache stays.
func (l *simLeg) restart() {
	l.instance, l.changes = l.w.rng.Uint64(), 0
	l.slotSeq++
	l.hung = false
	l.end(block.ErrUnreachable, true)
	if l.journal != nil {
		l.journal.start(l)
	}
}

func (l *simLeg) put(r block.Range, data []uint64) {
	l.changed(r)
	for i := range r.Len / BlockBytes {
		b, v := r.Off/BlockBytes+i, uint64(0)
		if data != nil {
			v = data[i]
		}
		if l.journal != nil {
			l.checkNoRecord(b)
			l.journal.direct = true
			delete(l.journal.bad, b)
		}
		l.home(b, v)
	}
}

// changed counts a change, and marks and stamps its regions.
func (l *simLeg) changed(r block.Range) {
	if l.changes++; len(l.marks) == 0 {
		l.slotSeq++
	}
	for b := r.Off / BlockBytes; b < r.End()/BlockBytes; b++ {
		l.marks[b/simRegionBlocks] = l.gen
		l.stamp[b/simRegionBlocks] = l.cfg.CfgVer
	}
}

// flush is what a FLUSH makes durable: all that the leg holds, or its journal.
func (l *simLeg) flush() {
	if l.journal != nil {
		l.journal.sync()
		if !l.journal.direct {
			return
		}
		l.journal.direct = false
	}
	l.sync()
}

func (l *simLeg) sync() {
	for b, v := range l.cache {
		l.disk[b] = []uint64{v}
	}
}

func (l *simLeg) regionRange(r int64) block.Range {
	return block.Range{Off: r * simRegionBlocks * BlockBytes, Len: simRegionBlocks * BlockBytes}
}

// do carries out one request or command of the present session.
func (l *simLeg) do(x *Effect, reply *Reply) (data []uint64, err error) {
	if x.Kind == EffectPing {
		return nil, nil
	}
	if x.Kind == EffectCall && (l.sour || l.flaky && x.Command.Kind != CommandSums) && l.w.rng.IntN(3) == 0 {
		if l.w.rng.IntN(2) == 0 { // it was carried out all the same
			_ = l.obey(x.Command, &Reply{})
		}
		return nil, block.ErrFailed
	}
	if x.Kind == EffectCall && x.Command.Kind == CommandConfig {
		return nil, l.obey(x.Command, reply)
	}
	if x.Kind == EffectSubmit && !l.admit {
		return nil, fmt.Errorf("no CONFIG yet: %w", block.ErrFailed)
	}
	if l.flaky && l.w.rng.IntN(3) == 0 {
		switch {
		case x.Kind == EffectCall && x.Command.Kind == CommandSums, x.Kind == EffectSubmit && x.Op == block.OpRead:
			return nil, block.ErrMedium
		case x.Kind == EffectSubmit:
			return nil, block.ErrFailed
		}
	}
	if x.Kind == EffectSubmit {
		switch x.Op {
		case block.OpRead:
			for i := range x.Range.Len / BlockBytes {
				if l.unreadable(x.Range.Off/BlockBytes + i) {
					return nil, block.ErrMedium
				}
				data = append(data, l.content(x.Range.Off/BlockBytes+i))
			}
		case block.OpWrite:
			if x.Stage != nil && l.full {
				return nil, block.ErrNoSpace
			}
			if x.Stage != nil {
				return nil, l.stage(x.Record(l.w.layout), x.Data.([]uint64))
			}
			if l.full {
				part := block.Range{Off: x.Range.Off, Len: l.w.rng.Int64N(x.Range.Len/BlockBytes) * BlockBytes}
				l.put(part, *x.Data.(*simData))
				return nil, block.ErrNoSpace
			}
			l.put(x.Range, *x.Data.(*simData))
		case block.OpZero:
			l.put(x.Range, nil)
		case block.OpFlush:
			l.flush()
		}
		if x.Flags&block.FUA != 0 {
			l.sync()
		}
		return data, nil
	}
	return nil, l.obey(x.Command, reply)
}

// obey carries out a command.
func (l *simLeg) obey(c *Command, reply *Reply) error {
	switch c.Kind {
	case CommandConfig:
		l.setConfig(c.Config)
	case CommandAdopt:
		return l.adopt(c.Range)
	case CommandCommit, CommandFree, CommandRecords, CommandRollback, CommandDrop:
		return l.journalCommand(c, reply)
	default:
		l.command(c, reply)
	}
	return nil
}

// adopt calls bad blocks whole, in marked regions only.
func (l *simLeg) adopt(r block.Range) error {
	for b := r.Off / BlockBytes; b < r.End()/BlockBytes; b++ {
		if _, marked := l.marks[b/simRegionBlocks]; !marked {
			return block.ErrFailed
		}
		if v := l.cache[b]; v&simBad != 0 {
			l.cache[b], l.disk[b] = v&^simBad, []uint64{v &^ simBad}
		}
	}
	return nil
}

// rot makes a block unreadable, in the page cache and on the medium.
func (l *simLeg) rot(b int64) {
	if l.journal != nil {
		l.journal.bad[b] = true
		return
	}
	l.cache[b] |= simRot
	l.disk[b] = []uint64{l.cache[b]}
}

func (l *simLeg) setConfig(c volume.Config) {
	if c.CfgVer < l.cfg.CfgVer {
		return
	}
	l.cfg, l.admit, l.openBoot = c.Clone(), true, l.boot
	if l.journal != nil {
		l.journal.lost = false
	}
	l.slotSeq++
	for r := range l.marks {
		l.stamp[r] = c.CfgVer
	}
}

func (l *simLeg) command(c *Command, reply *Reply) {
	switch c.Kind {
	case CommandRotate:
		reply.Generation, reply.Seq = l.gen, l.slotSeq
		l.gen++
	case CommandStable:
		if l.journal != nil {
			l.journal.sync()
			l.sync()
		}
		for r, g := range l.marks {
			if g <= c.Generation {
				delete(l.marks, r)
			}
		}
		if len(l.marks) == 0 {
			l.slotSeq++
		}
		reply.Seq = l.slotSeq
	case CommandMarks:
		for _, r := range slices.Sorted(maps.Keys(l.marks)) {
			reply.Marked = append(reply.Marked, l.regionRange(r))
		}
		for _, r := range slices.Sorted(maps.Keys(l.stamp)) {
			if l.stamp[r] > c.Since {
				reply.Newer = append(reply.Newer, l.regionRange(r))
			}
		}
	case CommandSums:
		for i := range c.Range.Len / BlockBytes {
			reply.Sums = append(reply.Sums, uint32(l.content(c.Range.Off/BlockBytes+i)))
			if l.unreadable(c.Range.Off/BlockBytes + i) {
				reply.Bad = append(reply.Bad, uint32(i))
			}
		}
	case CommandVersions:
		for _, r := range slices.Sorted(maps.Keys(l.stamp)) {
			if v := l.stamp[r]; v > c.Since {
				reply.Versions = append(reply.Versions, volume.VersionRun{First: uint32(r), Count: 1, Version: v})
			}
		}
	case CommandStamp:
		for _, run := range c.Versions {
			r := int64(run.First)
			l.stamp[r] = max(l.stamp[r], run.Version)
		}
	case CommandDetachLeg:
		l.admit, reply.Seq = false, l.slotSeq
	}
}

// arrive is the moment at which a request takes effect on the leg.
func (s *simSession) arrive(x *Effect, id uint64, answer func(error, []uint64, Reply)) {
	l := s.leg
	l.track(x, 1)
	s.pending[id] = func(cause error) {
		// Drained: it happened or it did not, and nobody is told which.
		var reply Reply
		if l.w.rng.IntN(2) == 0 && l.on {
			_, _ = l.do(x, &reply)
		}
		answer(cause, nil, Reply{})
	}
	if l.hung {
		return
	}
	l.w.after(l.takes(x), func() {
		if !s.alive || s.pending[id] == nil {
			return
		}
		var reply Reply
		data, err := l.do(x, &reply)
		s.pending[id] = func(cause error) { answer(cause, nil, Reply{}) }
		l.track(x, -1)
		l.w.after(l.answers(x), func() {
			if !s.alive || s.pending[id] == nil {
				return
			}
			delete(s.pending, id)
			answer(err, data, reply)
		})
	})
}

// takes is how long a request takes until it takes effect.
func (l *simLeg) takes(x *Effect) time.Duration {
	switch {
	case !l.late || l.w.rng.IntN(2) == 0:
	case x.Kind == EffectSubmit && (x.Op.Changes() || x.Op == block.OpFlush):
		return time.Duration(l.w.rng.IntN(int(5 * time.Second)))
	case x.Kind == EffectCall:
		return l.w.lateness()
	}
	return l.w.latency()
}

// answers is how long the answer is on its way.
func (l *simLeg) answers(x *Effect) time.Duration {
	if l.late && x.Kind == EffectCall && l.w.rng.IntN(4) == 0 {
		return l.w.lateness()
	}
	return l.w.latency()
}

// lateness is how long a command takes at a leg that is late: as long as a write does, which is longer than an engine
// waits before it asks again or lets a leg join anew, and now and then so long that it ends the session.
func (w *simWorld) lateness() time.Duration {
	if w.rng.IntN(8) == 0 {
		return time.Duration(w.rng.IntN(int(20 * time.Second)))
	}
	return time.Duration(w.rng.IntN(int(5 * time.Second)))
}

// checkNoRecord: a block is written home directly only while no record touches it.
func (l *simLeg) checkNoRecord(b int64) {
	if l.journal.core.Touches(b, 1) {
		l.w.violation("leg %s: block %d is written home, a record has it", l.name, b)
	}
}

// track checks that a leg never has two writes of one block at a time.
func (l *simLeg) track(x *Effect, n int) {
	if x.Kind != EffectSubmit || !x.Op.Changes() || x.Stage != nil && x.Record(l.w.layout).Kind == volume.RecordDelta {
		return // deltas of different chunks meet on the legs of parity
	}
	for i := range x.Range.Len / BlockBytes {
		b := x.Range.Off/BlockBytes + i
		if l.busy[b] += n; l.busy[b] > 1 {
			l.w.violation("leg %s has two writes of block %d at once", l.name, b)
		}
	}
}

// simRaft is the coordinators' state of one volume, with the checks of the real one.
type simRaft struct {
	w        *simWorld
	epoch    volume.Epoch
	active   bool
	cfg      volume.CfgVer
	isr      map[*simLeg]bool
	fenced   map[*simLeg]bool
	lossy    map[*simLeg]bool
	granted  map[*simLeg]bool
	instance map[*simLeg]uint64
	joined   map[*simLeg]volume.CfgVer
	last     map[*simLeg]volume.CfgVer
	firstAt  time.Duration // first RecordFence of a member
	clean    bool
	down     bool
}

func (r *simRaft) config() volume.Config {
	c := volume.Config{CfgVer: r.cfg}
	for _, l := range r.w.legs {
		if r.isr[l] {
			c.InSync = append(c.InSync, l.id)
		}
	}
	return c
}

func (r *simRaft) beginAttach() volume.Epoch {
	r.epoch++
	r.active, r.firstAt = false, 0
	r.fenced, r.lossy = map[*simLeg]bool{}, map[*simLeg]bool{}
	return r.epoch
}

func (r *simRaft) apply(e volume.Epoch, c *Command) (Reply, error) {
	if e != r.epoch {
		return Reply{}, ErrSuperseded
	}
	l := r.w.legOf(c.LegID)
	switch c.Kind {
	case CommandRecordFence:
		r.instance[l] = c.Report.Instance
		if r.active {
			return Reply{}, nil
		}
		if r.isr[l] && r.firstAt == 0 {
			r.firstAt = max(r.w.now, 1)
		}
		r.fenced[l] = true
		r.lossy[l] = r.lossy[l] || c.Report.Lossy
		return Reply{}, nil
	case CommandActivate:
		return r.activate()
	case CommandRemoveLeg:
		return r.removeLeg(l, c)
	case CommandAddLeg:
		return r.addLeg(l, c)
	case CommandDetach:
		r.clean = c.Clean
		return Reply{}, nil
	case CommandConfirmCopy:
		return Reply{}, ErrWait // nothing is kept: tests/sim has coordinators that do
	case CommandConfirm:
		if c.CfgVer > r.cfg {
			r.w.violation("configuration %s is confirmed, raft is at %s", c.CfgVer, r.cfg)
		}
		for l := range r.isr {
			if r.joined[l] <= c.CfgVer && l.cfg.CfgVer < c.CfgVer {
				r.w.violation("configuration %s is confirmed, leg %s has %s", c.CfgVer, l.name, l.cfg.CfgVer)
			}
		}
		return Reply{}, nil
	}
	return Reply{}, block.ErrUnsupported
}

func (r *simRaft) activate() (Reply, error) {
	if r.active {
		return Reply{Config: r.config(), Clean: r.clean}, nil
	}
	kept, all := map[*simLeg]bool{}, true
	wait := false
	for l := range r.isr {
		all = all && r.fenced[l]
		if r.fenced[l] && !r.lossy[l] {
			kept[l] = true
		}
		wait = wait || !r.fenced[l]
	}
	for l := range r.granted {
		wait = wait || !r.fenced[l]
	}
	if !r.w.enough(kept, nil) && !all {
		return Reply{}, ErrWait
	}
	if wait && (r.firstAt == 0 || r.w.now-r.firstAt < simTRead*5/4) {
		return Reply{}, ErrWait
	}
	if !r.w.enough(kept, nil) {
		r.w.siteLoss()
		kept = maps.Clone(r.isr)
	}
	for l := range r.isr {
		if !kept[l] {
			r.last[l] = r.cfg
		}
	}
	reply := Reply{Clean: r.clean}
	for _, l := range r.w.legs {
		if r.lossy[l] {
			reply.Lossy = append(reply.Lossy, l.id)
		}
	}
	r.isr, r.granted = kept, maps.Clone(kept)
	r.cfg++
	r.active, r.clean = true, false
	reply.Config = r.config()
	return reply, nil
}

func (r *simRaft) removeLeg(l *simLeg, c *Command) (Reply, error) {
	// A refusal need not carry the configuration.
	reply := func() Reply {
		if r.w.rng.IntN(2) == 0 {
			return Reply{}
		}
		return Reply{Config: r.config()}
	}
	switch {
	case !r.active:
		return reply(), ErrRetry
	case c.CfgVer != r.cfg && r.isr[l]:
		return reply(), ErrStaleRequest
	case c.CfgVer != r.cfg:
		return Reply{Config: r.config()}, nil // it was done before
	case r.isr[l] && !r.w.enough(r.isr, l):
		return reply(), ErrLast
	}
	if r.isr[l] {
		r.last[l] = r.cfg
		delete(r.isr, l)
	}
	r.cfg++
	return Reply{Config: r.config()}, nil
}

func (r *simRaft) addLeg(l *simLeg, c *Command) (Reply, error) {
	if r.isr[l] && c.CfgVer < r.cfg {
		return Reply{Config: r.config()}, nil
	}
	if !r.active || c.CfgVer != r.cfg || c.Instance != r.instance[l] || c.Store != l.store {
		return Reply{Config: r.config()}, ErrRetry
	}
	r.w.checkPromotion(l)
	r.isr[l], r.granted[l] = true, true
	r.cfg++
	r.joined[l] = r.cfg
	return Reply{Config: r.config()}, nil
}
