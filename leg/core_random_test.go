package leg

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/volume"
)

var seedFlag = flag.Uint64("seed", uint64(time.Now().UnixNano()), "seed of the random tests")

// randomRegions is how many regions the leg of the random test has: two mark sectors, 66 of versions.
const randomRegions = 4100

// askedConfig is a CONFIG that is not answered yet.
type askedConfig struct {
	ver      volume.CfgVer
	admitted int // writes that had entered before it
}

// randomCore drives a Core with random events, restarts and power cuts included, and holds its
// invariants after each.
type randomCore struct {
	t    require.TestingT
	rng  *rand.Rand
	core *Core
	disk regionModel

	persist  *Effect // on its way to the disk
	syncs    []OpID
	nextOp   OpID
	logins   map[OpID]Login
	configs  map[OpID]askedConfig
	stamps   map[OpID]volume.VersionRun
	sessions map[SessionID]Login // that a login opened, or that it may open
	open     map[SessionID]bool
	inside   []insider // requests inside the gate
	boot     byte
	broken   Rules
	speed    int // of writes of the label and regions, of 20; syncs take the rest
	// configured says that a CONFIG was accepted since the start. One that a newer login overtakes on
	// its way to the disk may take effect all the same.
	configured bool
	top        volume.Epoch // highest epoch that a completed login had
	covers     map[OpID]int // of each sync on its way: the writes that had ended
}

type insider struct {
	session SessionID
	ticket  Ticket
	write   bool
	first   uint32
	end     uint32
}

func TestCore_randomEvents(t *testing.T) {
	t.Logf("seed %d: repeat with -seed", *seedFlag)
	for run := range uint64(40) {
		randomLife(t, *seedFlag, run, 0)
	}
}

// randomLife runs one life of a leg, of one durability class or the other.
func randomLife(t require.TestingT, seed, run uint64, broken Rules) {
	r := &randomCore{t: t, rng: rand.New(rand.NewPCG(seed, run)), boot: 1, broken: broken}
	r.speed = 4 + r.rng.IntN(12)
	class := volume.DurabilityFlush
	if run%2 == 1 {
		class = volume.DurabilitySync
	}
	r.disk = newRegionModel(t, volume.Label{SizeBytes: randomRegions << 20, Durability: class})
	r.restart()
	for range 400 {
		r.step()
		r.effects()
		r.check()
	}
}

// failure is the end of a life that broke a rule.
type failure struct{ text string }

func (f *failure) Errorf(format string, args ...any) { f.text = fmt.Sprintf(format, args...) }
func (f *failure) FailNow()                          { panic(f) }

// TestCore_randomEventsFindBrokenRules breaks each rule in turn: the random test must see it.
func TestCore_randomEventsFindBrokenRules(t *testing.T) {
	found := func(run uint64, broken Rules) (found bool) {
		f := &failure{}
		defer func() {
			if got := recover(); got != nil {
				require.Same(t, f, got)
				found = true
			}
		}()
		randomLife(f, 1, run, broken)
		return false
	}
	for _, name := range RuleNames() {
		rule, known := RuleByName(name)
		require.True(t, known)
		if rule == BreakClearUnstamped {
			continue // it takes thousands of lives: TestStable_waitsForStamps
		}
		if rule >= BreakMergeLate {
			continue // of the journal, which is not the Core's: TestJournal_brokenRulesAreFound
		}
		run := uint64(0)
		for run < 500 && !found(run, rule) {
			run++
		}
		require.Less(t, run, uint64(500), "%s is not found", name)
		t.Logf("%s: %d lives", name, run+1)
	}
	_, known := RuleByName("none of that name")
	require.False(t, known)
	require.Equal(t, breakEnd, Rules(1)<<len(RuleNames()))
}

// restart starts a core with what is on the disk.
func (r *randomCore) restart() {
	label, sectors := StartLeg(Found{Label: r.disk.label, Regions: r.disk.regions}, scriptUUID(r.boot))
	r.disk.label = label
	for _, s := range sectors {
		r.disk.checkSector(s, true)
		require.NoError(r.t, r.disk.regions.Load(s))
	}
	r.core = NewCore(CoreOptions{Label: label, Regions: r.disk.regions.Clone(), Boot: scriptUUID(r.boot),
		Instance: r.rng.Uint64(), Broken: r.broken})
	r.core.maxSectors = 1 + r.rng.IntN(3)
	for _, in := range r.inside {
		if in.write {
			r.disk.ended(in.first, in.end)
		}
	}
	r.disk.newInstance(r.core.window)
	r.persist, r.syncs, r.inside, r.configured = nil, nil, nil, false
	r.logins, r.sessions, r.open = map[OpID]Login{}, map[SessionID]Login{}, map[SessionID]bool{}
	r.configs, r.stamps = map[OpID]askedConfig{}, map[OpID]volume.VersionRun{}
	r.covers = map[OpID]int{}
}

func (r *randomCore) op() OpID { r.nextOp++; return r.nextOp }

// anySession picks a session, mostly the newest.
func (r *randomCore) anySession() SessionID {
	if r.rng.IntN(4) > 0 {
		return r.core.nextSession
	}
	return SessionID(r.rng.IntN(int(r.core.nextSession) + 1))
}

// anyRegions picks regions near the ends of sectors, seldom many.
func (r *randomCore) anyRegions() (first, end uint32) {
	at := []uint32{0, 1, 62, 63, 64, marksPerSector - 1, marksPerSector, randomRegions - 1}
	first = at[r.rng.IntN(len(at))]
	count := uint32(1)
	switch n := r.rng.IntN(200); {
	case n == 0:
		count = randomRegions
	case n < 60:
		count = 1 + uint32(r.rng.IntN(100))
	}
	return first, min(first+count, randomRegions)
}

func bytesOf(first, end uint32) block.Range {
	return block.Range{Off: int64(first) * volume.RegionBytes, Len: int64(end-first) * volume.RegionBytes}
}

func (r *randomCore) step() {
	s := r.anySession()
	switch r.rng.IntN(17) {
	case 0:
		r.login()
	case 1, 2:
		op, ver := r.op(), r.core.label.Config.CfgVer+volume.CfgVer(r.rng.IntN(2))
		r.configs[op] = askedConfig{ver, r.disk.admitted}
		r.core.Config(op, s, r.sessions[s].Epoch, volume.Config{
			CfgVer: ver, InSync: []volume.LegID{{UUID: scriptUUID(1)}}})
		r.configured = r.configured || !r.refused(op)
	case 3, 4, 5, 6:
		r.enter(s, r.rng.IntN(3) > 0)
	case 7:
		first, end := r.anyRegions()
		r.core.Mark(r.op(), s, bytesOf(first, end))
	case 8:
		_, _ = r.core.Rotate(s)
	case 9, 10:
		r.stable(s)
	case 11:
		if r.rng.IntN(4) == 0 {
			r.core.Detach(r.op(), s, r.rng.IntN(2) == 0)
		}
	case 12, 13:
		r.world()
	case 14:
		r.leave()
	case 15:
		if r.rng.IntN(3) == 0 && r.open[s] {
			r.core.SessionClosed(s)
			delete(r.open, s)
		}
	case 16:
		first, end := r.anyRegions()
		op, version := r.op(), volume.CfgVer(1+r.rng.IntN(9))
		run := volume.VersionRun{First: first, Count: end - first, Version: version}
		r.stamps[op] = run
		r.core.Stamp(op, s, []volume.VersionRun{run})
	}
}

func (r *randomCore) login() {
	epoch := volume.Epoch(r.rng.IntN(3)) + r.core.label.FenceEpoch
	l := Login{Epoch: max(epoch, 1) - 1, Attach: volume.AttachID{UUID: scriptUUID(byte(epoch))},
		ISID: ISID{byte(r.rng.IntN(2))}}
	op := r.op()
	r.logins[op] = l
	if id := r.core.Login(op, l); id != 0 {
		r.sessions[id] = l
	}
}

// stable asks for a STABLE, mostly of the window that ended last.
func (r *randomCore) stable(s SessionID) {
	if r.rng.IntN(3) > 0 {
		_, _ = r.core.Rotate(s)
	}
	op, gen := r.op(), r.core.window-1-uint64(r.rng.IntN(8)/7)
	r.core.Stable(op, s, gen)
	if !r.refused(op) && gen == r.core.window-1 {
		for _, in := range r.inside {
			require.False(r.t, in.write && in.ticket.window <= gen, "a STABLE with its writes in flight is refused")
		}
		r.disk.stable(gen)
	}
}

// refused reports whether an operation was refused at once.
func (r *randomCore) refused(op OpID) bool {
	return slices.ContainsFunc(r.core.effects, func(e Effect) bool {
		return e.Kind == EffectReply && e.Op == op && e.Err != nil
	})
}

func (r *randomCore) leave() {
	if len(r.inside) == 0 {
		return
	}
	i := r.rng.IntN(len(r.inside))
	in := r.inside[i]
	if in.write {
		r.disk.ended(in.first, in.end)
	}
	r.core.Leave(in.ticket)
	r.inside = append(r.inside[:i], r.inside[i+1:]...)
}

// world lets the disk go on, or the machine restart.
func (r *randomCore) world() {
	switch n := r.rng.IntN(20); {
	case n == 0:
		r.boot++ // the machine: what was on its way is there or not
		fallthrough
	case n == 1:
		r.crash()
	case n < r.speed && r.persist != nil:
		e := *r.persist
		r.persist = nil
		for _, s := range e.Sectors {
			require.NoError(r.t, r.disk.regions.Load(s))
		}
		if e.WriteLabel {
			e.Label.SlotSeq++
			r.disk.label = e.Label
		}
		r.core.Persisted(e.Label, nil)
	case len(r.syncs) > 0:
		op := r.syncs[0]
		r.syncs = r.syncs[1:]
		r.disk.synced = max(r.disk.synced, r.covers[op])
		r.core.Synced(op, nil)
	}
}

// crash ends the process: of the sectors on their way any may be on the disk, and the label only after
// all of them. Now and then the disk spoils a sector.
func (r *randomCore) crash() {
	if e := r.persist; e != nil {
		all := r.rng.IntN(2) == 0
		for _, s := range e.Sectors {
			if all || r.rng.IntN(2) == 0 {
				require.NoError(r.t, r.disk.regions.Load(s))
			}
		}
		if all && e.WriteLabel && r.rng.IntN(2) == 0 {
			e.Label.SlotSeq++
			r.disk.label = e.Label
		}
	}
	if r.rng.IntN(4) == 0 {
		r.disk.spoil(uint32(r.rng.IntN(int(r.disk.regions.Sectors()))))
	}
	restarted := r.disk.label.OpenBoot != scriptUUID(r.boot)
	unsafe := r.disk.unsafe()
	r.restart()
	if restarted && unsafe && r.disk.label.Durability == volume.DurabilityFlush {
		require.True(r.t, r.core.Report().Lossy, "an unstable write of another boot is lost")
	}
}

func (r *randomCore) enter(s SessionID, write bool) {
	first, end := r.anyRegions()
	ticket, verdict, err := r.core.Enter(s, write, bytesOf(first, end))
	require.Equal(r.t, verdict == Refuse, err != nil)
	if l, known := r.sessions[s]; known && r.core.session(s) != nil {
		require.Equal(r.t, l.Epoch < r.core.label.FenceEpoch, errors.Is(err, block.ErrFenced),
			"an older epoch, and nothing else, is fenced")
	}
	if verdict == NeedMark {
		r.core.Mark(r.op(), s, bytesOf(first, end))
	}
	if verdict != Admit {
		return
	}
	d := r.core.Durable()
	require.True(r.t, r.open[s], "only an open session enters")
	require.Equal(r.t, r.core.label.FenceEpoch, r.sessions[s].Epoch, "I3: only the label's epoch enters")
	require.Equal(r.t, d.FenceEpoch, r.sessions[s].Epoch)
	require.True(r.t, d.Admit && !d.Closed)
	require.False(r.t, lossy(d, r.core.boot), "a lossy leg serves nothing")
	if write {
		for i := first; i < end; i++ {
			if r.core.regions.Version(i) < r.core.stamp {
				require.Fail(r.t, "a write enters before its region is stamped", "region %d", i)
			}
		}
		r.disk.entered(first, end, r.core.window, r.core.stamp)
	}
	r.inside = append(r.inside, insider{s, ticket, write, first, end})
}

func (r *randomCore) effects() {
	for _, e := range r.core.Effects() {
		switch e.Kind {
		case EffectPersist:
			require.Nil(r.t, r.persist, "one write at a time")
			r.checkPersist(e)
			r.persist = &e
		case EffectKill:
			delete(r.open, e.Session)
		case EffectSync:
			r.syncs, r.covers[e.Op] = append(r.syncs, e.Op), r.disk.written
		case EffectReply:
			if e.Err == nil {
				r.answered(e)
			}
		}
	}
}

// answered holds what a good answer says.
func (r *randomCore) answered(e Effect) {
	if login, ok := r.logins[e.Op]; ok {
		r.loggedIn(e.Session, login)
	}
	if c, ok := r.configs[e.Op]; ok {
		require.GreaterOrEqual(r.t, r.disk.label.Config.CfgVer, c.ver)
		r.disk.checkStamps(c.ver, c.admitted)
	}
	if run, ok := r.stamps[e.Op]; ok {
		for i := run.First; i < run.First+run.Count; i++ {
			require.GreaterOrEqual(r.t, r.disk.regions.Version(i), run.Version)
		}
	}
}

// checkPersist holds what may happen from one state of the disk to the next.
func (r *randomCore) checkPersist(e Effect) {
	require.LessOrEqual(r.t, len(e.Sectors), r.core.maxSectors)
	for _, s := range e.Sectors {
		r.disk.checkSector(s, false)
	}
	from, to := r.core.Durable(), e.Label
	require.Equal(r.t, from, r.disk.label)
	if !e.WriteLabel {
		return
	}
	if from.Marked && !to.Marked {
		require.False(r.t, lossy(from, r.core.boot), "evidence of a lost cache is not cleared")
		require.False(r.t, r.disk.unsafe(), "a label without marks makes every mark void")
	}
	if lossy(from, r.core.boot) && !lossy(to, r.core.boot) {
		require.True(r.t, r.configured, "only a CONFIG ends lossy: a login never does")
	}
}

func (r *randomCore) loggedIn(s SessionID, l Login) {
	require.Equal(r.t, l.Epoch, r.core.Durable().FenceEpoch,
		"I5: the label is durable when the login completes")
	require.GreaterOrEqual(r.t, l.Epoch, r.top, "I2")
	r.top = l.Epoch
	r.open[s] = true
	for _, in := range r.inside {
		other := r.sessions[in.session]
		require.False(r.t, other.Epoch < l.Epoch || other == l, "I4: what the login ends has drained")
	}
}

func (r *randomCore) check() {
	d := r.core.Durable()
	require.Equal(r.t, r.disk.label, d)
	require.GreaterOrEqual(r.t, d.FenceEpoch, r.top, "I2: the durable epoch never decreases")
	require.False(r.t, d.Closed && d.Admit, "a spent epoch admits nobody")
	if r.core.durableChange == r.core.labelChange {
		label := r.core.label
		label.SlotSeq = d.SlotSeq
		require.Equal(r.t, d, label)
	}
	require.Equal(r.t, r.core.regions.Marks() > 0, r.core.label.Marked)
	r.disk.check()
	for i, ok := r.core.safe.next(0); ok; i, ok = r.core.safe.next(i + 1) {
		if !r.disk.regions.Marked(i) || !r.core.regions.Marked(i) {
			require.Fail(r.t, "a mark counts as safe and is not", "region %d", i)
		}
	}
	if r.persist == nil {
		require.Empty(r.t, r.core.dirty.queue)
	}
}
