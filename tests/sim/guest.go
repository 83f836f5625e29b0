package sim

import (
	"errors"
	"slices"
	"time"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/mirror"
)

// guest is the domU of one engine: it has several requests in flight, which may overlap, and knows
// what each of them was answered. It dies with its engine.
type guest struct {
	w       *world
	pending int
}

// guestRequest is one request of a guest.
type guestRequest struct {
	op     block.Op
	flags  block.Flags
	rng    block.Range
	value  uint32 // that a write puts into its sectors; zero for a zero
	data   *payload
	zeroes bool              // a write of zeroes
	refs   []opRef           // where its operations stand in the history
	flush  int               // which flush of the history it is
	covers map[int64]content // by a flush: what was answered before it, by block
	// records are those of writes that were answered before a flush of a set of parity.
	records []heldRecord
	call    time.Duration
	done    bool
}

func newGuest(w *world) *guest { return &guest{w: w} }

// work has the guest submit requests as long as its engine lives and faults go on: several at once, then
// none for a while.
func (g *guest) work(h *host) {
	g.w.after(g.w.pick(2*g.w.profile.think), func() {
		if h.over() || g.w.calm {
			return
		}
		if !h.paused {
			for n := 1 + g.w.rng.IntN(3); n > 0 && g.pending < 14; n-- {
				g.act(h)
			}
		}
		g.work(h)
	})
}

// act submits a random request.
func (g *guest) act(h *host) {
	w := g.w
	r := &guestRequest{call: w.now, rng: w.guestRange()}
	switch kind := w.rng.IntN(100); {
	case g.pending >= 8: // writes may be held for long; whether reads are served then is the question
		r.op = block.OpRead
	case kind < w.profile.flushes:
		r.op, r.rng = block.OpFlush, block.Range{}
	case kind < w.profile.flushes+w.profile.writes:
		r.op = block.OpWrite
		if w.chance(w.profile.zeroes) {
			r.op = block.OpZero
			r.rng = r.rng.AlignOut(blockBytes)
		}
		if w.chance(w.profile.fua) {
			r.flags = block.FUA
		}
	default:
		r.op = block.OpRead
	}
	g.submitPieces(h, r)
}

// submitPieces hands a request to the engine: for a set of parity in pieces, each a request of its own, as the engine's
// runner cuts them.
func (g *guest) submitPieces(h *host, r *guestRequest) {
	set := g.w.set
	if set == nil || r.op == block.OpFlush {
		g.submit(h, r)
		return
	}
	op := r.op
	if op == block.OpZero { // legs of parity are sent zeroes like anything else
		op = block.OpWrite
	}
	for rest := r.rng; !rest.Empty(); {
		p := set.piece(rest, op.Changes())
		rest = block.Range{Off: p.End(), Len: rest.Len - p.Len}
		g.submit(h, &guestRequest{op: op, flags: r.flags, rng: p, call: r.call, zeroes: r.op == block.OpZero})
	}
}

// guestRange is a range around one of the blocks that the guest likes best: whole blocks mostly,
// some sectors of one now and then.
func (w *world) guestRange() block.Range {
	size := w.raft.vol().SizeBytes
	b := w.profile.hot[w.rng.IntN(len(w.profile.hot))]
	if w.chance(6) {
		first := w.rng.Int64N(sectors)
		n := 1 + w.rng.Int64N(sectors)
		return block.Range{Off: b*blockBytes + first*sectorBytes,
			Len: n * sectorBytes}.Intersect(block.Range{Len: size})
	}
	if w.set != nil && w.chance(6) { // a whole stripe
		stripe := w.set.layout.StripeBytes()
		return block.Range{Off: b * blockBytes / stripe * stripe, Len: stripe}.Intersect(block.Range{Len: size})
	}
	n := int64(1)
	switch w.rng.IntN(8) {
	case 0, 1:
		n += w.rng.Int64N(4)
	case 2:
		n += w.rng.Int64N(40)
	}
	return block.Range{Off: b * blockBytes, Len: n * blockBytes}.Intersect(block.Range{Len: size})
}

// submit records a request in the history and hands it to the engine.
func (g *guest) submit(h *host, r *guestRequest) {
	ev := mirror.Event{Kind: mirror.EventGuest, Op: r.op, Flags: r.flags, Range: r.rng, Guest: r}
	whole := r.rng.AlignOut(blockBytes)
	switch r.op {
	case block.OpFlush:
		r.flush = g.w.history.flush(g.w.now)
		r.covers = g.w.watch.flushBegins(h)
		if g.w.set != nil && h.current() {
			r.records = g.w.watch.ackedRecords()
		}
	case block.OpWrite:
		if !r.zeroes {
			r.value = g.w.history.next()
		}
		length := whole.Len
		if set := g.w.set; set != nil && r.rng == set.geo.Stripe(set.geo.StripeAt(r.rng.Off)) {
			length = set.layout.StripeBytes() // with zeroes behind the end of the volume
		}
		r.data = &payload{rng: whole, blocks: make([]content, length/blockBytes)}
		for off := r.rng.Off; off < r.rng.End(); off += sectorBytes {
			r.data.blocks[(off-whole.Off)/blockBytes][off%blockBytes/sectorBytes] = r.value
		}
		ev.Data = r.data
	}
	for off := whole.Off; off < whole.End(); off += blockBytes {
		r.refs = append(r.refs, g.w.history.add(off/blockBytes, operation{
			write: r.op != block.OpRead, mask: maskOf(r.rng, off), value: r.value, call: g.w.now,
			epoch:   h.epoch,
			durable: r.op != block.OpRead && r.flags&block.FUA != 0}))
	}
	g.pending++
	h.step(&ev)
}

// maskOf says which sectors of the block at off a range covers.
func maskOf(r block.Range, off int64) uint8 {
	var m uint8
	for s := range int64(sectors) {
		if (block.Range{Off: off + s*sectorBytes, Len: sectorBytes}).Overlaps(r) {
			m |= 1 << s
		}
	}
	return m
}

// delivered takes what a read brought.
func (g *guest) delivered(h *host, r *guestRequest, p *payload, rng block.Range) {
	defer p.release(g.w)
	first := rng.Off/blockBytes - p.rng.Off/blockBytes
	if g.w.set != nil {
		first = 0 // where the payload came from is a place on a leg
	}
	for i, ref := range r.refs {
		op := g.w.history.at(ref)
		op.got = p.blocks[first+int64(i)]
		op.ret, op.done = g.w.now, true
	}
	g.end(h, r)
	g.w.watch.readDone(h, r)
}

// completed takes the answer to a write or flush, or an error.
func (g *guest) completed(h *host, r *guestRequest, err error) {
	g.end(h, r)
	if err != nil {
		g.failed(r)
		if !errors.Is(err, block.ErrClosed) && !g.excused(h, r, err) {
			g.w.fail("guest error", "%s: %s of %v was answered with %v", h.name, r.op, r.rng, err)
		}
		return
	}
	for _, ref := range r.refs {
		op := g.w.history.at(ref)
		op.ret, op.done = g.w.now, true
	}
	if r.op == block.OpFlush {
		g.w.history.flushes[r.flush].ret, g.w.history.flushes[r.flush].done = g.w.now, true
		g.w.watch.flushDone(h, r)
		return
	}
	g.w.watch.writeDone(h, r)
}

// failed notes that nobody knows what a change that failed left: it may be flushed before reconcile undoes it.
func (g *guest) failed(r *guestRequest) {
	for _, ref := range r.refs {
		if g.w.history.at(ref).write {
			g.w.undecided[ref.block] = true
		}
	}
}

// excused reports whether disks gave a reason for an error: one failed or was full while the request was
// under way, or no leg in sync has a whole copy of a block. A superseded engine knows of other legs in sync
// than there are now.
func (g *guest) excused(h *host, r *guestRequest, err error) bool {
	w := g.w
	if !errors.Is(err, block.ErrNoSpace) && !errors.Is(err, block.ErrMedium) {
		return false
	}
	return w.diskErrorAt >= r.call || !h.current() ||
		slices.ContainsFunc(r.refs, func(ref opRef) bool { return w.noGood(ref.block, r.call) })
}

func (g *guest) end(h *host, r *guestRequest) {
	if r.done {
		g.w.fail("answered once", "%s: %s of %v was answered twice", h.name, r.op, r.rng)
	}
	r.done = true
	g.pending--
}
