package sim_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/leg"
	"github.com/holdfast-storage/holdfast/mirror"
	"github.com/holdfast-storage/holdfast/volume"
)

// fileCoordinators are the coordinators of one volume, as far as an engine that is alone needs them.
type fileCoordinators struct {
	layout volume.Layout
	slots  map[volume.LegID]int

	mu     sync.Mutex
	cfg    volume.Config
	epoch  volume.Epoch
	active bool
	clean  bool
	lossy  []volume.LegID
	last   map[volume.LegID]volume.CfgVer
}

// attach grants the next epoch.
func (a *fileCoordinators) attach() volume.Epoch {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.epoch++
	a.active, a.lossy = false, nil
	return a.epoch
}

func (a *fileCoordinators) ask(e volume.Epoch, do func() error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if e != a.epoch {
		return mirror.ErrSuperseded
	}
	return do()
}

func (a *fileCoordinators) RecordFence(_ context.Context, e volume.Epoch, r volume.LegReport, _ bool) (f mirror.Fenced,
	err error) {
	return f, a.ask(e, func() error {
		if r.Lossy && !a.active {
			a.lossy = append(a.lossy, r.Label.LegID)
		}
		return nil
	})
}

func (a *fileCoordinators) Activate(_ context.Context, e volume.Epoch) (act mirror.Activation, err error) {
	err = a.ask(e, func() error {
		if !a.active {
			kept := slices.DeleteFunc(slices.Clone(a.cfg.InSync), func(id volume.LegID) bool {
				return slices.Contains(a.lossy, id)
			})
			for _, id := range a.cfg.InSync {
				if !slices.Contains(kept, id) {
					a.last[id] = a.cfg.CfgVer
				}
			}
			a.active = true
			a.cfg = volume.Config{CfgVer: a.cfg.CfgVer + 1, InSync: kept}
		}
		act = mirror.Activation{Config: a.cfg.Clone(), Lossy: a.lossy, Clean: a.clean}
		a.clean = false
		return nil
	})
	return act, err
}

func (a *fileCoordinators) RemoveLeg(_ context.Context, e volume.Epoch, id volume.LegID, _ volume.CfgVer, _ string,
	_ bool, _ []volume.LegSeq) (c volume.Config, err error) {
	err = a.ask(e, func() error {
		var slots []int
		rest := slices.DeleteFunc(a.cfg.Clone().InSync, func(other volume.LegID) bool { return other == id })
		for _, other := range rest {
			slots = append(slots, a.slots[other])
		}
		if !a.layout.Enough(slots) {
			return mirror.ErrLast
		}
		if a.cfg.Contains(id) {
			a.last[id] = a.cfg.CfgVer
		}
		a.cfg = volume.Config{CfgVer: a.cfg.CfgVer + 1, InSync: rest}
		c = a.cfg.Clone()
		return nil
	})
	return c, err
}

func (a *fileCoordinators) AddLeg(_ context.Context, e volume.Epoch, cfgver volume.CfgVer, id volume.LegID,
	_ volume.StoreID, _ uint64) (c volume.Config, err error) {
	err = a.ask(e, func() error {
		if cfgver != a.cfg.CfgVer {
			c = a.cfg.Clone()
			return mirror.ErrRetry
		}
		a.cfg = volume.Config{CfgVer: a.cfg.CfgVer + 1, InSync: append(a.cfg.Clone().InSync, id)}
		c = a.cfg.Clone()
		return nil
	})
	return c, err
}

func (a *fileCoordinators) ConfirmCopy(context.Context, volume.Epoch, volume.CfgVer, volume.LegID, volume.StoreID,
	uint64, mirror.Copied, []volume.LegSeq) (volume.Config, error) {
	return volume.Config{}, mirror.ErrWait
}

func (a *fileCoordinators) Confirm(_ context.Context, e volume.Epoch, _ volume.CfgVer, _ []volume.LegSeq) error {
	return a.ask(e, func() error { return nil })
}

func (a *fileCoordinators) Detach(_ context.Context, e volume.Epoch, clean bool, _ []volume.LegSeq) error {
	return a.ask(e, func() error {
		a.clean = clean
		return nil
	})
}

type sinceStart struct{ at time.Time }

func (c sinceStart) Now() time.Duration { return time.Since(c.at) + time.Hour }

// fileSet is a volume of parity over legs in files.
type fileSet struct {
	t      *testing.T
	layout volume.Layout
	nodes  []*fileNode
	auth   *fileCoordinators
	engine *mirror.Engine
	device block.Device
	want   []byte
	scrubs chan mirror.ScrubReport
}

const fileSetBytes = 24 << 20

func newFileSet(t *testing.T, l volume.Layout) *fileSet {
	s := &fileSet{t: t, layout: l, want: make([]byte, fileSetBytes), scrubs: make(chan mirror.ScrubReport, 1),
		auth: &fileCoordinators{layout: l, slots: map[volume.LegID]int{}, last: map[volume.LegID]volume.CfgVer{},
			cfg: volume.Config{CfgVer: 1}, clean: true}}
	id, generation, cluster := volume.NewID(), volume.NewUUID(), volume.NewClusterID()
	for slot := range l.Legs() {
		n := newFileNode(t, leg.Spec{Leg: volume.NewLegID(), Volume: id, VolumeName: "v", Incarnation: cluster,
			DataGen: generation, Layout: l, Slot: slot, Durability: volume.DurabilityFlush, SizeBytes: fileSetBytes})
		s.nodes = append(s.nodes, n)
		s.auth.slots[n.spec.Leg] = slot
		s.auth.cfg.InSync = append(s.auth.cfg.InSync, n.spec.Leg)
		s.auth.last[n.spec.Leg] = 1
	}
	return s
}

// attach starts an engine in the next epoch.
func (s *fileSet) attach() {
	epoch, id := s.auth.attach(), volume.NewAttachID()
	o := mirror.Options{Name: "v", Epoch: epoch, AttachID: id, SizeBytes: fileSetBytes, Layout: s.layout,
		Durability: volume.DurabilityFlush, Authority: s.auth, Clock: sinceStart{time.Now()},
		Observer: mirror.Observer{Scrubbed: func(r mirror.ScrubReport) { s.scrubs <- r }}}
	for _, n := range s.nodes {
		o.Legs = append(o.Legs, mirror.LegSpec{ID: n.spec.Leg, Slot: n.spec.Slot, Join: true,
			Leg:    &fileLeg{node: n, epoch: epoch, id: id},
			InSync: s.auth.cfg.Contains(n.spec.Leg), Since: s.auth.last[n.spec.Leg]})
	}
	e, err := mirror.New(o)
	require.NoError(s.t, err)
	s.engine, s.device = e, block.Blocking(e, e.Limits(), nil)
	require.NoError(s.t, e.Attach(s.t.Context()))
}

// write has four writers write to parts of their own, while something happens, and remembers what they wrote.
func (s *fileSet) write(times int, happens ...func()) {
	s.t.Helper()
	const part = fileSetBytes / 4
	var writers sync.WaitGroup
	for w := range int64(4) {
		writers.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), uint64(s.auth.epoch)))
			for range times {
				off := rng.Int64N(part/512) * 512
				p := bytes.Repeat([]byte{byte(rng.Uint32())}, int(min((1+rng.Int64N(400))*512, part-off)))
				off += w * part
				if !assert.NoError(s.t, s.device.Write(s.t.Context(), p, off, 0)) {
					return
				}
				copy(s.want[off:], p)
			}
		})
	}
	for _, do := range happens {
		do()
	}
	writers.Wait()
}

// requireAll reads everything.
func (s *fileSet) requireAll() {
	s.t.Helper()
	got := make([]byte, fileSetBytes)
	require.NoError(s.t, s.device.Read(s.t.Context(), got, 0))
	for off := 0; off < fileSetBytes; off += 4096 {
		require.True(s.t, bytes.Equal(s.want[off:off+4096], got[off:off+4096]), "block %d", off/4096)
	}
}

// states waits until n legs are in sync, and no other number.
func (s *fileSet) inSync(n int) {
	s.t.Helper()
	require.Eventually(s.t, func() bool {
		count := 0
		for _, l := range s.engine.Status().Legs {
			if l.State == mirror.LegInSync {
				count++
			}
		}
		return count == n
	}, 90*time.Second, 20*time.Millisecond, "%d legs in sync", n)
}

// scrub looks at everything: every stripe is a code word. It returns how many blocks it found bad, and mended.
func (s *fileSet) scrub() (bad int64) {
	s.t.Helper()
	require.NoError(s.t, s.engine.Scrub(mirror.ScrubOrder{ID: 1, Rate: 1 << 40}))
	select {
	case r := <-s.scrubs:
		require.True(s.t, r.Complete)
		require.Zero(s.t, r.DivergedN, "%v", r.Diverged)
		require.Zero(s.t, r.Unreadable)
		require.EqualValues(s.t, fileSetBytes, r.Bytes)
		for _, l := range r.Legs {
			require.Equal(s.t, l.Bad, l.Healed)
			bad += l.Bad
		}
	case <-time.After(time.Minute):
		s.t.Fatal("the scrub does not end")
	}
	return bad
}

// TestParity_overLegsInFiles: an engine over legs as storage nodes have them, which lose their processes, their hosts
// and their caches, and rot. Everything that was acknowledged is there in each epoch, with as many legs lost as the
// layout bears.
func TestParity_overLegsInFiles(t *testing.T) {
	l := volume.Parity(3, 2)
	l.Chunk = 16 << 10
	s := newFileSet(t, l)
	s.attach()
	s.write(10)
	s.requireAll()

	// A process that starts anew keeps what it has, and gets what it had not answered.
	s.write(20, s.nodes[1].stop, func() { s.nodes[1].start(false) })
	s.requireAll()

	// The host dies, and the next one decides what was under way.
	require.NoError(t, s.engine.Close())
	s.attach()
	s.requireAll()
	s.write(10)

	// As many legs as the layout bears lose their machines, one at the time of a takeover.
	s.write(10, s.nodes[0].stop)
	require.NoError(t, s.engine.Close())
	s.nodes[3].stop()
	s.nodes[3].start(true)
	s.attach()
	s.requireAll()
	s.write(20, func() { s.nodes[0].start(true) })
	s.inSync(5)
	s.requireAll()
	require.Zero(t, s.scrub())
	s.write(5)

	clean, err := s.engine.Detach(t.Context())
	require.NoError(t, err)
	require.True(t, clean)
	require.NoError(t, s.engine.Close())
	s.attach()
	s.requireAll()

	// Two legs have blocks that rot, of data and of parity; no row has more than the layout bears.
	s.nodes[2].rot(0, 7, 30, 31, 32, 33)
	s.nodes[4].rot(1, 7, 40, 41, 42, 43)
	s.requireAll()
	require.Positive(t, s.scrub())
	require.Zero(t, s.scrub())
	s.requireAll()
	require.NoError(t, s.engine.Close())
}
