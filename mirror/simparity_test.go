package mirror

import (
	"encoding/binary"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/parity"
	"github.com/holdfast-storage/holdfast/volume"
)

// simChunkBlocks is the chunk of simulated sets of parity.
const simChunkBlocks = 2

// simSets are the layouts that are simulated.
var simSets = [...][2]int{{2, 1}, {4, 2}, {3, 2}}

// newSimSet makes a world whose legs are a set of parity, of which some are not in sync.
func newSimSet(seed uint64, l volume.Layout, missing int, broken Rules) *simWorld {
	w := newSimWorld(seed, l.Legs(), l.Legs()-missing, broken)
	l.Chunk = simChunkBlocks * BlockBytes
	w.layout, w.blocks = l, 48*l.StripeBytes()/BlockBytes
	var err error
	if w.payloads, err = newPayloads(l); err != nil {
		panic(err)
	}
	for n, leg := range w.legs {
		leg.slot, leg.journal = n, newSimJournal(l, w.blocks*BlockBytes)
	}
	return w
}

// replace adds a new leg that is to take the place of another one.
func (w *simWorld) replace(old *simLeg) {
	l := newSimLeg(w, "n")
	l.slot, l.journal, l.replaces = old.slot, newSimJournal(w.layout, w.blocks*BlockBytes), old
	old.retiring = true
	w.legs = append(w.legs, l)
}

// enough reports whether legs but one have all of the volume.
func (w *simWorld) enough(legs map[*simLeg]bool, but *simLeg) bool {
	var slots []int
	for l := range legs {
		if l != but {
			slots = append(slots, l.slot)
		}
	}
	return w.layout.Enough(slots)
}

// simulateSet runs one seed of a set of parity and returns the violation it found, "" if none.
func simulateSet(seed uint64, broken Rules) string {
	shape := simSets[seed%3]
	l := volume.Parity(shape[0], shape[1])
	w := newSimSet(seed, l, int(seed/3)%(l.Extra+1), broken)
	if seed%4 == 1 {
		w.replace(w.legs[int(seed/4)%len(w.legs)])
	}
	w.losses = seed/2%2 == 0
	w.media = seed%5 == 0
	w.commands = seed/4%2 == 1
	return w.simulate()
}

// TestSimulation_parity does for sets of parity what TestSimulation does for mirrors. In half of the runs more legs
// lose their caches than the layout bears: then only what was flushed has to be there.
func TestSimulation_parity(t *testing.T) {
	first, runs := uint64(1), *simRuns
	if *simSeed != 0 {
		first, runs = *simSeed, 1
	}
	for seed := first; seed < first+uint64(runs); seed++ {
		if failed := simulateSet(seed, 0); failed != "" {
			t.Fatalf("seed %d: %s\nreplay: go test ./mirror -run TestSimulation_parity$ -sim.seed=%d", seed, failed,
				seed)
		}
	}
}

// parityGuest submits a random request, cut as the engine does it. Most are of a few stripes, so that they meet.
func (h *simHost) parityGuest() {
	w := h.w
	stripe := w.layout.StripeBytes() / BlockBytes
	first := w.rng.Int64N(3 * stripe)
	if w.rng.IntN(4) == 0 {
		first = w.rng.Int64N(w.blocks)
	}
	n := min(1+w.rng.Int64N(4), w.blocks-first)
	kind := w.rng.IntN(12)
	if kind == 2 { // a whole stripe
		first, n = first/stripe*stripe, stripe
	}
	if kind == 0 {
		h.parityPiece(block.OpFlush, 0, block.Range{})
		return
	}
	op, flags := block.OpRead, block.Flags(0)
	if kind < 7 {
		op = block.OpWrite
	}
	if kind == 1 {
		flags = block.FUA
	}
	for rest := (block.Range{Off: first * BlockBytes, Len: n * BlockBytes}); !rest.Empty(); {
		p := piece(w.layout, w.blocks*BlockBytes, rest, op.Changes())
		rest = block.Range{Off: p.End(), Len: rest.Len - p.Len}
		h.parityPiece(op, flags, p)
	}
}

// parityPiece submits one request of the Core.
func (h *simHost) parityPiece(op block.Op, flags block.Flags, r block.Range) {
	w := h.w
	g := &simGuest{rng: r, flush: op == block.OpFlush, write: op == block.OpWrite}
	ev := Event{Kind: EventGuest, Op: op, Flags: flags, Range: r, Guest: g}
	if g.write {
		d := make(simData, r.Len/BlockBytes)
		for i := range d {
			w.value++
			d[i] = w.value
		}
		data := append(simData(nil), d...)
		d = append(d, make(simData, payloadBytes(w.layout, w.blocks*BlockBytes, r)/BlockBytes-r.Len/BlockBytes)...)
		g.data, ev.Data = &data, &d
	}
	if g.flush {
		g.ops = append(g.ops, len(w.ops))
		w.ops = append(w.ops, simOp{block: simAllBlocks, kind: simFlush, call: w.now, ret: math.MaxInt64, host: h})
	}
	for i := range r.Len / BlockBytes {
		op := simOp{block: r.Off/BlockBytes + i, write: g.write, call: w.now, ret: math.MaxInt64, client: len(w.ops),
			host: h, fua: flags&block.FUA != 0}
		if g.write {
			op.value = (*g.data)[i]
		}
		g.ops = append(g.ops, len(w.ops))
		w.ops = append(w.ops, op)
	}
	h.pending++
	h.step(&ev)
}

// What a simOp is besides a read or write.
const (
	simFlush = 1 + iota
	simLoss

	simAllBlocks = -1
)

// declareLoss notes that un-flushed writes may be gone, by the time at which the epoch was activated.
func (w *simWorld) declareLoss() {
	w.ops = append(w.ops, simOp{block: simAllBlocks, kind: simLoss, call: w.lossAt, ret: w.now, finished: true})
	w.lossAt = w.now
}

// epochServes notes that nothing of earlier epochs takes effect any more.
func (w *simWorld) epochServes(h *simHost) {
	for i := range w.ops {
		if op := &w.ops[i]; !op.finished && op.host != nil && op.host.epoch < h.epoch && op.until == 0 {
			op.until = w.now
		}
	}
}

// checkParityAck: an acknowledged write is on its data leg, if that is in sync and kept its cache.
func (w *simWorld) checkParityAck(g *simGuest) {
	if w.ops[g.ops[0]].fua {
		return // its lock was given back when it was staged, and it may be overwritten by now
	}
	geo := w.geometry()
	for i, v := range *g.data {
		at := geo.Pieces(nil, block.Range{Off: g.rng.Off + int64(i)*BlockBytes, Len: BlockBytes})[0]
		for l := range w.raft.isr {
			if l.slot == at.Slot && !l.lossy() && l.content(at.Off/BlockBytes) != v {
				w.violation("acknowledged write %d is not on in-sync leg %s, which has %d at block %d", v, l.name,
					l.content(at.Off/BlockBytes), at.Off/BlockBytes)
			}
		}
	}
}

func (w *simWorld) geometry() parity.Geometry {
	g, err := parity.NewGeometry(w.layout, w.blocks*BlockBytes)
	if err != nil {
		panic(err)
	}
	return g
}

// checkParityPromotion is I13 for a set of parity: what k other legs give is what the leg that is added has, except in
// stripes of which a write is under way.
func (w *simWorld) checkParityPromotion(h *simHost, added *simLeg) {
	open := map[int64]bool{}
	for o := h.core.writes.head; o != nil; o = o.next {
		open[o.io.Off/w.layout.Chunk] = true
	}
	var legs []*simLeg
	for _, l := range w.legs {
		if l == added || w.raft.isr[l] && l.on && !l.lossy() {
			legs = append(legs, l)
		}
	}
	w.verify(fmt.Sprintf("leg %s is added", added.name), legs, open)
}

// checkStripes: with nothing under way every stripe is a code word.
func (w *simWorld) checkStripes() {
	var legs []*simLeg
	for _, l := range w.legs {
		if w.raft.isr[l] {
			legs = append(legs, l)
		}
	}
	w.verify("at the end", legs, nil)
}

// verify checks that what the first k slots of these legs give is what the others have.
func (w *simWorld) verify(when string, legs []*simLeg, but map[int64]bool) {
	geo := w.geometry()
	for b := range w.layout.LegBytes(w.blocks*BlockBytes) / BlockBytes {
		stripe := b / simChunkBlocks
		if but[stripe] {
			continue
		}
		all, there := make([][]byte, w.layout.Legs()), 0
		wanted := make([]bool, w.layout.Legs())
		for _, l := range legs {
			chunk := geo.Chunk(stripe, l.slot)
			switch {
			case all[chunk] != nil:
			case there < w.layout.Data:
				all[chunk] = simBytes([]uint64{l.content(b)})
				there++
			default:
				wanted[chunk] = true
			}
		}
		if there < w.layout.Data {
			return
		}
		if err := w.payloads.code.Reconstruct(all, wanted); err != nil {
			w.violation("%s: %v", when, err)
			return
		}
		for _, l := range legs {
			made := binary.LittleEndian.Uint64(all[geo.Chunk(stripe, l.slot)])
			if made != l.content(b) {
				w.violation("%s: block %d is %d on leg %s, and %d by the others", when, b, l.content(b), l.name, made)
				return
			}
		}
	}
}

// cachedDisk is one block of a disk with a write cache: what it holds, and what a loss of the cache may leave, eight
// bytes each.
type cachedDisk struct {
	now  uint64
	left string
}

func (d cachedDisk) with(v uint64, durable bool) cachedDisk {
	if durable {
		d.left = ""
	}
	return cachedDisk{now: v, left: string(binary.LittleEndian.AppendUint64([]byte(d.left), v))}
}

// step returns the states that explain an operation.
func (d cachedDisk) step(op simOp) []any {
	switch {
	case op.kind == simFlush && op.finished:
		return []any{cachedDisk{}.with(d.now, true)}
	case op.kind == simFlush:
		return []any{d}
	case op.kind == simLoss:
		var states []any
		for left := []byte(d.left); len(left) > 0; left = left[8:] {
			states = append(states, cachedDisk{}.with(binary.LittleEndian.Uint64(left), true))
		}
		return states
	case op.write && !op.finished: // it happened or it did not
		return []any{d, d.with(op.value, false)}
	case op.write:
		return []any{d.with(op.value, op.fua)}
	case d.now == op.value:
		return []any{d}
	}
	return nil
}

// checkParityHistory: each block is a disk with a write cache, over all epochs. What was acknowledged before a flush is
// never lost, and the rest only when Activate declared it (docs/safety/model.md).
func (w *simWorld) checkParityHistory() {
	end := w.now + 1
	byBlock := map[int64][]porcupine.Operation{}
	var all []porcupine.Operation
	for i, op := range w.ops {
		if !op.finished && !op.write {
			continue
		}
		ret := op.ret
		if !op.finished {
			if ret = end; op.until != 0 {
				ret = op.until
			}
		}
		p := porcupine.Operation{ClientId: i, Input: op, Call: int64(op.call), Return: int64(ret)}
		if op.block == simAllBlocks {
			all = append(all, p)
			continue
		}
		byBlock[op.block] = append(byBlock[op.block], p)
	}
	disk := porcupine.NondeterministicModel{
		Init:  func() []any { return []any{cachedDisk{}.with(0, true)} },
		Step:  func(state, input, _ any) []any { return state.(cachedDisk).step(input.(simOp)) },
		Equal: func(a, b any) bool { return a == b },
	}
	model := disk.ToModel()
	for b, ops := range byBlock {
		switch porcupine.CheckOperationsTimeout(model, append(ops, all...), 10*time.Second) {
		case porcupine.Illegal:
			w.violation("the history of block %d is not that of a disk with a write cache", b)
			return
		case porcupine.Unknown:
			w.failed = simExcused
		}
	}
}

// TestSimulation_parityIsDeterministic: the same seed gives the same run, or a failure could not be replayed.
func TestSimulation_parityIsDeterministic(t *testing.T) {
	for seed := uint64(1); seed < 4; seed++ {
		a, b := newSimSet(seed, volume.Parity(2, 1), 0, 0), newSimSet(seed, volume.Parity(2, 1), 0, 0)
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

// rotParity lets blocks of a leg rot that others make anew.
func (w *simWorld) rotParity(l *simLeg) {
	for n := w.rng.IntN(12); w.media && n > 0; n-- {
		b := w.rng.Int64N(w.layout.LegBytes(w.blocks*BlockBytes) / BlockBytes)
		if w.enough(w.giving(b), l) {
			l.rot(b)
		}
	}
}

// giving returns the legs in sync that can give a block.
func (w *simWorld) giving(b int64) map[*simLeg]bool {
	well := map[*simLeg]bool{}
	for l := range w.raft.isr {
		if !l.lossy() && !l.unreadable(b) {
			well[l] = true
		}
	}
	return well
}

// rescueParity makes blocks readable of which too many rotted, because legs left.
func (w *simWorld) rescueParity() {
	for b := range w.layout.LegBytes(w.blocks*BlockBytes) / BlockBytes {
		if !w.enough(w.giving(b), nil) {
			for l := range w.raft.isr {
				delete(l.journal.bad, b)
			}
		}
	}
}

// storm cuts the power of several legs, and of some again while a new host decides what was under way.
func (w *simWorld) storm(h *simHost) *simHost {
	strike := func(most int) {
		for range w.rng.IntN(most + 1) {
			w.legs[w.rng.IntN(len(w.legs))].powerCut()
			w.runUntil(w.now + time.Duration(w.rng.IntN(int(2*time.Millisecond))))
		}
	}
	strike(len(w.legs))
	w.delay(w.legs[w.rng.IntN(len(w.legs))])
	for range 1 + w.rng.IntN(2) {
		h.paused = h.stopped == nil
		w.after(time.Duration(w.rng.IntN(int(4*time.Second))), h.resume)
		h = w.newHost()
		for range 400 { // up to where the records are decided
			if h.stopped != nil || h.core.phase >= phaseMarking {
				break
			}
			w.runUntil(w.now + 2*time.Millisecond)
		}
		w.runUntil(w.now + time.Duration(w.rng.IntN(int(15*time.Millisecond))))
		strike(2)
	}
	return h
}
