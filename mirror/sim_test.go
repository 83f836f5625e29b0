package mirror

import (
	"flag"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
)

var (
	simSeed  = flag.Uint64("sim.seed", 0, "run only this seed of the simulation")
	simTrace = flag.Bool("sim.trace", false, "print every step of the simulation")
	simRuns  = flag.Int("sim.runs", 300, "seeds of the simulation to run")
)

// TestSimulation runs random faults, takeovers and guest requests against the real Core, and checks
// the protocol's invariants and the linearizability of every block.
func TestSimulation(t *testing.T) {
	first, runs := uint64(1), *simRuns
	if *simSeed != 0 {
		first, runs = *simSeed, 1
	}
	for seed := first; seed < first+uint64(runs); seed++ {
		if failed := simulate(seed, 0); failed != "" {
			t.Fatalf("seed %d: %s\nreplay: go test ./mirror -run TestSimulation -sim.seed=%d", seed, failed, seed)
		}
	}
}

// simulate runs one seed and returns the violation it found, "" if none.
func simulate(seed uint64, broken Rules) string {
	n := 2 + int(seed%2)
	inSync := n - int(seed/2%2)
	w := newSimWorld(seed, n, inSync, broken)
	w.media = seed%3 == 0
	w.commands = seed%4 == 1
	return w.simulate()
}

// simulate lets things happen, then ends all faults and judges.
func (w *simWorld) simulate() string {
	h := w.newHost()
	for n := 20 + w.rng.IntN(30); n > 0 && w.failed == ""; n-- {
		h = w.act(h)
		w.runUntil(w.now + time.Duration(w.rng.IntN(int(400*time.Millisecond))))
	}
	if w.failed == "" {
		w.checkEnd(w.heal(h))
	}
	if w.failed == simExcused {
		return ""
	}
	return w.failed
}

// act does one random thing: mostly guest requests, sometimes a fault.
func (w *simWorld) act(h *simHost) *simHost {
	for range w.rng.IntN(8) {
		host := w.hosts[w.rng.IntN(len(w.hosts))]
		if host.pending < 12 && host.stopped == nil && !host.paused && !host.detached {
			host.guest()
		}
	}
	l := w.legs[w.rng.IntN(len(w.legs))]
	if w.losses && w.rng.IntN(12) == 0 {
		return w.storm(h)
	}
	if w.commands && w.rng.IntN(3) == 0 {
		w.delay(l)
	}
	if w.commands && w.rng.IntN(6) == 0 {
		w.sour(w.legs[w.rng.IntN(len(w.legs))])
	}
	switch w.rng.IntN(24) {
	case 0:
		l.end(block.ErrUnreachable, true)
	case 1:
		l.restart()
	case 2:
		w.cut(l)
	case 3:
		w.toggle(l)
	case 4:
		w.raft.down = !w.raft.down
	case 5:
		l.hung = true
		w.after(time.Duration(w.rng.IntN(int(6*time.Second))), func() {
			if l.hung {
				l.hung = false
				l.end(block.ErrUnreachable, true)
			}
		})
	case 6:
		if h.stopped != nil || w.rng.IntN(2) == 0 {
			h.paused = h.stopped == nil && w.rng.IntN(2) == 0
			old := h
			w.after(time.Duration(w.rng.IntN(int(8*time.Second))), old.resume)
			h = w.newHost()
			if w.rng.IntN(2) == 0 { // the new host cannot reach a leg that the old one still reaches
				w.cutOff(h, l)
			}
		}
	case 7, 17:
		w.cutOff(h, l)
	case 18:
		w.delay(l)
	case 11:
		w.fill(w.legs...)
	case 12:
		w.fill(l)
	case 13:
		w.spoil(w.legs[0]) // always the same, so that of each block some leg is well
	case 14, 15:
		w.rot(l)
	case 16:
		h.step(&Event{Kind: EventScrub, Scrub: &ScrubOrder{ID: w.rng.Uint64(), Rate: 1 << (16 + w.rng.IntN(8)),
			From: w.rng.Int64N(simBlocks) * BlockBytes, Stop: w.rng.IntN(8) == 0}})
	case 10:
		h = w.split(h, l)
	case 8, 9:
		w.runUntil(w.now + time.Duration(w.rng.IntN(int(6*time.Second))))
	}
	return h
}

// split parts the network: the old host reaches nothing but leg x, the new one everything but x. What
// the old one reads from there is stale as soon as the new one has written.
func (w *simWorld) split(old *simHost, x *simLeg) *simHost {
	old.noRaft = true
	for _, l := range w.legs {
		if l != x {
			old.cutLegs[l] = true
		}
	}
	h := w.newHost()
	h.cutLegs[x] = true
	w.after(time.Duration(w.rng.IntN(int(12*time.Second))), func() {
		delete(h.cutLegs, x)
		old.noRaft, old.cutLegs = false, map[*simLeg]bool{}
	})
	return h
}

// fill lets legs have no room for a while.
func (w *simWorld) fill(legs ...*simLeg) {
	for _, l := range legs {
		l.full = w.media
		w.after(time.Duration(w.rng.IntN(int(time.Second))), func() { l.full = false })
	}
}

// delay lets a leg be late for a while.
func (w *simWorld) delay(l *simLeg) {
	l.late = true
	w.after(time.Duration(w.rng.IntN(int(8*time.Second))), func() { l.late = false })
}

// sour lets commands to a leg fail for a while.
func (w *simWorld) sour(l *simLeg) {
	l.sour = true
	w.after(time.Duration(w.rng.IntN(int(4*time.Second))), func() { l.sour = false })
}

// spoil lets requests to a leg fail for a while.
func (w *simWorld) spoil(l *simLeg) {
	l.flaky = w.media
	w.after(time.Duration(w.rng.IntN(int(2*time.Second))), func() { l.flaky = false })
}

// rot lets blocks of a leg rot that another leg in sync has.
func (w *simWorld) rot(l *simLeg) {
	if w.payloads != nil {
		w.rotParity(l)
		return
	}
	for n := w.rng.IntN(12); w.media && n > 0; n-- {
		b, well := w.rng.Int64N(simBlocks), 0
		for _, other := range w.legs {
			if other != l && w.raft.isr[other] && other.cache[b]&simBad == 0 && !other.lossy() {
				well++
			}
		}
		if well > 0 {
			l.rot(b)
		}
	}
}

// rescue makes blocks readable that rotted on every leg in sync, because legs left: no leg could join
// before the guest overwrites them.
func (w *simWorld) rescue() {
	if w.payloads != nil {
		w.rescueParity()
		return
	}
	for b := range int64(simBlocks) {
		well := false
		for l := range w.raft.isr {
			well = well || l.cache[b]&simBad == 0
		}
		for l := range w.raft.isr {
			if !well {
				l.cache[b] &^= simBad
				l.disk[b] = []uint64{l.cache[b]}
			}
		}
	}
}

// cutOff cuts the network between a host and a leg for a while.
func (w *simWorld) cutOff(h *simHost, l *simLeg) {
	h.cutLegs[l] = true
	if l.session != nil && l.session.host == h {
		l.end(block.ErrUnreachable, true)
	}
	w.after(time.Duration(w.rng.IntN(int(8*time.Second))), func() { delete(h.cutLegs, l) })
}

// cut cuts the power of a leg if every other in-sync leg keeps its cache and is well, so that no
// acknowledged write may be lost: contract (iii) of protocol-flush C never applies.
func (w *simWorld) cut(l *simLeg) {
	h := w.hosts[len(w.hosts)-1]
	others := map[*simLeg]bool{}
	for i, other := range w.legs {
		if other == l || !w.raft.isr[other] {
			continue
		}
		// While no request can reach the coordinators, a leg whose removal was asked for stays in sync.
		g := h.core.leg(LegIndex(i))
		firm := g.state == LegInSync || w.raft.down && w.removals == 0 && w.raft.epoch == h.epoch
		if other.lossy() || !other.on || other.hung || !firm || g.trouble != 0 || !g.up ||
			h.stopped != nil || h.core.phase != phaseServing || h.cutLegs[other] {
			if w.payloads == nil {
				return
			}
			continue
		}
		others[other] = true
	}
	if w.losses || w.enough(others, nil) || !w.raft.isr[l] {
		l.powerCut()
	}
}

// toggle stops or starts a leg's process; some in-sync leg stays up.
func (w *simWorld) toggle(l *simLeg) {
	if !l.on {
		l.on = true
		return
	}
	l.restart()
	l.on = false
}

// heal ends every fault and waits for the volume to be well.
func (w *simWorld) heal(h *simHost) *simHost {
	w.calm, w.raft.down = true, false
	for _, l := range w.legs {
		l.on, l.full, l.flaky, l.late, l.sour = true, false, false, false, false
		if l.hung {
			l.restart()
		}
	}
	for _, host := range w.hosts {
		host.cutLegs, host.noRaft = map[*simLeg]bool{}, false
		host.resume()
	}
	for range 240 {
		if h.stopped != nil { // the guest starts anew, as it does when every in-sync leg lost its cache
			h = w.newHost()
		}
		w.rescue()
		w.runUntil(w.now + time.Second)
		if w.failed != "" || h.pending == 0 && w.well(h) {
			return h
		}
	}
	w.violation("not well after 240 s: %+v, %d requests wait, raft %+v", h.core.Status(nil), h.pending,
		w.raft.config())
	return h
}

// well reports whether every leg is in sync and nothing is marked.
func (w *simWorld) well(h *simHost) bool {
	for _, l := range w.legs {
		if w.raft.isr[l] == l.retiring || len(l.marks) > 0 && !l.retiring {
			return false
		}
	}
	return h.serving && h.core.calm()
}

// checkEnd reads everything, detaches, compares the legs and checks the history.
func (w *simWorld) checkEnd(h *simHost) {
	if w.failed != "" {
		return
	}
	for b := range w.blocks {
		g := &simGuest{rng: block.Range{Off: b * BlockBytes, Len: BlockBytes}, ops: []int{len(w.ops)}}
		w.ops = append(w.ops, simOp{block: b, call: w.now, client: len(w.ops)})
		h.pending++
		h.step(&Event{Kind: EventGuest, Op: block.OpRead, Range: g.rng, Guest: g})
	}
	w.runUntil(w.now + 5*time.Second)
	if h.pending > 0 {
		w.violation("%d reads were not answered", h.pending)
	}
	if w.payloads != nil {
		w.scrubAll(h)
		w.checkStripes()
		w.checkHistory()
		w.detachEnd(h)
		return
	}
	w.scrubAll(h)
	for b := range int64(simBlocks) {
		for _, l := range w.legs[1:] {
			if l.cache[b] != w.legs[0].cache[b] {
				w.violation("block %d is %d on leg a and %d on leg %s", b, w.legs[0].cache[b], l.cache[b], l.name)
			}
		}
	}
	w.checkHistory()
	w.detachEnd(h)
}

// detachEnd detaches, which ends clean.
func (w *simWorld) detachEnd(h *simHost) {
	h.step(&Event{Kind: EventDetach})
	w.runUntil(w.now + 10*time.Second)
	if !h.detached || !w.raft.clean {
		w.violation("detached %v, clean %v: %+v", h.detached, w.raft.clean, h.core.Status(nil))
	}
}

// scrubAll has everything scrubbed, after which no leg has a bad block.
func (w *simWorld) scrubAll(h *simHost) {
	h.scrubbed = nil
	h.step(&Event{Kind: EventScrub, Scrub: &ScrubOrder{ID: 1, Rate: 1 << 30}})
	for range 30 {
		if h.scrubbed == nil || h.scrubbed.ID != 1 {
			w.runUntil(w.now + time.Second)
		}
	}
	if r := h.scrubbed; r == nil || !r.Complete || r.Bytes != w.blocks*BlockBytes || r.Unreadable > 0 {
		w.violation("the last scrub reports %+v: %+v", r, h.core.Status(nil))
	}
	for _, l := range w.legs {
		for b := range w.layout.LegBytes(w.blocks*BlockBytes) / BlockBytes {
			if w.raft.isr[l] && l.unreadable(b) {
				w.violation("block %d of leg %s is bad after a scrub: %+v", b, l.name, h.scrubbed)
			}
		}
	}
}

// TestSimulationIsDeterministic: the same seed gives the same run, or a failure could not be replayed.
func TestSimulationIsDeterministic(t *testing.T) {
	for seed := uint64(1); seed < 6; seed++ {
		a, b := newSimWorld(seed, 3, 3, 0), newSimWorld(seed, 3, 3, 0)
		for _, w := range []*simWorld{a, b} {
			h := w.newHost()
			for range 10 {
				h = w.act(h)
				w.runUntil(w.now + 200*time.Millisecond)
			}
		}
		require.Equal(t, fmt.Sprint(a.events, a.value, a.now, len(a.ops)),
			fmt.Sprint(b.events, b.value, b.now, len(b.ops)))
	}
}
