package leg_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/leg"
	"github.com/holdfast-storage/holdfast/volume"
)

// journalModel drives one leg of parity with random records, rounds, crashes of the process and power cuts in the
// middle of anything, and takeovers that carry forward or take back, and holds it to what was promised.
type journalModel struct {
	t    *testing.T
	rng  *rand.Rand
	run  *journalRun
	boot int
}

// TestJournal_model: what is listed and what the blocks hold is what was promised, whatever happens; see step.
func TestJournal_model(t *testing.T) {
	for _, durability := range []volume.Durability{volume.DurabilityFlush, volume.DurabilitySync} {
		for seed := range uint64(40) {
			t.Run(fmt.Sprintf("%s seed %d", durability, seed), func(t *testing.T) {
				m := &journalModel{t: t, rng: rand.New(rand.NewPCG(seed, 17)),
					boot: 1, run: newJournalRun(t, durability, 1, 0)}
				m.run.fsys.setHook(nil)
				m.run.login()
				for range 60 {
					m.step()
				}
			})
		}
	}
}

func (m *journalModel) step() {
	r := m.run
	switch m.rng.IntN(12) {
	case 0, 1, 2, 3, 4:
		m.stage()
	case 5:
		r.flush()
	case 6, 7:
		m.round()
	case 8:
		m.withoutRoom()
	case 9, 10:
		m.crash()
	case 11:
		m.takeover(fmt.Sprint("boot ", m.boot), true)
	}
	if r.session != nil {
		m.verify()
	}
}

// stage sends a record while there is room.
func (m *journalModel) stage() {
	r := m.run
	if staged := slices.DeleteFunc(slices.Clone(r.o.records), func(o *oracleRecord) bool {
		return o.Transaction.Compare(r.o.freed) <= 0 || o.back
	}); len(staged) >= 4 {
		m.round()
	}
	kind := volume.RecordKind(1 + m.rng.IntN(2))
	first := []int64{0, 1, 2, 254, 255, 256}[m.rng.IntN(6)]
	r.stage(kind, first, 1+m.rng.Int64N(2))
}

func (m *journalModel) round() {
	m.run.commit(m.run.number)
	m.run.free(m.run.number)
}

// withoutRoom has a commit find no room at home: it stands all the same, and goes on later.
func (m *journalModel) withoutRoom() {
	r := m.run
	r.flush()
	torn := false
	r.fsys.setTear(func(p string, _ int64, n int) (int, error) {
		if p != legPath("data") || torn {
			return n, nil
		}
		torn = true
		return m.rng.IntN(n/512+1) * 512, block.ErrNoSpace
	})
	t := r.at(r.number)
	r.o.committing = t
	err := r.session.Commit(m.t.Context(), t)
	r.fsys.setTear(nil)
	if torn {
		require.ErrorIs(m.t, err, block.ErrNoSpace)
		m.verify()
		m.round()
		return
	}
	require.NoError(m.t, err)
	r.o.committed = t
}

// crash ends the process, or the power, somewhere within a round or a record. What was under way is tried in the
// oracle, and not answered.
func (m *journalModel) crash() {
	r := m.run
	var left atomic.Int64
	left.Store(m.rng.Int64N(30))
	r.fsys.setHook(func(op, _ string) error {
		if op != "read" && left.Add(-1) < 0 {
			return errPower
		}
		return nil
	})
	m.work()
	_ = r.store.Close() // the process is as good as dead
	r.fsys.setHook(nil)
	kept := m.rng.IntN(2) == 0
	if !kept {
		r.fsys = r.fsys.powerCut(m.rng)
		m.boot++
	} else {
		r.fsys = r.fsys.afterCut(func(n int) int { return n - 1 })
	}
	m.takeover(fmt.Sprint("boot ", m.boot), kept)
}

// work does what an engine does until something fails.
func (m *journalModel) work() {
	r, ctx := m.run, m.t.Context()
	for range 2 {
		r.number++
		rec := &oracleRecord{Record: record(r.epoch, r.number, volume.RecordDelta, m.rng.Int64N(3), 2)}
		var payload []byte
		for range 2 {
			r.value++
			rec.values = append(rec.values, r.value)
			payload = append(payload, blockOf(r.value)...)
		}
		r.o.records = append(r.o.records, rec)
		if r.session.Stage(ctx, rec.Record, payload) != nil {
			return
		}
		rec.answered, rec.flushed = true, r.spec.Durability == volume.DurabilitySync
	}
	if r.session.Flush(ctx) != nil {
		return
	}
	r.o.flush()
	t := r.at(r.number)
	r.o.committing = t
	if r.session.Commit(ctx, t) != nil {
		return
	}
	r.o.committed = t
	r.o.freeing = t
	if r.session.Free(ctx, t) == nil {
		r.o.freed = t
	}
}

// takeover starts the leg anew and begins the next epoch, which turns what is staged forward, or back.
func (m *journalModel) takeover(boot string, kept bool) {
	r, ctx := m.run, m.t.Context()
	_ = r.store.Close()
	r.fsys.locked = map[string]bool{}
	r.open(boot)
	r.leg = openLeg(m.t, r.store)
	r.epoch, r.number = r.epoch+1, 0
	r.session = login(m.t, r.leg, r.epoch)
	report, err := r.session.Report()
	require.NoError(m.t, err)
	require.NoError(m.t, r.session.Config(ctx, r.epoch, config(volume.CfgVer(r.epoch))))
	require.NoError(m.t, r.session.Flush(ctx))
	have, _, err := r.session.Records(ctx, 0, 100)
	require.NoError(m.t, err)
	content, err := r.o.judge(have, kept, report.Lossy)
	require.NoError(m.t, err)
	m.requireContent(content)
	if m.rng.IntN(2) == 0 {
		var back []volume.Transaction
		for _, h := range have.Records {
			if !h.Committed {
				back = append(back, h.Transaction)
			}
		}
		require.NoError(m.t, r.session.Rollback(ctx, back))
		for _, o := range r.o.records {
			if slices.Contains(back, o.Transaction) {
				o.backing, o.back = 1, true
			}
		}
		have.Records = slices.DeleteFunc(have.Records, func(h volume.Record) bool { return !h.Committed })
		content, err = r.o.judge(have, kept, true)
		require.NoError(m.t, err)
		m.requireContent(content)
	}
	require.NoError(m.t, r.session.Commit(ctx, volume.Transaction{Epoch: r.epoch}))
	m.requireContent(content)
	require.NoError(m.t, r.session.Free(ctx, volume.Transaction{Epoch: r.epoch}))
	m.requireContent(content)
	all := volume.Transaction{Epoch: r.epoch}
	r.o = journalOracle{base: content, direct: map[int64]*promisedBlock{}, committing: all, committed: all,
		freeing: all, freed: all}
}

// verify holds what the leg says now against what was promised.
func (m *journalModel) verify() {
	have, _, err := m.run.session.Records(m.t.Context(), 0, 100)
	require.NoError(m.t, err)
	content, err := m.run.o.judge(have, true, false)
	require.NoError(m.t, err)
	m.requireContent(content)
}

func (m *journalModel) requireContent(content map[int64]uint64) {
	m.t.Helper()
	p := make([]byte, 4096)
	for _, n := range []int64{0, 1, 2, 3, 254, 255, 256, 257} {
		require.NoError(m.t, m.run.session.Read(m.t.Context(), p, n*4096))
		v, err := valueOf(p)
		require.NoError(m.t, err)
		require.Equal(m.t, content[n], v, "block %d", n)
		sums, bad, err := m.run.session.Checksums(m.t.Context(), block.Range{Off: n * 4096, Len: 4096}, false)
		require.NoError(m.t, err)
		require.Empty(m.t, bad)
		require.NotEmpty(m.t, sums)
	}
}

// TestJournal_failedSync lets each sync of a leg of parity fail once. It acknowledges nothing from then on, and neither
// a restart of the process, whose page cache may have dropped the pages or not, nor one of the machine makes it trust
// what was lost.
func TestJournal_failedSync(t *testing.T) {
	for nth := 1; ; nth++ {
		r := newJournalRun(t, volume.DurabilityFlush, 1, 0)
		var syncs atomic.Int64
		r.fsys.setHook(func(op, path string) error {
			if op == "sync" && path != legPath("failed") && int(syncs.Add(1)) == nth {
				return errPower
			}
			return nil
		})
		s, err := r.leg.Login(t.Context(), leg.Login{Epoch: 1, Attach: attach(1)}, func(string) {})
		if err == nil {
			r.epoch, r.session = 1, s
			err = s.Config(t.Context(), 1, config(2))
		}
		m := &journalModel{t: t, rng: r.rng, run: r}
		if err == nil {
			m.work()
		}
		if int(syncs.Load()) < nth {
			require.NoError(t, r.leg.Status().Failed)
			require.Greater(t, nth, 6)
			return
		}
		require.Error(t, r.leg.Status().Failed, "sync %d failed", nth)
		if s != nil {
			require.Error(t, s.Stage(t.Context(), record(1, 9, volume.RecordImage, 0, 1), blockOf(1)))
			require.Error(t, s.Flush(t.Context()))
		}
		_ = r.store.Close()
		r.fsys.setHook(nil)
		for range 4 {
			crashRun := &crashRun{t: t, spec: r.spec}
			after := r.fsys.afterCut(r.rng.IntN)
			after.syncAll = errPower // the kernel tells of the failed write-back
			crashRun.distrusted(after, "boot 1")
			crashRun.distrusted(r.fsys.afterCut(r.rng.IntN), "boot 2")
		}
	}
}
