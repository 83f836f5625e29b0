package sim

import (
	"slices"
	"time"

	"github.com/holdfast-storage/holdfast/mirror"
	"github.com/holdfast-storage/holdfast/volume"
)

// profile is what a run is like: its set-up, how its guest behaves, and which faults are likely. A
// profile makes rare circumstances common; none knows of any rule that may be broken.
type profile struct {
	name       string
	layout     volume.Layout
	legs       int
	away       int // legs that are out of sync when the run begins
	spares     int // nodes without a leg
	durability volume.Durability
	loss       volume.UnflushedLoss
	size       int64
	timing     mirror.Timing

	hot                 []int64       // blocks that the guest uses most
	writes, flushes     int           // of 100 requests
	fua                 int           // one in so many writes
	think               time.Duration // between requests of a guest
	raftLoss, lateLogin int           // one in so many
	raftSlow            time.Duration // what a commit may take
	raftLate            int           // one command in so many is committed after its engine gave it up; zero = none
	strikes             int           // one change of a leg's state in so many brings a fault with it; zero = none
	saves               int           // one saving of a copy's progress in so many brings a fault with it; zero = none
	rivals              bool          // these faults are mostly a new epoch that does not reach the leg
	partings            bool          // a leg whose place in the list is open is all that an older engine is left with
	doubts              bool          // while a leg's removal is in doubt, another loses its cache and a third is away
	zeroes              int           // one write in so many is a zero
	sparse              bool          // each block that the guest likes has a region of its own
	acts                int           // how many faults
	gap                 time.Duration
	faults              []weighted
	total               int
}

// weighted is a fault with how likely it is.
type weighted struct {
	weight int
	run    func(*world)
}

// flavour is one kind of profile: it changes what is usual.
type flavour struct {
	name   string
	change func(w *world, p *profile)
	faults func(f *faultWeights)
}

// faultWeights are how likely each fault is. The order is that of the table in faults.go.
type faultWeights struct {
	breakSession, cutLink, split, restart, stop, powerCut, siteCut, hang, slow int
	pause, takeover, engineDies, noRaft, raftDown, election                    int
	full, eio, rot, failFlush, lying, setBack, empty, replace, accept, restore int
	idle, detach, crossfire, attachCut                                         int
	failMeta, rotMeta, pauseNode, fillJoiners, scrub, jumpClock, clone         int
}

func usual() faultWeights {
	return faultWeights{breakSession: 3, cutLink: 4, split: 2, restart: 4, stop: 3, powerCut: 4,
		siteCut: 1, hang: 2,
		slow: 1, pause: 3, takeover: 3, engineDies: 4, noRaft: 2, raftDown: 2, election: 2, idle: 5, detach: 1,
		replace: 1, accept: 1, crossfire: 3, attachCut: 3, pauseNode: 2, scrub: 2, jumpClock: 1, clone: 1}
}

// flavours are taken in turn, by the seed.
func flavours() []flavour {
	return slices.Concat(broadFlavours(), narrowFlavours(), doubtFlavours())
}

// broadFlavours make one kind of fault common.
func broadFlavours() []flavour {
	return []flavour{
		{name: "mixed", faults: func(*faultWeights) {}},
		{name: "power", faults: func(f *faultWeights) { f.powerCut, f.siteCut, f.restart = 12, 4, 1 }},
		{name: "takeover", faults: func(f *faultWeights) {
			f.takeover, f.engineDies, f.pause, f.split = 10,
				8, 6, 6
		}},
		{name: "join", faults: func(f *faultWeights) {
			f.breakSession, f.cutLink, f.stop, f.restart = 6, 8,
				8, 8
		},
			change: func(w *world, p *profile) { p.away, p.think = 1, 15*time.Millisecond }},
		{name: "three", faults: func(f *faultWeights) { f.cutLink, f.stop, f.powerCut = 8, 6, 6 },
			change: func(w *world, p *profile) { p.legs, p.away = 3, w.rng.IntN(2) }},
		{name: "media", faults: func(f *faultWeights) {
			f.full, f.eio, f.rot, f.failFlush, f.failMeta, f.rotMeta, f.fillJoiners, f.scrub = 5, 5, 5, 1, 1, 4, 4, 6
		}},
		{name: "raft", faults: func(f *faultWeights) {
			f.noRaft, f.raftDown, f.election, f.cutLink,
				f.breakSession = 4, 2, 4, 8, 8
		},
			change: func(w *world, p *profile) { p.raftLoss, p.away, p.raftSlow = 5, 1, 300*time.Millisecond }},
		{name: "setback", faults: func(f *faultWeights) {
			f.setBack, f.empty, f.restore, f.takeover, f.replace = 6, 2, 4, 4, 8
		},
			change: func(w *world, p *profile) { // the newest leg may be one that a backup does not know
				p.spares = 2
			}},
		{name: "flush", faults: func(f *faultWeights) { f.powerCut, f.siteCut = 8, 8 },
			change: func(w *world, p *profile) { p.flushes, p.durability = 25, volume.DurabilityFlush }},
	}
}

// narrowFlavours bring circumstances together that hardly ever meet by chance.
func narrowFlavours() []flavour {
	return []flavour{
		{name: "strikes", faults: func(f *faultWeights) { f.idle, f.breakSession = 10, 6 },
			change: func(w *world, p *profile) { p.away, p.strikes, p.think = 1, 4, 20*time.Millisecond }},
		{name: "limbo", faults: func(f *faultWeights) { f.cutLink, f.stop, f.breakSession, f.idle = 8, 16, 4, 10 },
			change: func(w *world, p *profile) {
				p.legs, p.away, p.raftLate, p.strikes, p.timing.LegLost = 2, 1, 2, 6, time.Second
				p.think, p.timing.JoinBackOff = 20*time.Millisecond, 50*time.Millisecond
			}},
		{name: "trio", faults: func(f *faultWeights) { f.stop, f.cutLink, f.replace, f.idle = 8, 8, 6, 10 },
			change: func(w *world, p *profile) {
				p.legs, p.away, p.zeroes, p.spares, p.sparse = 3, 1+w.rng.IntN(2), 2, 2, true
				p.think, p.gap = 200*time.Millisecond, time.Second
				p.timing.StableIdle, p.timing.StableBusy = 100*time.Millisecond, 300*time.Millisecond
			}},
		{name: "sparse", faults: func(f *faultWeights) {
			*f = faultWeights{split: 10, breakSession: 6, cutLink: 3, stop: 3, takeover: 2, idle: 4}
		},
			change: func(w *world, p *profile) {
				p.sparse, p.strikes, p.writes, p.think, p.gap = true, 4, 75, 500*time.Millisecond, 6*time.Second
				p.timing.StableIdle, p.timing.StableBusy = 20*time.Millisecond, 100*time.Millisecond
				p.timing.JoinBackOff, p.timing.CopyDepth = 50*time.Millisecond, 1
			}},
		{name: "rivals", faults: func(f *faultWeights) { f.replace, f.breakSession, f.idle, f.slow = 16, 6, 14, 4 },
			change: func(w *world, p *profile) {
				p.legs, p.strikes, p.rivals, p.raftLoss, p.spares, p.gap = 2, 8, true, 4, 3, time.Second
				p.think, p.writes, p.timing.JoinBackOff = 10*time.Millisecond, 6, 50*time.Millisecond
				p.timing.FenceWait = 200 * time.Millisecond
			}},
		{name: "partings", faults: func(f *faultWeights) { f.replace, f.breakSession, f.idle, f.slow = 16, 6, 14, 4 },
			change: func(w *world, p *profile) {
				p.legs, p.partings, p.raftLoss, p.spares, p.gap = 2, true, 4, 3, time.Second
				p.think, p.writes, p.flushes, p.timing.JoinBackOff = 10*time.Millisecond, 6, 2, 50*time.Millisecond
				p.timing.FenceWait = 200 * time.Millisecond
			}},
		{name: "attach", faults: func(f *faultWeights) { f.attachCut, f.idle, f.breakSession = 20, 8, 4 },
			change: func(w *world, p *profile) {
				p.durability, p.raftSlow, p.think = volume.DurabilityFlush, 200*time.Millisecond, 20*time.Millisecond
			}},
		{name: "crossfire", faults: func(f *faultWeights) { f.crossfire, f.idle = 25, 8 },
			change: func(w *world, p *profile) {
				p.durability, p.think = volume.DurabilityFlush, 20*time.Millisecond
			}},
		{name: "readers", faults: func(f *faultWeights) { f.split, f.takeover, f.pause, f.idle = 30, 6, 6, 10 },
			change: func(w *world, p *profile) { // a write that waits for its legs keeps readers of its blocks waiting
				p.writes, p.flushes, p.think, p.gap = 6, 2, 10*time.Millisecond, time.Second
				p.timing.FenceWait = 200 * time.Millisecond // shorter than what older reads may take
			}},
		{name: "sluggish", faults: func(f *faultWeights) { f.slow, f.hang, f.powerCut, f.crossfire = 12, 6, 6, 6 },
			change: func(w *world, p *profile) { p.think, p.strikes = 10*time.Millisecond, 8 }},
		{name: "rebuild", faults: func(f *faultWeights) {
			*f = faultWeights{replace: 10, idle: 14, takeover: 2, siteCut: 1, detach: 1}
		},
			change: func(w *world, p *profile) { // copies in full are cut off everywhere, and go on
				p.sparse, p.spares, p.away, p.writes, p.think, p.saves = true, 2, 0, 40, 20*time.Millisecond, 3
				p.acts, p.timing.JoinBackOff = 8+w.rng.IntN(12), 20*time.Millisecond
				p.timing.StableIdle, p.timing.StableBusy = 20*time.Millisecond, 100*time.Millisecond
				p.timing.CopyDepth, p.timing.CopySave = 1, w.pick(60*time.Millisecond)
			}},
		{name: "rotting", faults: func(f *faultWeights) { f.rot, f.stop, f.idle, f.siteCut = 14, 6, 6, 0 },
			change: func(w *world, p *profile) {
				p.writes, p.away, p.think = 25, w.rng.IntN(2), 10*time.Millisecond
			}},
		{name: "lying", faults: func(f *faultWeights) { f.lying, f.rotMeta, f.scrub, f.siteCut = 10, 4, 4, 0 },
			change: func(w *world, p *profile) { // marks go soon, and with them what tells of a loss
				p.loss, p.think = volume.LossWait, 150*time.Millisecond
				p.timing.StableIdle, p.timing.StableBusy = 20*time.Millisecond, 100*time.Millisecond
			}},
	}
}

// doubtFlavours make it common that an engine does not know which legs the coordinators have in sync.
func doubtFlavours() []flavour {
	return []flavour{
		{name: "doubts", faults: func(f *faultWeights) { *f = faultWeights{stop: 8, cutLink: 4, idle: 10} },
			change: func(w *world, p *profile) {
				p.legs, p.away, p.doubts, p.raftLate, p.gap = 3, 0, true, 2, 3*time.Second
				p.think, p.flushes, p.acts = 200*time.Millisecond, 2, 10
			}},
	}
}

// Profiles returns the names of all profiles.
func Profiles() []string {
	var names []string
	for _, f := range flavours() {
		names = append(names, f.name)
	}
	return names
}

// flavour returns the kind of profile that the options name, or that is the seed's turn.
func (w *world) flavour() flavour {
	list := flavours()
	for _, f := range list {
		if f.name == w.opts.Profile {
			return f
		}
	}
	return list[w.opts.Seed%uint64(len(list))]
}

// newProfile draws the profile of a run.
func (w *world) newProfile() profile {
	f := w.flavour()
	p := profile{name: f.name, zeroes: 8, legs: 2 + w.rng.IntN(2), spares: 1, durability: volume.DurabilityFlush,
		loss: volume.LossWait, writes: 55, flushes: 8, fua: 10, think: 60 * time.Millisecond, raftLoss: 14,
		lateLogin: 25,
		acts:      16 + w.rng.IntN(24), gap: 400 * time.Millisecond,
		size:   []int64{1<<20 + 64<<10, 2<<20 + 16<<10, 3 << 20}[w.rng.IntN(3)],
		timing: mirror.Timing{CopyBytes: 64 << 10, CopyDepth: 1 + w.rng.IntN(4)}}
	if w.chance(2) { // marks are cleared all the time
		p.timing.StableIdle, p.timing.StableBusy = 100*time.Millisecond, 300*time.Millisecond
	}
	if w.chance(2) {
		p.timing.JoinBackOff = 50 * time.Millisecond
	}
	if w.chance(3) {
		p.durability = volume.DurabilitySync
	}
	if w.chance(4) {
		p.loss = volume.LossAccept
	}
	if w.chance(3) {
		p.away = 1
	}
	weights := usual()
	f.faults(&weights)
	if f.change != nil {
		f.change(w, &p)
	}
	p.layout = volume.Mirror(p.legs)
	if l, ok := w.parityTurn(); ok {
		p.layout, p.legs = l, l.Legs()
	}
	p.away = min(p.away, p.layout.Extra)
	p.spread(w)
	p.faults = faultTable(weights)
	for _, f := range p.faults {
		p.total += f.weight
	}
	return p
}

// spread chooses the blocks that the guest likes best: some at the borders of regions, or one in each of
// more regions, so that what happens to one is not covered up by what happens to its neighbours.
func (p *profile) spread(w *world) {
	if p.sparse {
		p.size = 8 << 20
	}
	if p.layout.Kind == volume.KindParity {
		p.spreadSet(w)
		return
	}
	if p.sparse {
		for b := int64(0); b < p.size/blockBytes; b += volume.RegionBytes / blockBytes {
			p.hot = append(p.hot, b+w.rng.Int64N(volume.RegionBytes/blockBytes))
		}
		return
	}
	last := p.size/blockBytes - 1
	p.hot = []int64{0, 255, 256, last, last - 1}
	for range 3 {
		p.hot = append(p.hot, w.rng.Int64N(last))
	}
}

// spreadSet does the same for a set of parity: the size is that of each leg, and the blocks are some of the same
// stripes.
func (p *profile) spreadSet(w *world) {
	legBlocks := p.size / blockBytes
	rows := []int64{0, 255, 256, legBlocks - 1, w.rng.Int64N(legBlocks)}
	if p.sparse {
		rows = nil
		for b := int64(0); b < legBlocks; b += volume.RegionBytes / blockBytes {
			rows = append(rows, b+w.rng.Int64N(volume.RegionBytes/blockBytes))
		}
	}
	chunk, k := p.layout.Chunk/blockBytes, int64(p.layout.Data)
	for _, row := range rows {
		for range 2 {
			p.hot = append(p.hot, row/chunk*chunk*k+w.rng.Int64N(k)*chunk+row%chunk)
		}
	}
	p.size *= k
}

// fault makes one thing go wrong.
func (w *world) fault() {
	n := w.rng.IntN(w.profile.total)
	for _, f := range w.profile.faults {
		if n -= f.weight; n < 0 {
			f.run(w)
			return
		}
	}
}
