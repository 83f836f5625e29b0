package journal_test

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/leg/journal"
	"github.com/holdfast-storage/holdfast/volume"
)

// roomEngine is an engine that keeps to volume.Layout.JournalRoom, before one leg.
type roomEngine struct {
	t    *testing.T
	rng  *rand.Rand
	core *journal.Core
	room int64
	most int64 // blocks of a record

	flying []volume.Record  // dispatched and not here yet
	taken  map[uint64]int64 // room, by what is not freed
	number uint64
	peak   int64
}

// TestCore_roomIsEnough: an engine that keeps to its room is never refused a record or a commit, whatever the order in
// which its records come here, and while a commit is under way.
func TestCore_roomIsEnough(t *testing.T) {
	peak := 0.
	for seed := range uint64(60) {
		layout, err := volume.ParseLayout([]string{"parity=2+1,chunk=4K", "parity=2+1,chunk=64K"}[seed%2])
		require.NoError(t, err)
		size := []int64{8192, 4 << 20, 16 << 20}[seed%3]
		e := &roomEngine{t: t, rng: rand.New(rand.NewPCG(seed, 9)), most: layout.Chunk / volume.BlockBytes,
			core: journal.New(layout.JournalBytes(size)-volume.JournalHeadBytes, journal.Head{}),
			room: layout.JournalRoom(size), taken: map[uint64]int64{}}
		for range 50 {
			e.round()
		}
		peak = max(peak, float64(e.peak)/float64(e.room))
	}
	t.Logf("at most %.2f rooms were in use", peak)
	require.Greater(t, peak, 3.8, "it was not the worst")
}

// round fills the room, and takes what is staged everywhere to its end. In one of two the newest record comes here
// first and is missing elsewhere, so that the ring begins with it; in the other some come while the commit goes on.
func (e *roomEngine) round() {
	for misses := 0; misses < 20; {
		if !e.dispatch() {
			misses++
		}
	}
	upTo := e.number
	if e.rng.IntN(2) == 0 {
		for len(e.flying) > 0 {
			e.arrive(len(e.flying) - 1)
		}
		upTo--
	} else {
		for late := e.rng.IntN(2 + len(e.flying)/4); len(e.flying) > late; {
			e.arrive(0)
		}
		for _, r := range e.flying {
			upTo = min(upTo, r.Transaction.Number-1)
		}
	}
	e.core.Bar(at(upTo))
	if x := e.core.Commit(at(upTo)); x != nil {
		e.commit(x)
	}
	h, ok, err := e.core.PlanFree(at(upTo))
	require.NoError(e.t, err)
	if ok {
		e.core.SetHead(h)
	}
	for n := range e.taken {
		if n <= upTo {
			delete(e.taken, n)
		}
	}
}

// dispatch gives a record its number if there is room for it. Records do not meet, nor lie together.
func (e *roomEngine) dispatch() bool {
	blocks := int64(1)
	if e.rng.IntN(2) == 0 {
		blocks += e.rng.Int64N(e.most)
	}
	bytes := volume.RecordBytes(blocks, 3)
	total := bytes
	for _, n := range e.taken {
		total += n
	}
	if total > e.room {
		return false
	}
	e.number++
	kind := volume.RecordDelta
	if e.rng.IntN(20) == 0 {
		kind = volume.RecordImage
	}
	e.flying = append(e.flying, volume.Record{Transaction: at(e.number), Kind: kind,
		FirstBlock: int64(e.number) * 2 * volume.MaxRecordBlocks, Blocks: blocks, Legs: legs(3)})
	e.taken[e.number] = bytes
	return true
}

// arrive takes the i-th of the records that are on their way.
func (e *roomEngine) arrive(i int) {
	r := e.flying[i]
	e.flying = append(e.flying[:i], e.flying[i+1:]...)
	entry, err := e.core.Stage(r, make([]uint32, r.Blocks))
	require.NoError(e.t, err)
	e.whole(entry)
}

func (e *roomEngine) whole(entry journal.Entry) {
	e.core.Whole(entry.Place)
	used, ring := e.core.Used()
	require.LessOrEqual(e.t, used, ring)
	e.peak = max(e.peak, used)
}

func (e *roomEngine) commit(x *journal.Commit) {
	for i := 0; i < len(x.Sources); {
		n := 1
		for i+n < len(x.Sources) && x.Sources[i+n].Block == x.Sources[i].Block+int64(n) {
			n++
		}
		if x.Sources[i].Kind == volume.RecordDelta {
			image, err := e.core.AfterImage(x, x.Sources[i].Block, make([]uint32, n))
			require.NoError(e.t, err)
			e.whole(image)
		}
		i += n
	}
	for len(e.flying) > 0 {
		e.arrive(0)
	}
	entry, err := e.core.Seal(x)
	require.NoError(e.t, err)
	e.whole(entry)
	for _, s := range e.core.Sealed(x) {
		e.core.AtHome(s.Block, 1)
	}
	e.core.Finish()
}
