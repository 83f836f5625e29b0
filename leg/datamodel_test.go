package leg_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/leg"
	"github.com/holdfast-storage/holdfast/volume"
	"github.com/holdfast-storage/holdfast/volume/inband"
)

// content is what a block holds: one tag for each sector, zero for zeroes.
type content [8]uint64

func (c content) bytes() []byte {
	p := make([]byte, 0, 4096)
	for _, tag := range c {
		for range 64 {
			p = binary.LittleEndian.AppendUint64(p, tag)
		}
	}
	return p
}

// parseContent fails the test for a sector that no write ever made.
func parseContent(t *testing.T, p []byte) content {
	var c content
	for i := range c {
		c[i] = binary.LittleEndian.Uint64(p[i*512:])
	}
	require.Equal(t, c.bytes(), p, "every sector is of one write")
	return c
}

// dataModel drives one leg on a file system in memory with random requests, failures, crashes of the process,
// power cuts and rot, and knows what each block may hold.
type dataModel struct {
	t     *testing.T
	rng   *rand.Rand
	fsys  *memFS
	store *leg.Store
	leg   *leg.Leg
	s     *leg.Session

	spec  leg.Spec
	epoch volume.Epoch
	boot  int
	tag   uint64
	// since holds for each block what it held at the last flush and after each change since: what a
	// power cut may leave, sector by sector. The last is what it holds now.
	since map[int64][]content
}

// modelBlocks are the blocks that are used: at the beginning, around the border of two regions, at the end.
var modelBlocks = []block.Range{{Off: 0, Len: 6}, {Off: 253, Len: 6}, {Off: 521, Len: 7}}

// TestData_model: reads verify after anything that may happen; see step.
func TestData_model(t *testing.T) {
	for _, durability := range []volume.Durability{volume.DurabilityFlush, volume.DurabilitySync} {
		for seed := range uint64(15) {
			t.Run(fmt.Sprintf("%s seed %d", durability, seed), func(t *testing.T) {
				m := &dataModel{t: t, rng: rand.New(rand.NewPCG(seed, 11)), fsys: newMemFS(), spec: testSpec(),
					since: map[int64][]content{}}
				m.spec.SizeBytes, m.spec.Durability = 528*4096, durability
				require.NoError(t, leg.InitStore(m.fsys, testStore, testNode))
				require.NoError(t, openStore(t, m.fsys, "boot 0").Provision(m.spec))
				m.fsys.locked = map[string]bool{}
				for _, r := range modelBlocks {
					for n := r.Off; n < r.End(); n++ {
						m.since[n] = []content{{}}
					}
				}
				m.open()
				for range 120 {
					m.step()
				}
				m.verify()
			})
		}
	}
}

// open starts a process; it returns what the leg reported.
func (m *dataModel) open() volume.LegReport {
	m.store = openStore(m.t, m.fsys, fmt.Sprintf("boot %d", m.boot))
	m.leg = openLeg(m.t, m.store)
	m.epoch++
	m.s = login(m.t, m.leg, m.epoch)
	report, err := m.s.Report()
	require.NoError(m.t, err)
	require.NoError(m.t, m.s.Config(m.t.Context(), m.epoch, config(volume.CfgVer(m.epoch))))
	return report
}

func (m *dataModel) step() {
	r := m.pick()
	switch m.rng.IntN(16) {
	case 0, 1, 2, 3, 4:
		m.change(m.t.Context(), r, 0)
	case 5:
		m.change(m.t.Context(), r, block.FUA)
	case 6:
		require.NoError(m.t, m.s.Flush(m.t.Context()))
		m.flushed()
	case 7:
		stable(m.t, m.s)
		m.flushed()
	case 8, 9:
		m.verifyRange(r)
	case 10, 11:
		m.tornWithoutSpace(r)
	case 12:
		m.rot(r.Off + m.rng.Int64N(r.Len))
	case 13, 14:
		m.crash(r)
	case 15:
		m.powerCut()
	}
}

// pick returns a run of blocks.
func (m *dataModel) pick() block.Range {
	all := modelBlocks[m.rng.IntN(len(modelBlocks))]
	off := m.rng.Int64N(all.Len)
	return block.Range{Off: all.Off + off, Len: 1 + m.rng.Int64N(all.Len-off)}
}

func inBytes(r block.Range) block.Range { return block.Range{Off: r.Off * 4096, Len: r.Len * 4096} }

// request makes a random change of r and returns what it stores.
func (m *dataModel) request(ctx context.Context, r block.Range, f block.Flags) ([]content, error) {
	next := make([]content, r.Len)
	if m.rng.IntN(3) == 0 {
		return next, m.s.Zero(ctx, inBytes(r), f|block.Flags(m.rng.IntN(2))*block.Unmap)
	}
	var p []byte
	for i := range next {
		m.tag++
		next[i] = content{m.tag, m.tag, m.tag, m.tag, m.tag, m.tag, m.tag, m.tag}
		if m.rng.IntN(3) == 0 { // the usual update: the block begins as it did
			next[i][0] = m.now(r.Off + int64(i))[0]
		}
		p = append(p, next[i].bytes()...)
	}
	return next, m.s.Write(ctx, p, r.Off*4096, f)
}

func (m *dataModel) now(n int64) content { return m.since[n][len(m.since[n])-1] }

// change is a request that succeeds.
func (m *dataModel) change(ctx context.Context, r block.Range, f block.Flags) {
	next, err := m.request(ctx, r, f)
	require.NoError(m.t, err)
	for i, c := range next {
		m.since[r.Off+int64(i)] = append(m.since[r.Off+int64(i)], c)
	}
	if f&block.FUA != 0 || m.spec.Durability == volume.DurabilitySync {
		m.flushed()
	}
}

func (m *dataModel) flushed() {
	for n := range m.since {
		m.since[n] = []content{m.now(n)}
	}
}

// oldOrNew reads what a change that failed has left: each sector is old or new, and readable.
// With marks of an earlier boot it may take an ADOPT.
func (m *dataModel) oldOrNew(r block.Range, next []content, mixed bool) {
	for i, after := range next {
		n := r.Off + int64(i)
		p := make([]byte, 4096)
		err := m.s.Read(m.t.Context(), p, n*4096)
		if mixed {
			err = m.adopted(p, n, err)
		}
		require.NoError(m.t, err, "block %d after a change that failed", n)
		found := parseContent(m.t, p)
		for sector, tag := range found {
			require.Contains(m.t, []uint64{m.now(n)[sector], after[sector]}, tag, "block %d sector %d", n, sector)
		}
		// What was stored but did not last may still come back in a power cut.
		m.since[n] = append(m.since[n], after, found)
	}
}

func (m *dataModel) tornWithoutSpace(r block.Range) {
	path := []string{legPath("data"), legPath("data"), legPath("checksums")}[m.rng.IntN(3)]
	torn := false
	m.fsys.setTear(func(p string, _ int64, n int) (int, error) {
		if p != path || torn {
			return n, nil
		}
		torn = true
		return m.rng.IntN(n/512+1) * 512, block.ErrNoSpace
	})
	next, err := m.request(m.t.Context(), r, 0)
	m.fsys.setTear(nil)
	if err == nil {
		require.False(m.t, torn)
	} else {
		require.ErrorIs(m.t, err, block.ErrNoSpace)
	}
	require.NoError(m.t, m.leg.Status().Failed)
	m.oldOrNew(r, next, false)
}

// adopted reads block n once more if it could not be read, after an ADOPT.
func (m *dataModel) adopted(p []byte, n int64, err error) error {
	if !errors.Is(err, block.ErrMedium) {
		return err
	}
	require.NoError(m.t, m.s.Adopt(m.t.Context(), block.Range{Off: n * 4096, Len: 4096}))
	return m.s.Read(m.t.Context(), p, n*4096)
}

// crash ends the process at any point within a change; the next one finds the cache.
func (m *dataModel) crash(r block.Range) {
	var left atomic.Int64
	left.Store(m.rng.Int64N(8))
	m.fsys.setHook(func(op, _ string) error {
		if op != "read" && left.Add(-1) < 0 {
			return errPower
		}
		return nil
	})
	tear := m.rng.IntN(2) == 0
	m.fsys.setTear(func(p string, _ int64, n int) (int, error) {
		if tear && p == legPath("data") {
			left.Store(0)
			return m.rng.IntN(n/512+1) * 512, errPower
		}
		return n, nil
	})
	next, err := m.request(m.t.Context(), r, 0)
	_ = m.store.Close() // the process is as good as dead
	m.fsys.setHook(nil)
	m.fsys.setTear(nil)
	report := m.open()
	require.False(m.t, report.Lossy, "the page cache was kept")
	m.oldOrNew(r, next, report.Label.Mixed)
	if err == nil {
		for i, c := range next {
			require.Equal(m.t, c, m.now(r.Off+int64(i)), "it was answered")
		}
	}
	m.verify()
}

// powerCut loses any part of what was not flushed, and brings the leg back as an engine does.
func (m *dataModel) powerCut() {
	m.fsys = m.fsys.powerCut(m.rng)
	m.boot++
	report := m.open()
	if m.spec.Durability == volume.DurabilityFlush {
		require.Equal(m.t, report.Label.Marked, report.Lossy)
	}
	for _, n := range slices.Sorted(maps.Keys(m.since)) {
		since := m.since[n]
		p := make([]byte, 4096)
		err := m.s.Read(m.t.Context(), p, n*4096)
		if errors.Is(err, block.ErrMedium) {
			require.Greater(m.t, len(since), 1, "block %d was flushed", n)
		}
		require.NoError(m.t, m.adopted(p, n, err))
		found := parseContent(m.t, p)
		for sector, tag := range found {
			require.True(m.t, slices.ContainsFunc(since, func(c content) bool { return c[sector] == tag }),
				"block %d sector %d", n, sector)
		}
		m.since[n] = append(since, found)
	}
	require.NoError(m.t, m.s.Flush(m.t.Context()))
	m.flushed()
}

// rot flips a bit of block n or of its checksum, which must be found, and mends it.
func (m *dataModel) rot(n int64) {
	if m.rng.IntN(2) == 0 {
		m.fsys.flip(legPath("data"), n*4096+m.rng.Int64N(4096), m.rng.IntN(8))
	} else {
		m.fsys.flip(legPath("checksums"), 4096+n*4+m.rng.Int64N(4), m.rng.IntN(8))
	}
	err := m.s.Read(m.t.Context(), make([]byte, 4096), n*4096)
	require.ErrorIs(m.t, err, block.ErrMedium)
	_, bad, err := m.s.Checksums(m.t.Context(), block.Range{Off: n * 4096, Len: 4096}, true)
	require.NoError(m.t, err)
	require.Equal(m.t, []uint32{0}, bad)
	m.change(m.t.Context(), block.Range{Off: n, Len: 1}, block.FUA)
}

func (m *dataModel) verify() {
	for _, r := range modelBlocks {
		m.verifyRange(r)
	}
}

func (m *dataModel) verifyRange(r block.Range) {
	p := make([]byte, r.Len*4096)
	require.NoError(m.t, m.s.Read(m.t.Context(), p, r.Off*4096))
	sums, bad, err := m.s.Checksums(m.t.Context(), inBytes(r), m.rng.IntN(2) == 0)
	require.NoError(m.t, err)
	require.Empty(m.t, bad)
	for i := range r.Len {
		want := m.now(r.Off + i).bytes()
		require.Equal(m.t, want, p[i*4096:][:4096], "block %d", r.Off+i)
		require.Equal(m.t, inband.Checksum(want), sums[i], "block %d", r.Off+i)
	}
}
