package sim

import (
	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/mirror"
)

// Scrubs of a set of parity: rows that are no code word. Only a disk that lost something without a trace makes such a
// row, and nobody can know which of its legs is wrong; a scrub has to report every one, and change none.

// divergedInSet holds a stripe that a scrub reports to having a row that a disk lost something of.
func (o *observer) divergedInSet(h *host, d block.Range) {
	set := o.w.set
	for at := d.Off; at < d.End(); {
		stripe := set.geo.StripeAt(at)
		lost := false
		first := stripe * set.layout.Chunk / blockBytes
		for row := first; row < first+set.layout.Chunk/blockBytes; row++ {
			lost = lost || set.lost[row]
		}
		o.hold(lost, "scrub", "%s finds that stripe %d does not fit together, and no disk lost anything of it", h.name,
			stripe)
		at = set.geo.Stripe(stripe).End()
	}
}

// tornRow is a row that is no code word, with what its legs had.
type tornRow struct {
	row   int64
	legs  []*storedLeg
	data  []content
	whole bool // every leg could read it
}

// tornRows returns the rows that are no code word.
func (w *world) tornRows() []tornRow {
	if w.set == nil {
		return nil
	}
	var list []tornRow
	legs := w.watch.fitInSync()
	for row := range w.set.legBlocks() {
		if w.watch.isCodeWord(row, legs) {
			continue
		}
		w.watch.hold(w.set.lost[row], "scrub", "row %d is no code word, and no disk lost anything of it: %s", row,
			w.watch.rowText(row, legs))
		t := tornRow{row: row, legs: legs, whole: true}
		for _, l := range legs {
			c, bad := l.holds(row)
			t.data, t.whole = append(t.data, c), t.whole && !bad
		}
		list = append(list, t)
	}
	return list
}

// judgeScrubOfSet holds a scrub to its word: it reports each row that is no code word and that every leg could read,
// and leaves it as it was. Where a leg could not read a row it was made from others, so that it may fit by now.
func (w *world) judgeScrubOfSet(r *mirror.ScrubReport, torn []tornRow) {
	whole := int64(0)
	for _, t := range torn {
		if !t.whole {
			continue
		}
		whole++
		for i, l := range t.legs {
			c, bad := l.holds(t.row)
			w.watch.hold(!bad && c == t.data[i], "scrub",
				"row %d is no code word and nobody knows which leg is wrong: it was changed on %s", t.row, l.n.name)
		}
	}
	w.watch.hold(w.set == nil || whole <= r.DivergedN && r.DivergedN <= int64(len(torn)), "scrub",
		"%d rows are no code word, %d of them whole, and the scrub counts %d", len(torn), whole, r.DivergedN)
}

// overwriteTorn has the guest write the stripes anew that have a row which is no code word: nothing else mends them.
func (w *world) overwriteTorn(h *host) {
	stripe := int64(-1)
	for _, t := range w.tornRows() {
		if s := w.set.stripeOf(t.row); s != stripe {
			stripe = s
			h.guest.submitPieces(h, &guestRequest{op: block.OpWrite, call: w.now, rng: w.set.geo.Stripe(s)})
		}
	}
}
