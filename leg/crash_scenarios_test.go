package leg_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/leg"
	"github.com/holdfast-storage/holdfast/volume"
)

var crashLimit = flag.Int("crash.limit", crashStatesByDefault,
	"most states of a power cut to try before each operation")

// crashRun is one leg at work whose power may fail before every change and every sync.
type crashRun struct {
	t     *testing.T
	fsys  *memFS
	spec  leg.Spec
	rng   *rand.Rand
	limit int

	broken leg.Rules

	mu     sync.Mutex
	p      promised
	states int
	wrong  error

	store   *leg.Store
	leg     *leg.Leg
	session *leg.Session
	value   uint64
}

// newCrashRun makes a store; from then on every state that a power cut can leave is checked.
func newCrashRun(t *testing.T, durability volume.Durability, limit int, broken leg.Rules) *crashRun {
	r := &crashRun{t: t, fsys: newMemFS(), spec: testSpec(), broken: broken, limit: limit,
		rng: rand.New(rand.NewPCG(1, uint64(limit))), p: promised{blocks: map[int64]*promisedBlock{}}}
	r.spec.SizeBytes, r.spec.Durability = 2*volume.RegionBytes+8192, durability
	require.NoError(t, leg.InitStore(r.fsys, testStore, testNode))
	store, err := openWitnessed(r.fsys, leg.StoreOptions{
		BootID: "boot 1", Instance: 7, Broken: broken})
	require.NoError(t, err)
	r.store = store
	r.fsys.setHook(r.before)
	return r
}

// before looks at the states before each operation of the file system.
func (r *crashRun) before(op, path string) error {
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
	return nil
}

// do makes a promise about to be tried, tries, and notes that it was answered. Once a state was found
// that breaks a promise, nothing is done any more.
func (r *crashRun) do(try func(*promised), act func() error, answered func(*promised)) {
	r.t.Helper()
	if r.violation() != nil {
		return
	}
	r.note(try)
	require.NoError(r.t, act())
	r.note(answered)
}

// violation returns the first broken promise that was found.
func (r *crashRun) violation() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.wrong
}

func (r *crashRun) note(change func(*promised)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if change != nil {
		change(&r.p)
	}
}

func (r *crashRun) provision() {
	r.do(nil, func() error { return r.store.Provision(r.spec) }, func(p *promised) { p.provisioned = true })
	l, err := r.store.OpenLeg(r.spec.Leg)
	require.NoError(r.t, err)
	r.leg = l
}

func (r *crashRun) login(epoch uint64) {
	r.do(func(p *promised) { p.tried = epoch }, func() (err error) {
		r.session, err = r.leg.Login(r.t.Context(),
			leg.Login{Epoch: volume.Epoch(epoch), Attach: attach(byte(epoch))}, func(string) {})
		return err
	}, func(p *promised) { p.epoch = epoch })
}

func (r *crashRun) config(cfg uint64) {
	r.do(nil, func() error {
		return r.session.Config(r.t.Context(), volume.Epoch(r.p.epoch), config(volume.CfgVer(cfg)))
	}, func(p *promised) { p.cfg = cfg })
}

// write writes a run of blocks with new values; zero with value 0.
func (r *crashRun) write(first, blocks int64, flags block.Flags) {
	r.value++
	values := make([]uint64, blocks)
	var payload []byte
	for i := range values {
		values[i] = r.value<<8 | uint64(i+1)
		payload = append(payload, blockOf(values[i])...)
	}
	r.change(first, values, flags, func(ctx context.Context) error {
		return r.session.Write(ctx, payload, first*4096, flags)
	})
}

func (r *crashRun) zero(first, blocks int64, flags block.Flags) {
	r.change(first, make([]uint64, blocks), flags, func(ctx context.Context) error {
		return r.session.Zero(ctx, block.Range{Off: first * 4096, Len: blocks * 4096}, flags)
	})
}

func (r *crashRun) change(first int64, values []uint64, flags block.Flags, act func(context.Context) error) {
	durable := flags&block.FUA != 0 || r.spec.Durability == volume.DurabilitySync
	r.do(func(p *promised) {
		for i, v := range values {
			b := p.block(first + int64(i))
			b.later = append(b.later, v)
		}
	}, func() error { return act(r.t.Context()) }, func(p *promised) {
		for i, v := range values {
			b := p.block(first + int64(i))
			if b.acked = v; durable {
				b.flushed, b.later, b.cfg = v, nil, p.cfg
			}
		}
	})
}

func (r *crashRun) flush() {
	r.do(nil, func() error { return r.session.Flush(r.t.Context()) }, (*promised).flush)
}

// clear makes the marks go: ROTATE, flush, STABLE. Without the flush the leg has to sync by itself.
func (r *crashRun) clear(flush bool) {
	if r.violation() != nil {
		return
	}
	gen, _, err := r.session.Rotate()
	require.NoError(r.t, err)
	if flush {
		r.flush()
	}
	r.do(nil, func() error { return r.session.Stable(r.t.Context(), gen) }, (*promised).flush)
}

// check starts a machine on what the power cut left, and holds it to what was promised.
func (r *crashRun) check(state *memFS, boot, when string) {
	if r.wrong != nil {
		return
	}
	if err := r.verify(state, boot); err != nil {
		r.wrong = fmt.Errorf("%s, %s: %w", boot, when, err)
	}
}

func (r *crashRun) verify(state *memFS, boot string) error {
	store, err := openWitnessed(state, leg.StoreOptions{
		BootID: boot, Instance: 8, Broken: r.broken})
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }()
	l, err := store.OpenLeg(r.spec.Leg)
	lost := (*leg.LostError)(nil)
	if errors.As(err, &lost) && (!r.p.provisioned || r.p.deleting) && strings.Contains(err.Error(), "directory") {
		return nil // there is none; a whole one or none is what Provision and Delete promise
	}
	if err != nil {
		return err
	}
	if l.Status().Failed != nil {
		return fmt.Errorf("failed: %w", l.Status().Failed)
	}
	label := l.Label()
	if e := uint64(label.FenceEpoch); e < r.p.epoch || e > r.p.tried {
		return fmt.Errorf("its epoch is %d: %d was answered, %d asked for", e, r.p.epoch, r.p.tried)
	}
	if uint64(label.Config.CfgVer) < r.p.cfg {
		return fmt.Errorf("its cfgver is %s: %d was answered", label.Config.CfgVer, r.p.cfg)
	}
	return r.verifyBlocks(l, state, boot == "boot 1")
}

// verifyEvidence lets power fail once more after a login that nobody heard of: what the first power cut
// took must still be known.
func (r *crashRun) verifyEvidence(state *memFS) error {
	again := state.afterCut(func(n int) int { return n - 1 })
	store, err := openWitnessed(again, leg.StoreOptions{BootID: "boot 3", Instance: 9, Broken: r.broken})
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }()
	l, err := store.OpenLeg(r.spec.Leg)
	if err != nil {
		return err
	}
	s, err := l.Login(context.Background(), leg.Login{Epoch: volume.Epoch(r.p.tried + 2), Attach: attach(98)},
		func(string) {})
	if err != nil {
		return err
	}
	if report, err := s.Report(); err != nil || !report.Lossy {
		return fmt.Errorf("a login and another boot made it forget that it lost its cache (%v)", err)
	}
	return nil
}

// verifyBlocks attaches the leg anew and reads.
func (r *crashRun) verifyBlocks(l *leg.Leg, state *memFS, kept bool) error {
	ctx, epoch := context.Background(), volume.Epoch(r.p.tried+1)
	s, err := l.Login(ctx, leg.Login{Epoch: epoch, Attach: attach(99)}, func(string) {})
	if err != nil {
		return err
	}
	report, err := s.Report()
	if err != nil {
		return err
	}
	wantLossy := !kept && report.Label.Marked && r.spec.Durability == volume.DurabilityFlush
	if report.Lossy != wantLossy {
		return fmt.Errorf("lossy is %v, marked %v", report.Lossy, report.Label.Marked)
	}
	if report.Lossy {
		if err := r.verifyEvidence(state); err != nil {
			return err
		}
	}
	marks, err := s.Marks(0, 0)
	if err != nil {
		return err
	}
	versions, err := s.Versions(0, 0)
	if err != nil {
		return err
	}
	if err := s.Config(ctx, epoch, config(volume.CfgVer(r.p.cfg+9))); err != nil {
		return err
	}
	buf := make([]byte, 4096)
	for b, promise := range r.p.blocks {
		region := uint32(b * 4096 / volume.RegionBytes)
		marked := false
		for _, run := range marks.Runs {
			marked = marked || run.Marked && region >= run.First && region < run.First+run.Count
		}
		stamp := volume.CfgVer(0)
		for _, run := range versions.Runs {
			if region >= run.First && region < run.First+run.Count {
				stamp = run.Version
			}
		}
		if uint64(stamp) < promise.cfg {
			return fmt.Errorf("block %d was written in cfgver %d, its region has version %s", b, promise.cfg, stamp)
		}
		err := s.Read(ctx, buf, b*4096)
		if err := r.verifyBlock(promise, marked, kept, buf, err); err != nil {
			return fmt.Errorf("block %d (marked %v): %w", b, marked, err)
		}
	}
	return nil
}

// verifyBlock holds one block to its promise.
func (r *crashRun) verifyBlock(p *promisedBlock, marked, kept bool, buf []byte, err error) error {
	if errors.Is(err, block.ErrMedium) && marked && len(p.later) > 0 && !kept {
		return nil // old or new, and it says that it is neither
	}
	if err != nil {
		return err
	}
	value, err := valueOf(buf)
	if err != nil {
		return err
	}
	if kept && len(p.later) > 0 && p.later[len(p.later)-1] == p.acked { // nothing is in flight
		if value != p.acked {
			return fmt.Errorf("it is %#x, the last answered write %#x, and the cache was kept", value, p.acked)
		}
		return nil
	}
	if !p.allows(value, marked || kept) {
		return fmt.Errorf("it is %#x; flushed was %#x, later %#x, answered last %#x",
			value, p.flushed, p.later, p.acked)
	}
	return nil
}

// life is the life of a leg.
func (r *crashRun) life() {
	r.provision()
	r.login(1)
	r.config(2)
	r.write(0, 1, 0)
	r.write(0, 2, 0)
	r.flush()
	r.write(1, 1, block.FUA)
	r.write(256, 1, 0) // another region
	r.write(512, 1, 0) // the last one, which is short
	r.config(3)        // stamps what is marked
	r.write(257, 1, 0)
	r.zero(0, 1, block.Unmap)
	r.clear(true)
	r.write(2, 1, 0) // marked anew
	r.login(2)       // a fence under marks
	r.config(5)
	r.write(255, 2, 0) // across regions
	r.zero(1, 255, 0)
	r.clear(false)
	r.write(512, 2, 0)
	r.flush()
	r.clear(true)
	r.do(nil, func() error { return r.session.Detach(r.t.Context(), true) }, nil)
	r.do(func(p *promised) { p.deleting = true }, func() error { return r.store.Delete(r.spec.Leg) }, nil)
}

// TestCrash_everyState runs the life of a leg; before each change and each sync of the file system, every
// state that a power cut can leave there (or, where they are too many, the corners and a sample) is
// started from and held to what was promised by then.
func TestCrash_everyState(t *testing.T) {
	states := 0
	for _, durability := range []volume.Durability{volume.DurabilityFlush, volume.DurabilitySync} {
		r := newCrashRun(t, durability, *crashLimit, 0)
		r.life()
		require.NoError(t, r.violation())
		states += r.states
	}
	t.Logf("holdfast-summary crash_states=%d", states)
}

// TestCrash_brokenRulesAreFound: an enumeration that finds nothing wrong with a leg that breaks the rules
// proves nothing.
func TestCrash_brokenRulesAreFound(t *testing.T) {
	for _, name := range []string{"volFence", "lateMark", "unmarkedCopy", "clearUnsynced", "forgetLossy", "noRestamp"} {
		rule, ok := leg.RuleByName(name)
		require.True(t, ok, name)
		r := newCrashRun(t, volume.DurabilityFlush, min(30, *crashLimit), rule)
		r.life()
		require.Error(t, r.violation(), name)
		t.Logf("%s: %v", name, r.violation())
	}
}

// TestCrash_failedSync lets each sync of each file fail once. The leg acknowledges nothing from then on,
// and neither a restart of the process, whose page cache may have dropped the pages or not, nor one of
// the machine makes it trust what was lost.
func TestCrash_failedSync(t *testing.T) {
	broken := errors.New("input/output error")
	for _, diskDies := range []bool{false, true} {
		for nth := 1; ; nth++ {
			syncs, dead := 0, false
			r := newCrashRun(t, volume.DurabilityFlush, 8, 0)
			r.provision()
			var one sync.Mutex // a flush syncs data and checksums side by side
			r.fsys.setHook(func(op, path string) error {
				one.Lock()
				defer one.Unlock()
				if dead && diskDies {
					return broken
				}
				if op == "sync" {
					if syncs++; syncs == nth {
						dead = true
						return broken
					}
				}
				return nil
			})
			err := r.untilFailure()
			if !dead {
				require.NoError(t, err)
				break
			}
			require.Error(t, err, "sync %d failed", nth)
			if r.session != nil {
				require.Error(t, r.session.Write(t.Context(), blockOf(1), 0, 0), "it acknowledges nothing any more")
			}
			_ = r.store.Close() // its files are closed, whatever it says
			r.fsys.setHook(nil)
			for range 4 {
				// The page cache still has what the sync dropped, or what the medium has in its place.
				for _, choose := range []func(int) int{func(n int) int { return n - 1 }, r.rng.IntN} {
					after := r.fsys.afterCut(choose)
					after.syncAll = io.ErrUnexpectedEOF // the kernel tells of the failed write-back
					r.distrusted(after, "boot 1")
				}
				r.distrusted(r.fsys.afterCut(r.rng.IntN), "boot 2")
			}
		}
	}
}

// untilFailure works until something fails.
func (r *crashRun) untilFailure() error {
	ctx := r.t.Context()
	s, err := r.leg.Login(ctx, leg.Login{Epoch: 1, Attach: attach(1)}, func(string) {})
	if err != nil {
		return err
	}
	r.session = s
	if err := s.Config(ctx, 1, config(2)); err != nil {
		return err
	}
	for b := range int64(3) {
		if err := s.Write(ctx, blockOf(7), b*volume.RegionBytes, 0); err != nil {
			return err
		}
		if err := s.Flush(ctx); err != nil {
			return err
		}
	}
	return nil
}

// distrusted fails the test unless the leg has failed, or counts as one that lost its cache, or nothing
// was ever written to it.
func (r *crashRun) distrusted(state *memFS, boot string) {
	r.t.Helper()
	store := openStore(r.t, state, boot)
	defer func() { require.NoError(r.t, store.Close()) }()
	l, err := store.OpenLeg(r.spec.Leg)
	if err != nil || l.Status().Failed != nil {
		return
	}
	s, err := l.Login(r.t.Context(), leg.Login{Epoch: 9, Attach: attach(9)}, func(string) {})
	require.NoError(r.t, err)
	report, err := s.Report()
	require.NoError(r.t, err)
	require.True(r.t, report.Lossy || !report.Label.Marked, "%+v", report)
}
