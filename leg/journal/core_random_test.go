package journal_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/leg/journal"
	"github.com/holdfast-storage/holdfast/volume"
)

// modelBlocks is how many blocks the leg of the model has.
const modelBlocks = 12

// model is a journal core on a modelled disk, where a block is one number, beside what must come out.
type model struct {
	t    *testing.T
	rng  *rand.Rand
	core *journal.Core
	ring int64

	// The disk.
	entries []stored
	synced  journal.Place // entries before it are on the medium
	head    journal.Head
	home    [modelBlocks][]uint64 // what it may hold: on the medium, and all that was written since
	homed   journal.Place         // the commits before it may be at home

	// What must come out.
	base   [modelBlocks]uint64
	staged []want
	list   []want // staged and committed, not freed, in the order of their arrival
	epoch  volume.Epoch
	number uint64
	upTo   volume.Transaction // of the last commit
	left   []journal.Source   // of it, what home had no room for yet
	value  uint64
	full   int
}

// stored is an entry in the file, and the blocks of its payload.
type stored struct {
	e       journal.Entry
	payload []uint64
}

// want is a record that must be there.
type want struct {
	r         volume.Record
	payload   []uint64
	durable   bool
	committed bool
}

func legs(n int) []volume.LegID {
	ids := make([]volume.LegID, n)
	for i := range ids {
		ids[i] = volume.LegID{UUID: volume.UUID{15: byte(i + 1)}}
	}
	return ids
}

// sum is the checksum of a block that is one number: the number.
func sum(v uint64) uint32 { return uint32(v) }

// TestCore_model holds random lives of a journal against a plain model of it: what lies over each block, which records
// there are, and that a commit always finds room, over kills and power cuts.
func TestCore_model(t *testing.T) {
	full := 0
	for seed := range uint64(300) {
		m := &model{t: t, rng: rand.New(rand.NewPCG(seed, 5)), ring: 80 << 10, epoch: 1}
		for n := range m.home {
			m.home[n] = []uint64{0}
		}
		m.start(fmt.Sprint("seed ", seed))
		for range 150 {
			m.step()
			m.check(fmt.Sprint("seed ", seed))
		}
		full += m.full
	}
	require.Positive(t, full, "no journal was ever full")
}

// start replays what is in the file.
func (m *model) start(when string) {
	m.core, m.left = journal.New(m.ring, m.head), nil
	n := 0
	for i, s := range m.entries {
		if s.e.Place < m.head.Start {
			continue
		}
		if err := m.core.Replay(s.e); err != nil {
			require.ErrorIs(m.t, err, journal.ErrNoEntry, when)
			break
		}
		n = i + 1
	}
	for i := range m.entries[n:] {
		m.core.Behind(&m.entries[n+i].e)
	}
	m.entries = m.entries[:n]
	require.GreaterOrEqual(m.t, m.core.Tail(), m.core.Ends(), "%s: a power cut is taken for damage", when)
	require.GreaterOrEqual(m.t, m.core.Ends(), m.homed, "%s: what is at home could rot, and nobody would notice", when)
	for _, s := range m.core.Redo() {
		require.NotZero(m.t, s.Kind, "every block can be read")
		m.write(s)
	}
	m.entries = slices.DeleteFunc(m.entries, func(s stored) bool { return s.e.Place >= m.core.Tail() })
	m.synced = m.core.Tail()
	m.head = m.core.Started()
	m.core.SetHead(m.head)
	m.homed = m.head.Cut
}

// block reads a block of a payload.
func (m *model) block(s journal.Source) uint64 {
	for _, e := range m.entries {
		for i := range e.e.Blocks() {
			if e.e.Payload(i) == s.Place {
				require.Equal(m.t, s.Sum, sum(e.payload[i]))
				return e.payload[i]
			}
		}
	}
	m.t.Fatalf("no payload at %d", s.Place)
	return 0
}

func (m *model) write(s journal.Source) { m.home[s.Block] = append(m.home[s.Block], m.block(s)) }

func (m *model) at(n int64) uint64 { return m.home[n][len(m.home[n])-1] }

func (m *model) step() {
	switch m.rng.IntN(12) {
	case 0, 1, 2, 3, 4:
		m.stage()
	case 5:
		m.flush()
	case 6:
		m.commit()
	case 7:
		m.free()
	case 8:
		if m.rng.IntN(3) == 0 {
			m.rollback()
		}
	case 9:
		m.kill()
	case 10:
		m.powerCut()
	case 11:
		if m.rng.IntN(4) == 0 {
			m.drop()
		}
	}
}

// stage puts a few records that do not meet into the journal, in any order.
func (m *model) stage() {
	var batch []want
	taken := map[int64]bool{}
	for range 1 + m.rng.IntN(3) {
		first := m.rng.Int64N(modelBlocks)
		blocks := 1 + m.rng.Int64N(min(4, modelBlocks-first))
		r := volume.Record{Kind: volume.RecordKind(1 + m.rng.IntN(2)), FirstBlock: first, Blocks: blocks,
			Legs: legs(1 + m.rng.IntN(3))}
		w := want{}
		met := false
		for i := range blocks {
			met = met || taken[first+i]
			taken[first+i] = true
			m.value = m.value*6364136223846793005 + 1442695040888963407
			w.payload = append(w.payload, m.value>>32)
		}
		if met {
			continue
		}
		m.number++
		r.Transaction = volume.Transaction{Epoch: m.epoch, Number: m.number}
		w.r = r
		batch = append(batch, w)
	}
	m.rng.Shuffle(len(batch), func(i, j int) { batch[i], batch[j] = batch[j], batch[i] })
	var places []journal.Place
	for _, w := range batch {
		sums := []uint32{}
		for _, v := range w.payload {
			sums = append(sums, sum(v))
		}
		e, err := m.core.Stage(w.r, sums)
		if err != nil {
			require.ErrorIs(m.t, err, journal.ErrFull)
			m.full++
			continue
		}
		m.entries = append(m.entries, stored{e, w.payload})
		places = append(places, e.Place)
		m.staged, m.list = append(m.staged, w), append(m.list, w)
	}
	m.rng.Shuffle(len(places), func(i, j int) { places[i], places[j] = places[j], places[i] })
	for _, p := range places {
		m.core.Whole(p)
	}
	require.Equal(m.t, m.core.Tail(), m.core.WholeTo())
}

func (m *model) put(e journal.Entry, payload []uint64) {
	used, ring := m.core.Used()
	require.LessOrEqual(m.t, used, ring, "a commit finds room")
	m.entries = append(m.entries, stored{e, payload})
	m.core.Whole(e.Place)
}

func (m *model) flush() {
	m.synced = m.core.Tail()
	m.core.Synced(m.core.WholeTo())
	for i := range m.staged {
		m.staged[i].durable = true
	}
	for i := range m.list {
		m.list[i].durable = true
	}
}

// commit commits up to a transaction that nothing before is missing of, which is any: all were staged. Power may be
// cut, or the process die, at each of its steps.
func (m *model) commit() {
	m.flush()
	if len(m.left) > 0 && !m.takeHome() {
		return
	}
	upTo := volume.Transaction{Epoch: m.epoch, Number: m.number - min(m.number, uint64(m.rng.IntN(3)))}
	if upTo.Compare(m.upTo) > 0 {
		m.upTo = upTo
	}
	require.Equal(m.t, m.core.Tail(), m.core.Bar(upTo))
	x := m.core.Commit(upTo)
	if x == nil {
		for _, w := range m.staged {
			require.Positive(m.t, w.r.Transaction.Compare(upTo))
		}
		return
	}
	run := stored{}
	write := func() {
		if len(run.payload) > 0 {
			e, err := m.core.AfterImage(x, run.e.First, run.e.Sums)
			require.NoError(m.t, err)
			m.put(e, run.payload)
		}
		run = stored{}
	}
	for i := 0; i < len(x.Sources); {
		n, v, end := x.Sources[i].Block, uint64(0), i
		for end < len(x.Sources) && x.Sources[end].Block == n {
			v ^= m.block(x.Sources[end])
			end++
		}
		if x.Sources[end-1].Kind == volume.RecordDelta {
			v ^= m.at(n)
		}
		if x.Sources[i].Kind == volume.RecordDelta {
			if len(run.payload) == 0 || run.e.First+int64(len(run.payload)) != n {
				write()
				run.e.First = n
			}
			run.payload, run.e.Sums = append(run.payload, v), append(run.e.Sums, sum(v))
		}
		i = end
	}
	write()
	if m.rng.IntN(10) == 0 {
		m.interrupted()
		return
	}
	e, err := m.core.Seal(x)
	require.NoError(m.t, err)
	m.put(e, nil)
	m.flush()
	m.merge(upTo) // it is durable: whatever happens now, it is committed
	m.head = m.core.Proof()
	m.core.SetHead(m.head)
	m.left, m.homed = m.core.Sealed(x), e.End()
	m.takeHome()
}

// takeHome writes home what a commit has left to write. Home may have no room; then it returns false.
func (m *model) takeHome() bool {
	for last := int64(-1); len(m.left) > 0; m.left = m.left[1:] {
		switch m.rng.IntN(60) {
		case 0, 1:
			m.interrupted()
			return false
		case 2:
			return false
		}
		m.checkContent("while it is written home")
		s := m.left[0]
		m.write(s)
		m.core.AtHome(s.Block, 1)
		require.Less(m.t, last, s.Block)
		last = s.Block
	}
	m.core.Finish()
	return true
}

// merge is what a commit does to what must come out.
func (m *model) merge(upTo volume.Transaction) {
	m.staged = slices.DeleteFunc(m.staged, func(w want) bool {
		if w.r.Transaction.Compare(upTo) > 0 {
			return false
		}
		for i, v := range w.payload {
			w.apply(&m.base[w.r.FirstBlock+int64(i)], v)
		}
		return true
	})
	for i := range m.list {
		if w := &m.list[i]; w.r.Transaction.Compare(upTo) <= 0 {
			w.committed = true
		}
	}
}

func (w *want) apply(to *uint64, v uint64) {
	if w.r.Kind == volume.RecordImage {
		*to = 0
	}
	*to ^= v
}

func (m *model) free() {
	upTo := m.upTo
	if m.rng.IntN(4) == 0 {
		upTo.Number -= min(upTo.Number, 2)
	}
	if slices.ContainsFunc(m.staged, func(w want) bool { return w.r.Transaction.Compare(upTo) <= 0 }) ||
		len(m.left) > 0 && upTo == m.upTo {
		_, _, err := m.core.PlanFree(upTo)
		require.ErrorIs(m.t, err, journal.ErrInvalid)
		return
	}
	h, ok, err := m.core.PlanFree(upTo)
	require.NoError(m.t, err)
	if !ok {
		return
	}
	for n := range m.home {
		m.home[n] = []uint64{m.at(int64(n))}
	}
	m.setHead(h)
	have, _, _ := m.core.Records(0, 1<<20)
	m.list = slices.DeleteFunc(m.list, func(w want) bool {
		gone := !slices.ContainsFunc(have, func(r volume.Record) bool { return r.Transaction == w.r.Transaction })
		require.False(m.t, gone && (!w.committed || w.r.Transaction.Compare(upTo) > 0), "it is not to be freed")
		return gone
	})
	if upTo == m.upTo {
		require.False(m.t, slices.ContainsFunc(m.list, func(w want) bool { return w.committed }), "all is freed")
	}
}

func (m *model) setHead(h journal.Head) {
	m.head = h
	m.core.SetHead(h)
	m.entries = slices.DeleteFunc(m.entries, func(s stored) bool { return s.e.Place < h.Start })
	m.flush() // a write of the head syncs the file
}

// rollback takes some of what is staged back, as a recovery does.
func (m *model) rollback() {
	var list []volume.Transaction
	for _, w := range m.staged {
		if m.rng.IntN(2) == 0 {
			list = append(list, w.r.Transaction)
		}
	}
	e, ok, err := m.core.Rollback(append(list, volume.Transaction{Epoch: 1, Number: 1 << 40}))
	require.NoError(m.t, err)
	require.Equal(m.t, len(list) > 0, ok)
	if !ok {
		return
	}
	m.put(e, nil)
	m.flush()
	if m.rng.IntN(3) > 0 {
		m.core.RolledBack(list)
	}
	back := func(w want) bool { return slices.Contains(list, w.r.Transaction) }
	m.staged, m.list = slices.DeleteFunc(m.staged, back), slices.DeleteFunc(m.list, back)
	if have, _, _ := m.core.Records(0, 1<<20); len(have) != len(m.list) {
		m.interrupted()
	}
}

func (m *model) drop() {
	floor := volume.Transaction{Epoch: m.epoch, Number: m.number}
	m.core.Bar(floor)
	m.left = nil
	h, err := m.core.PlanDrop(floor)
	require.NoError(m.t, err)
	require.Equal(m.t, floor, h.Floor)
	m.core.Dropped(h)
	require.Empty(m.t, m.core.Overlay(nil, 0, modelBlocks))
	m.setHead(h)
	// What was dropped may never have been at home. A copy, which is flushed, takes it there.
	m.staged, m.list = nil, nil
	for n := range m.home {
		m.home[n] = []uint64{m.base[n]}
	}
}

// interrupted ends the process in the middle of something, or the power.
func (m *model) interrupted() {
	if m.rng.IntN(2) == 0 {
		m.kill()
		return
	}
	m.powerCut()
}

// kill ends the process: the file is as it is.
func (m *model) kill() {
	m.epoch, m.number = m.epoch+1, 0
	m.upTo = volume.Transaction{}
	m.start("kill")
	m.settled()
}

// settled notes what a start has made durable.
func (m *model) settled() {
	for i := range m.staged {
		m.staged[i].durable = true
	}
	for i := range m.list {
		m.list[i].durable = true
	}
}

// powerCut takes any end of what was not synced, and leaves any version of each block of home.
func (m *model) powerCut() {
	lost := func(w want) bool { return !w.durable }
	keep := 0
	for range m.staged {
		if m.rng.IntN(3) > 0 {
			keep++
		}
	}
	var kept []volume.Transaction
	m.entries = slices.DeleteFunc(m.entries, func(s stored) bool {
		if s.e.Place < m.synced {
			return false
		}
		if keep--; keep < 0 {
			return true
		}
		kept = append(kept, s.e.Record.Transaction)
		return false
	})
	gone := func(w want) bool { return lost(w) && !slices.Contains(kept, w.r.Transaction) }
	m.staged, m.list = slices.DeleteFunc(m.staged, gone), slices.DeleteFunc(m.list, gone)
	for n := range m.home {
		m.home[n] = []uint64{m.home[n][m.rng.IntN(len(m.home[n]))]}
	}
	m.kill()
}

func (m *model) check(when string) {
	m.checkContent(when)
	var have []volume.Record
	for from, more := journal.Place(0), true; more; {
		var page []volume.Record
		page, from, more = m.core.Records(from, 3)
		have = append(have, page...)
	}
	var wanted []volume.Record
	for _, w := range m.list {
		w.r.Committed = w.committed
		wanted = append(wanted, w.r)
	}
	require.Equal(m.t, wanted, have, when)
	touched := map[int64]bool{}
	m.core.Ranges(func(first, blocks int64) {
		for i := range blocks {
			touched[first+i] = true
		}
	})
	for n := range int64(modelBlocks) {
		require.Equal(m.t, touched[n], m.core.Touches(n, 1), when)
	}
}

// checkContent holds each block against what must come out.
func (m *model) checkContent(when string) {
	content := m.base
	for _, w := range m.staged {
		for i, v := range w.payload {
			w.apply(&content[w.r.FirstBlock+int64(i)], v)
		}
	}
	have := map[int64]uint64{}
	for n := range int64(modelBlocks) {
		have[n] = m.at(n)
	}
	over := map[int64]uint64{}
	for _, s := range m.core.Overlay(nil, 0, modelBlocks) {
		over[s.Block] ^= m.block(s)
		if s.Kind == volume.RecordImage {
			have[s.Block] = 0
		}
	}
	for n, v := range over {
		have[n] ^= v
	}
	for _, n := range slices.Sorted(maps.Keys(have)) {
		require.Equal(m.t, content[n], have[n], "%s: block %d", when, n)
	}
}
