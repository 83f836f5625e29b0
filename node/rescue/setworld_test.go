package rescue_test

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/leg"
	"github.com/holdfast-storage/holdfast/parity"
	"github.com/holdfast-storage/holdfast/volume"
)

// Layouts of the tests: chunks of few blocks, so that a region has many stripes, and the last one is not whole.
func twoAndOne() volume.Layout   { return chunked(volume.Parity(2, 1), 8192) }
func threeAndTwo() volume.Layout { return chunked(volume.Parity(3, 2), 16384) }

func chunked(l volume.Layout, bytes int64) volume.Layout {
	l.Chunk = bytes
	return l
}

// setWorld is the disks of a cluster with a volume of parity.
type setWorld struct {
	*world
	layout volume.Layout
	geo    parity.Geometry
	code   *parity.Code
	random *rand.ChaCha8

	digested bool // an export has been seen to change nothing
}

// newSetWorld makes the legs of a set, attaches them once, writes ranges of all kinds and detaches in order.
func newSetWorld(t *testing.T, layout volume.Layout) *setWorld {
	t.Helper()
	w := &setWorld{world: provision(t, layout), layout: layout, random: rand.NewChaCha8([32]byte{byte(layout.Data)})}
	var err error
	w.geo, err = parity.NewGeometry(layout, testSize)
	require.NoError(t, err)
	w.code, err = parity.NewCode(layout)
	require.NoError(t, err)
	g := w.attachSet(1, w.all()...)
	for _, off := range []int64{0, 8192, 1<<20 - 4096, 1 << 20, 3<<20 + 4096, testSize - 4096} {
		g.write(off, w.bytes(1))
	}
	g.write(1<<20-8192, w.bytes(16)) // of two regions
	g.write(2*layout.StripeBytes(), w.bytes(3*int(layout.StripeBytes()/volume.BlockBytes)))
	g.write(testSize-testSize%layout.StripeBytes(), w.bytes(int(testSize%layout.StripeBytes())/volume.BlockBytes))
	g.round()
	g.detach()
	return w
}

func (w *setWorld) all() []byte {
	var all []byte
	for n := range byte(w.layout.Legs()) {
		all = append(all, n)
	}
	return all
}

// without returns the directories of all legs but these.
func (w *setWorld) without(legs ...byte) []string {
	var dirs []string
	for _, n := range w.all() {
		if !contains(legs, n) {
			dirs = append(dirs, w.dirs[n])
		}
	}
	return dirs
}

func contains(list []byte, n byte) bool {
	for _, o := range list {
		if o == n {
			return true
		}
	}
	return false
}

// bytes returns so many random blocks.
func (w *setWorld) bytes(blocks int) []byte {
	p := make([]byte, blocks*volume.BlockBytes)
	_, _ = w.random.Read(p)
	return p
}

// setGuest is an attachment of an engine: it does with the legs what docs/safety/journal.md says.
type setGuest struct {
	*guest
	w      *setWorld
	epoch  volume.Epoch
	legs   []byte // by session
	number uint64
}

func (w *setWorld) attachSet(epoch volume.Epoch, legs ...byte) *setGuest {
	w.t.Helper()
	return &setGuest{guest: w.attach(epoch, legs...), w: w, epoch: epoch, legs: legs}
}

// write is a write that the guest was answered: it is staged on all legs that it is for.
func (g *setGuest) write(off int64, p []byte) {
	g.w.t.Helper()
	g.writeOn(off, p, g.legs...)
	copy(g.w.want[off:], p)
}

// writeOn is a write that reached these legs only. What the guest reads back is as before.
func (g *setGuest) writeOn(off int64, p []byte, on ...byte) {
	g.w.t.Helper()
	g.writeOver(g.w.want, off, p, on...)
}

// writeOver is writeOn with what the engine believes that the volume holds.
func (g *setGuest) writeOver(before []byte, off int64, p []byte, on ...byte) {
	for _, part := range g.w.geo.Parts(nil, block.Range{Off: off, Len: int64(len(p))}) {
		piece := p[part.Range.Off-off:][:part.Range.Len]
		if part.Full {
			g.stageFull(part.Stripe, piece, on)
			continue
		}
		for _, in := range g.w.geo.Pieces(nil, part.Range) {
			g.stageChunk(in, before[in.Range.Off:][:in.Range.Len], p[in.Range.Off-off:][:in.Range.Len], on)
		}
	}
}

// stageFull stages the write of a whole stripe.
func (g *setGuest) stageFull(stripe int64, p []byte, on []byte) {
	l := g.w.layout
	chunks := make([][]byte, l.Legs())
	for i := range chunks {
		chunks[i] = make([]byte, l.Chunk)
		if from := int64(i) * l.Chunk; i < l.Data && from < int64(len(p)) {
			copy(chunks[i], p[from:])
		}
	}
	require.NoError(g.w.t, g.w.code.Encode(chunks))
	g.number++
	for i, chunk := range chunks {
		g.stage(byte(g.w.geo.Slot(stripe, i)), volume.RecordImage, g.w.geo.OnLeg(stripe), chunk, g.legs, on)
	}
}

// stageChunk stages an update within a chunk: its new bytes, and what they add to the parity.
func (g *setGuest) stageChunk(in parity.Piece, before, after, on []byte) {
	l := g.w.layout
	change := make([]byte, len(after))
	parity.Change(change, before, after)
	deltas := make([][]byte, l.Extra)
	for i := range deltas {
		deltas[i] = make([]byte, len(after))
	}
	require.NoError(g.w.t, g.w.code.AddChange(in.Chunk, change, deltas))
	q := []byte{byte(in.Slot)}
	for j := range deltas {
		q = append(q, byte(g.w.geo.Slot(in.Stripe, l.Data+j)))
	}
	g.number++
	g.stage(byte(in.Slot), volume.RecordImage, in.OnLeg(), after, q, on)
	for j, delta := range deltas {
		g.stage(byte(g.w.geo.Slot(in.Stripe, l.Data+j)), volume.RecordDelta, in.OnLeg(), delta, q, on)
	}
}

// stage sends a leg its record of the last transaction, if it is attached and one of those that it reaches.
func (g *setGuest) stage(leg byte, kind volume.RecordKind, at block.Range, payload []byte, q, on []byte) {
	g.w.t.Helper()
	if !contains(on, leg) || !contains(g.legs, leg) {
		return
	}
	r := volume.Record{Transaction: volume.Transaction{Epoch: g.epoch, Number: g.number}, Kind: kind,
		FirstBlock: at.Off / volume.BlockBytes, Blocks: at.Len / volume.BlockBytes}
	for _, n := range q {
		if contains(g.legs, n) {
			r.Legs = append(r.Legs, legID(n))
		}
	}
	require.NoError(g.w.t, g.session(leg).Stage(g.w.t.Context(), r, payload))
}

// commit commits everything on some legs; free forgets it there.
func (g *setGuest) commit(legs ...byte) {
	g.w.t.Helper()
	for _, n := range legs {
		require.NoError(g.w.t, g.session(n).Commit(g.w.t.Context(), g.last()))
	}
}

func (g *setGuest) free(legs ...byte) {
	g.w.t.Helper()
	for _, n := range legs {
		require.NoError(g.w.t, g.session(n).Free(g.w.t.Context(), g.last()))
	}
}

func (g *setGuest) last() volume.Transaction {
	return volume.Transaction{Epoch: g.epoch, Number: g.number}
}

// round takes everything home and forgets it.
func (g *setGuest) round() {
	g.w.t.Helper()
	for _, s := range g.sessions {
		require.NoError(g.w.t, s.Flush(g.w.t.Context()))
	}
	g.commit(g.legs...)
	g.free(g.legs...)
}

func (g *setGuest) session(n byte) *leg.Session {
	for i, leg := range g.legs {
		if leg == n {
			return g.sessions[i]
		}
	}
	g.w.t.Fatalf("leg %d is not attached", n)
	return nil
}
