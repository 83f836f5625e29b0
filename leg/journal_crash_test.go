package leg_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/leg"
	"github.com/holdfast-storage/holdfast/volume"
)

// paritySpec is a leg of parity with two regions and the smallest journal, which is full of 16 records.
func paritySpec() leg.Spec {
	spec := testSpec()
	spec.Layout = volume.Layout{Kind: volume.KindParity, Data: 2, Extra: 1, Chunk: volume.MinChunkBytes}
	spec.SizeBytes = 2 * (volume.RegionBytes + 8192)
	return spec
}

// parityLegs is what records of the tests name.
func parityLegs() []volume.LegID {
	return []volume.LegID{{UUID: volume.UUID{15: 31}}, testSpec().Leg, {UUID: volume.UUID{15: 33}}}
}

// journalRun is one leg of parity at work whose power may fail before every change and every sync.
type journalRun struct {
	t     *testing.T
	fsys  *memFS
	spec  leg.Spec
	rng   *rand.Rand
	limit int

	broken leg.Rules

	mu     sync.Mutex
	o      journalOracle
	states int
	wrong  error

	store   *leg.Store
	leg     *leg.Leg
	session *leg.Session
	epoch   volume.Epoch
	number  uint64
	value   uint64
	backs   int
	last    []*oracleRecord // what was staged or rolled back last, and answered
}

func newJournalRun(t *testing.T, durability volume.Durability, limit int, broken leg.Rules) *journalRun {
	r := &journalRun{t: t, fsys: newMemFS(), spec: paritySpec(), broken: broken, limit: limit,
		rng: rand.New(rand.NewPCG(2, uint64(limit))), o: journalOracle{direct: map[int64]*promisedBlock{}}}
	r.spec.Durability = durability
	require.NoError(t, leg.InitStore(r.fsys, testStore, testNode))
	r.open("boot 1")
	require.NoError(t, r.store.Provision(r.spec))
	r.leg = openLeg(t, r.store)
	r.fsys.setHook(r.before)
	return r
}

func (r *journalRun) open(boot string) {
	store, err := openWitnessed(r.fsys, leg.StoreOptions{
		BootID: boot, Instance: 7, Broken: r.broken})
	require.NoError(r.t, err)
	r.store = store
}

// before looks at the states before each operation of the file system.
func (r *journalRun) before(op, path string) error {
	if op == "read" {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	when := op + " of " + path
	if op != "store" { // memory tells a power cut nothing
		r.states += crashStates(r.fsys, r.limit, r.rng, func(state *memFS) { r.check(state, "boot 2", when) })
	}
	r.check(r.fsys.afterKill(), "boot 1", "kill before "+when)
	if op == "sync" && path == legPath("journal") && r.broken == 0 { // then most of it is in the page cache only
		r.checkStart("kill before " + when)
	}
	return nil
}

// checkStart starts the leg after a kill, and looks at the states that a power cut can leave before each operation of
// that: what was in the page cache is not durable.
func (r *journalRun) checkStart(when string) {
	fsys := r.fsys.afterKill()
	fsys.setHook(func(op, path string) error {
		if op != "read" && op != "store" {
			at := fmt.Sprintf("%s, start, %s of %s", when, op, path)
			r.states += crashStates(fsys, 3, r.rng, func(state *memFS) { r.check(state, "boot 2", at) })
		}
		return nil
	})
	store, err := openWitnessed(fsys, leg.StoreOptions{
		BootID: "boot 1", Instance: 9, Broken: r.broken})
	if err == nil {
		_, err = store.OpenLeg(r.spec.Leg)
		err = errors.Join(err, store.Close())
	}
	if err != nil && r.wrong == nil {
		r.wrong = fmt.Errorf("%s: %w", when, err)
	}
}

func (r *journalRun) check(state *memFS, boot, when string) {
	if r.wrong != nil {
		return
	}
	if err := r.verify(state, boot); err != nil {
		r.wrong = fmt.Errorf("%s, %s: %w", boot, when, err)
	}
}

// violation returns the first broken promise that was found.
func (r *journalRun) violation() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.wrong
}

// do notes what is tried, tries, and notes that it was answered.
func (r *journalRun) do(try func(*journalOracle), act func() error, answered func(*journalOracle)) {
	r.t.Helper()
	if r.violation() != nil {
		return
	}
	r.note(try)
	require.NoError(r.t, act())
	r.note(answered)
}

func (r *journalRun) note(change func(*journalOracle)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if change != nil {
		change(&r.o)
	}
}

func (r *journalRun) login() {
	r.epoch++
	r.number = 0
	if r.violation() == nil {
		r.session = configured(r.t, r.leg, r.epoch)
	}
}

// at names a transaction of this epoch.
func (r *journalRun) at(number uint64) volume.Transaction {
	return volume.Transaction{Epoch: r.epoch, Number: number}
}

// stage sends the next record; it returns its number.
func (r *journalRun) stage(kind volume.RecordKind, first, blocks int64) uint64 {
	r.number++
	rec := &oracleRecord{Record: volume.Record{Transaction: r.at(r.number), Kind: kind, FirstBlock: first,
		Blocks: blocks, Legs: parityLegs()}}
	var payload []byte
	for range blocks {
		r.value++
		rec.values = append(rec.values, r.value*0x9e3779b97f4a7c15)
		payload = append(payload, blockOf(r.value*0x9e3779b97f4a7c15)...)
	}
	r.do(func(o *journalOracle) { o.records = append(o.records, rec) },
		func() error { return r.session.Stage(r.t.Context(), rec.Record, payload) },
		func(*journalOracle) {
			rec.answered, rec.flushed = true, r.spec.Durability == volume.DurabilitySync
			r.last = []*oracleRecord{rec}
		})
	return r.number
}

func (r *journalRun) flush() {
	r.do(nil, func() error { return r.session.Flush(r.t.Context()) }, (*journalOracle).flush)
}

// commit is FLUSH and COMMIT, as an engine sends them.
func (r *journalRun) commit(number uint64) {
	r.flush()
	t := r.at(number)
	r.do(func(o *journalOracle) { o.committing = t },
		func() error { return r.session.Commit(r.t.Context(), t) },
		func(o *journalOracle) { o.committed = t })
}

func (r *journalRun) free(number uint64) {
	t := r.at(number)
	r.do(func(o *journalOracle) { o.freeing = t },
		func() error { return r.session.Free(r.t.Context(), t) },
		func(o *journalOracle) { o.freed = t })
}

func (r *journalRun) rollback(numbers ...uint64) {
	r.backs++
	var list []volume.Transaction
	for _, n := range numbers {
		list = append(list, volume.Transaction{Epoch: r.epoch - 1, Number: n})
	}
	each := func(change func(*oracleRecord)) func(*journalOracle) {
		return func(o *journalOracle) {
			for _, rec := range o.records {
				for _, t := range list {
					if rec.Transaction == t {
						change(rec)
					}
				}
			}
		}
	}
	r.do(each(func(rec *oracleRecord) { rec.backing = r.backs }),
		func() error { return r.session.Rollback(r.t.Context(), list) },
		func(o *journalOracle) {
			r.last = nil
			each(func(rec *oracleRecord) {
				rec.back = true
				r.last = append(r.last, rec)
			})(o)
		})
}

// copy writes a block around the journal.
func (r *journalRun) copy(n int64) {
	r.value++
	v := r.value * 0x9e3779b97f4a7c15
	r.do(func(o *journalOracle) {
		if o.direct[n] == nil {
			o.direct[n] = &promisedBlock{}
		}
		o.direct[n].later = append(o.direct[n].later, v)
	}, func() error { return r.session.Write(r.t.Context(), blockOf(v), n*4096, 0) },
		func(o *journalOracle) {
			b := o.direct[n]
			if b.acked = v; r.spec.Durability == volume.DurabilitySync {
				b.flushed, b.later = v, nil
			}
		})
}

func (r *journalRun) drop() {
	floor := r.at(r.number)
	r.do(func(o *journalOracle) { o.dropping = floor },
		func() error { return r.session.Drop(r.t.Context(), floor) },
		func(o *journalOracle) { o.floor = floor })
}

// verify starts a machine on what is left, and holds it to what was promised: what is listed and what the blocks
// hold, before and after a recovery that turns everything forward, and over one more power cut.
func (r *journalRun) verify(state *memFS, boot string) error {
	content, err := r.verifyBoot(state, boot, boot == "boot 1", true)
	if err != nil {
		return err
	}
	state.locked = map[string]bool{}
	again := state.afterCut(func(int) int { return 0 })
	after, err := r.verifyBoot(again, "boot 3", false, false)
	if err == nil && fmt.Sprint(after) != fmt.Sprint(content) {
		err = fmt.Errorf("it was %v", content)
	}
	if err != nil {
		return fmt.Errorf("after a recovery and one more power cut: %w", err)
	}
	return nil
}

func (r *journalRun) verifyBoot(state *memFS, boot string, kept, first bool) (map[int64]uint64, error) {
	store, err := openWitnessed(state, leg.StoreOptions{
		BootID: boot, Instance: 8, Broken: r.broken})
	if err != nil {
		return nil, err
	}
	defer func() { _ = store.Close() }()
	l, err := store.OpenLeg(r.spec.Leg)
	if err != nil {
		return nil, err
	}
	ctx, epoch := context.Background(), r.epoch+1
	if !first {
		epoch++
	}
	s, err := l.Login(ctx, leg.Login{Epoch: epoch, Attach: attach(byte(epoch))}, func(string) {})
	if err != nil {
		return nil, err
	}
	report, err := s.Report()
	if err != nil {
		return nil, err
	}
	if err := s.Config(ctx, epoch, config(volume.CfgVer(epoch))); err != nil {
		return nil, err
	}
	have, next, err := s.Records(ctx, 0, 100)
	if err != nil || next != 0 {
		return nil, errors.Join(err, fmt.Errorf("next %d", next))
	}
	if !first {
		if len(have.Records) > 0 {
			return nil, fmt.Errorf("it lists %v, and all was freed", have.Records)
		}
		return r.contentOf(s)
	}
	content, err := r.o.judge(have, kept, report.Lossy)
	if err != nil {
		return nil, err
	}
	return r.recover(s, content, kept, epoch)
}

// recover does what an engine does that turns everything forward.
func (r *journalRun) recover(s *leg.Session, content map[int64]uint64, kept bool, epoch volume.Epoch) (
	found map[int64]uint64, err error) {
	ctx, all := context.Background(), volume.Transaction{Epoch: epoch}
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"found", func() error { return nil }},
		{"flushed", func() error { return s.Flush(ctx) }},
		{"committed", func() error { return s.Commit(ctx, all) }},
		{"freed", func() error { return s.Free(ctx, all) }},
	} {
		err := step.do()
		if err == nil {
			found, err = r.contentOf(s)
		}
		if err == nil {
			err = r.judgeContent(content, found, kept)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return found, nil
}

// judgeContent holds each block against the records, or against what was written directly. After a drop only that
// counts.
func (r *journalRun) judgeContent(content, found map[int64]uint64, kept bool) error {
	for n, v := range found {
		if b := r.o.direct[n]; b != nil {
			newest := v == b.acked || len(b.later) > 0 && v == b.later[len(b.later)-1]
			if kept && !newest || !kept && !b.allows(v, true) {
				return fmt.Errorf("block %d is %#x; flushed was %#x, later %#x, answered last %#x", n, v, b.flushed,
					b.later, b.acked)
			}
		} else if r.o.dropping == (volume.Transaction{}) && v != content[n] {
			return fmt.Errorf("block %d is %#x, its records make %#x", n, v, content[n])
		}
	}
	return nil
}

// contentOf reads the blocks that the life uses. One that was written directly may be torn.
func (r *journalRun) contentOf(s *leg.Session) (map[int64]uint64, error) {
	content := map[int64]uint64{}
	buf := make([]byte, 4096)
	for _, n := range []int64{0, 1, 2, 3, 4, 5, 6, 100, 255, 256, 257} {
		err := s.Read(context.Background(), buf, n*4096)
		if errors.Is(err, block.ErrMedium) && r.o.direct[n] != nil && len(r.o.direct[n].later) > 0 {
			continue
		}
		if err != nil {
			return nil, err
		}
		if content[n], err = valueOf(buf); err != nil {
			return nil, fmt.Errorf("block %d: %w", n, err)
		}
	}
	return content, nil
}

// life is the life of a leg of parity, twice around its journal.
func (r *journalRun) life() {
	image, delta := volume.RecordImage, volume.RecordDelta
	r.login()
	r.stage(delta, 0, 1)
	r.stage(image, 1, 2)
	r.stage(delta, 0, 2) // over both
	r.commit(2)
	r.stage(delta, 2, 1)
	r.copy(100)
	r.free(2)
	r.stable()             // with a record that is only staged
	r.stage(image, 256, 1) // another region
	r.commit(5)
	r.stage(delta, 255, 2) // across regions, over what is committed
	r.free(5)
	r.copy(6)
	r.flush()
	r.stage(delta, 0, 1)
	r.stage(delta, 1, 1)
	r.stage(image, 2, 1)
	r.stage(delta, 2, 1)
	r.login() // a takeover decides about what is staged
	r.flush()
	r.rollback(7, 9, 10)
	r.commit(0)
	r.stable() // with what was rolled back in the ring still
	r.stage(delta, 3, 1)
	r.free(0)
	for range 3 {
		r.stage(image, 3, 1)
		n := r.stage(delta, 3, 2)
		r.commit(n)
		r.free(n)
	}
	r.stable()
	r.stage(delta, 5, 1)
	r.stage(image, 257, 1)
	r.login() // it left, and comes back
	r.drop()
	r.copy(5)
	r.flush()
	r.stable()
	r.stage(delta, 0, 1)
	r.flush()
}

// stable clears the marks of what was freed.
func (r *journalRun) stable() {
	if r.violation() != nil {
		return
	}
	gen, _, err := r.session.Rotate()
	require.NoError(r.t, err)
	r.do(nil, func() error { return r.session.Stable(r.t.Context(), gen) }, (*journalOracle).flush)
}

// TestJournal_everyCrash runs the life of a leg of parity; before each change and each sync of the file system, every
// state that a power cut can leave there (or, where they are too many, the corners and a sample) is started from and
// held to what was promised by then.
func TestJournal_everyCrash(t *testing.T) {
	states := 0
	for _, durability := range []volume.Durability{volume.DurabilityFlush, volume.DurabilitySync} {
		r := newJournalRun(t, durability, (*crashLimit+1)/2, 0) // each state is started from twice
		r.life()
		require.NoError(t, r.violation())
		states += r.states
	}
	t.Logf("holdfast-summary journal_crash_states=%d", states)
}

// TestJournal_brokenRulesAreFound: each rule of the journal that a leg alone can break, broken, breaks a promise.
func TestJournal_brokenRulesAreFound(t *testing.T) {
	for _, name := range []string{"mergeLate", "logHoles", "freeUnflushed", "forgetFloor", "lateMark"} {
		rule, ok := leg.RuleByName(name)
		require.True(t, ok, name)
		r := newJournalRun(t, volume.DurabilityFlush, min(30, *crashLimit), rule)
		r.life()
		require.Error(t, r.violation(), name)
		t.Logf("%s: %v", name, r.violation())
	}
}
