package sim

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/holdfast-storage/holdfast/leg/journal"
	"github.com/holdfast-storage/holdfast/mirror"
	"github.com/holdfast-storage/holdfast/volume"
)

// What the observer looks at where the volume is a set of parity. The promises are those of a mirror; "the same on all
// legs" becomes "every row is a code word": what any k legs give is what the others hold.

// slotOf returns the slot of a leg by its label.
func (l *storedLeg) slotOf() int { return l.durable.label.Slot }

// fitInSync returns the legs in sync that nothing excuses.
func (o *observer) fitInSync() []*storedLeg {
	var list []*storedLeg
	for _, id := range o.w.raft.vol().InSync {
		if l := o.fit(id); l != nil {
			list = append(list, l)
		}
	}
	return list
}

// quietRow reports whether the current engine serves and has no write of a row under way, or one that it failed: then
// the row is a code word. One that a disk lost something of without a trace never is.
func (o *observer) quietRow(row int64) bool {
	w := o.w
	if w.set.lost[row] {
		return false
	}
	h, v := w.newest(), w.raft.vol()
	if h.epoch != v.Epoch || v.Phase != volume.PhaseAttached || !h.serving {
		return false
	}
	for _, b := range w.set.blocksOf(row) {
		for _, op := range slices.Backward(w.history.blocks[b]) {
			if op.write && !op.done && op.epoch == h.epoch {
				return false
			}
		}
	}
	return true
}

// rowOf returns the chunks of a row as these legs have them, nil for one that no leg can give.
func (o *observer) rowOf(row int64, legs []*storedLeg) (chunks [][]byte, have int, same bool) {
	set := o.w.set
	chunks, same = make([][]byte, set.layout.Legs()), true
	for _, l := range legs {
		c, bad := l.holds(row)
		if bad {
			continue
		}
		n := set.chunkOf(row, l.slotOf())
		p := bytesOf([]content{c})
		if chunks[n] != nil {
			same = same && bytes.Equal(chunks[n], p)
			continue
		}
		chunks[n] = p
		have++
	}
	return chunks, have, same
}

// codeWord holds a row to being a code word on these legs.
func (o *observer) codeWord(rule, when string, row int64, legs []*storedLeg) {
	if !o.isCodeWord(row, legs) {
		o.hold(false, rule, "%s: row %d is no code word: %s", when, row, o.rowText(row, legs))
		return
	}
	o.checks++
}

// isCodeWord reports whether what these legs have of a row fits together.
func (o *observer) isCodeWord(row int64, legs []*storedLeg) bool {
	set := o.w.set
	chunks, have, same := o.rowOf(row, legs)
	if have > set.layout.Data {
		made, wanted, left := make([][]byte, len(chunks)), make([]bool, len(chunks)), set.layout.Data
		for n, p := range chunks {
			if p != nil && left > 0 {
				made[n] = slices.Clone(p)
				left--
				continue
			}
			wanted[n] = p != nil
		}
		if err := set.code.Reconstruct(made, wanted); err != nil {
			o.w.fail("setup", "decode: %v", err)
			return true
		}
		for n, p := range chunks {
			same = same && (p == nil || bytes.Equal(p, made[n]))
		}
	}
	return same
}

func (o *observer) rowText(row int64, legs []*storedLeg) string {
	text := ""
	for _, l := range legs {
		c, bad := l.holds(row)
		text += l.n.name + " "
		if bad {
			text += "bad "
		}
		text += fmt.Sprintf("%v; ", c)
	}
	return text
}

// agreedInSet is I15: what is read is what its leg has, and the row a code word.
func (o *observer) agreedInSet(b int64, op *operation) {
	slot, row := o.w.set.place(b)
	legs := o.fitInSync()
	for _, l := range legs {
		c, bad := l.holds(row)
		if l.slotOf() != slot || bad || o.w.set.lost[row] {
			continue
		}
		for s, value := range op.got {
			if op.mask&(1<<s) != 0 && !o.held(c[s] == value) {
				o.w.fail("I15", "block %d sector %d is read as %d, leg %s in sync has %d",
					b, s, value, l.id.Short(), c[s])
			}
		}
	}
	if o.quietRow(row) {
		o.codeWord("I15", "a read is answered", row, legs)
	}
}

// storedInSet is I8: the leg of the block has it, what parity has follows from that, and where that was promised no
// leg can lose it.
func (o *observer) storedInSet(r *guestRequest, b int64, op *operation, durable, fua bool) {
	slot, row := o.w.set.place(b)
	legs := o.fitInSync()
	for _, l := range legs {
		c, bad := l.holds(row)
		if l.slotOf() != slot || bad || fua || o.w.set.lost[row] {
			continue // with FUA its range was given back when it was staged, and it may be overwritten by now
		}
		for s := range sectors {
			if op.mask&(1<<s) != 0 && !o.held(c[s] == op.value) {
				o.w.fail("I8", "write %d of block %d was answered, leg %s in sync has %d",
					op.value, b, l.id.Short(), c[s])
			}
		}
	}
	if durable {
		o.kept("I8", "a write is durable", o.recordsOf(r, legs))
	}
	if o.quietRow(row) {
		o.codeWord("I8", "a write is answered", row, legs)
	}
}

// heldRecord is a record in a leg's journal.
type heldRecord struct {
	l *storedLeg
	e *fileEntry
}

// recordsOf returns the records of a guest's write on these legs.
func (o *observer) recordsOf(r *guestRequest, legs []*storedLeg) []heldRecord {
	var list []heldRecord
	for _, l := range legs {
		for _, e := range l.journal.file.entries {
			if e.Kind == journal.KindRecord && r.data != nil && r.data.transactions[e.Record.Transaction] {
				list = append(list, heldRecord{l, e})
			}
		}
	}
	return list
}

// kept holds legs to records that they must not lose.
func (o *observer) kept(rule, when string, list []heldRecord) {
	for _, x := range list {
		in := o.fit(x.l.id) == x.l && o.w.raft.inSync(x.l.id) && slices.Contains(x.l.journal.file.entries, x.e)
		o.hold(!in || x.e.durable || x.e.Place < x.l.journal.now().Head().Start, rule,
			"%s, and leg %s may lose record %s of it", when, x.l.id.Short(), x.e.Record.Transaction)
	}
}

// ackedRecords returns the records of writes that were answered, of legs that may lose them: what a flush covers.
func (o *observer) ackedRecords() []heldRecord {
	var list []heldRecord
	for _, l := range o.fitInSync() {
		for _, e := range l.journal.file.entries {
			if e.Kind == journal.KindRecord && !e.durable && o.quietRecord(e) {
				list = append(list, heldRecord{l, e})
			}
		}
	}
	return list
}

func (o *observer) quietRecord(e *fileEntry) bool {
	for row := e.Record.FirstBlock; row < e.Record.FirstBlock+e.Record.Blocks; row++ {
		if !o.quietRow(row) {
			return false
		}
	}
	return true
}

// entryOf returns a leg's record of a transaction.
func (l *storedLeg) entryOf(t volume.Transaction) *fileEntry {
	for _, e := range l.journal.file.entries {
		if e.Kind == journal.KindRecord && e.Record.Transaction == t && !e.torn {
			return e
		}
	}
	return nil
}

// done reports whether a leg needs its record of a transaction no more: it freed it, or it joined since. A disk that
// lied may have lost that; what it lost of rows beside that is told by the row.
func (l *storedLeg) done(t volume.Transaction) bool {
	h, j := l.journal.now().Head(), l.journal
	for _, upTo := range []volume.Transaction{h.Freed, h.Floor, j.freed, j.forgot} {
		if t.Compare(upTo) <= 0 {
			return true
		}
	}
	return false
}

// commits is rule 3 of parity.md: what a leg commits is durable on every leg of Q that is in sync.
func (o *observer) commits(l *storedLeg, upTo volume.Transaction) {
	o.askOthers(l, upTo, func(other *storedLeg, t volume.Transaction) {
		e := other.entryOf(t)
		o.hold(e != nil && e.durable, "watermark", "leg %s commits %s, and leg %s in sync may lose it or has lost it",
			l.id.Short(), t, other.id.Short())
	}, false)
}

// forgets is rule 5: what a leg frees is committed durably on every leg of Q that is in sync, and durable at home here.
func (o *observer) forgets(l *storedLeg, h journal.Head) {
	if h.Freed.Compare(l.journal.core.Head().Freed) <= 0 {
		return
	}
	o.askOthers(l, h.Freed, func(other *storedLeg, t volume.Transaction) {
		o.hold(other.committed(t), "watermark", "leg %s frees %s, which leg %s in sync may not have committed",
			l.id.Short(), t, other.id.Short())
	}, true)
	list, _, _ := l.journal.core.Records(0, 1<<30)
	left := map[int64]bool{}
	for _, r := range list {
		if r.Transaction.Compare(h.Freed) > 0 {
			for b := range r.Blocks {
				left[r.FirstBlock+b] = true
			}
		}
	}
	for _, r := range list {
		for b := r.FirstBlock; b < r.FirstBlock+r.Blocks; b++ {
			if r.Transaction.Compare(h.Freed) <= 0 && !left[b] && !l.disk.lying {
				o.hold(!l.disk.mayLose(b, 0xff), "watermark", "leg %s frees %s, and may lose block %d at home",
					l.id.Short(), r.Transaction, b)
			}
		}
	}
}

// askOthers visits the legs in sync that have to know of what a leg commits or frees.
func (o *observer) askOthers(l *storedLeg, upTo volume.Transaction, ask func(*storedLeg, volume.Transaction),
	committed bool) {
	if o.w.restored || o.fit(l.id) == nil {
		return
	}
	list, _, _ := l.journal.core.Records(0, 1<<30)
	for _, r := range list {
		if r.Committed != committed || r.Transaction.Compare(upTo) > 0 || o.w.set.lost[r.FirstBlock] {
			continue
		}
		for _, other := range o.fitInSync() {
			if other != l && slices.Contains(r.Legs, other.id) && !other.done(r.Transaction) {
				ask(other, r.Transaction)
			}
		}
	}
}

// goesHome is rule 4: a commit is durable before home is written, since a delta that is added twice is not what it was;
// and a head that says so is, since else a commit that rots would look like one that never was.
func (o *observer) goesHome(l *storedLeg, u *homeward) {
	if u.upTo == (volume.Transaction{}) {
		return // a start found it
	}
	e := l.journal.file.at(u.sealed)
	o.hold(e != nil && e.durable, "watermark", "leg %s writes home what it commits up to %s, and may lose that",
		l.id.Short(), u.upTo)
	o.hold(e != nil && l.journal.file.proves() >= e.End(), "evidence",
		"leg %s writes home what it commits up to %s, and no durable head says that the commit is durable",
		l.id.Short(), u.upTo)
}

// committed reports whether a leg has committed a transaction, durably.
func (l *storedLeg) committed(t volume.Transaction) bool {
	rec := l.entryOf(t)
	return rec != nil && slices.ContainsFunc(l.journal.file.entries, func(e *fileEntry) bool {
		return e.Kind == journal.KindCommit && e.durable && e.Place > rec.Place && t.Compare(e.UpTo) <= 0
	})
}

// serves looks at a set that begins to serve an epoch: every row is a code word, all that older epochs left is
// decided, and durably so (rule 9).
func (o *observer) serves(h *host) {
	w := o.w
	v := w.raft.vol()
	if w.set == nil || v.Epoch != h.epoch || v.Phase != volume.PhaseAttached {
		return
	}
	legs := o.fitInSync()
	for _, row := range w.set.rowsOf(w.history.touched()) {
		if w.set.lost[row] {
			continue
		}
		o.codeWord("rule 9", "epoch "+h.epoch.String()+" is served", row, legs)
	}
	for _, l := range legs {
		list, _, _ := l.journal.now().Records(0, 1<<30)
		for _, r := range list {
			o.hold(r.Committed || r.Transaction.Epoch == h.epoch, "rule 9",
				"epoch %s is served, leg %s has not decided %s", h.epoch, l.id.Short(), r.Transaction)
		}
		for _, e := range l.journal.file.entries {
			old := e.Kind == journal.KindRollback || e.Kind == journal.KindCommit ||
				e.Kind == journal.KindRecord && e.Record.Transaction.Epoch < h.epoch
			o.hold(e.durable || !old || e.torn || e.Place >= l.journal.now().WholeTo(), "rule 9",
				"epoch %s is served, and leg %s may lose what it was told of older ones", h.epoch, l.id.Short())
		}
	}
}

// stampedInSet is I11: a leg that left without a record of this write finds out what it missed, because every leg that
// has one had the configuration without that leg before.
func (o *observer) stampedInSet(h *host, r *guestRequest, b int64, op *operation) {
	slot, row := o.w.set.place(b)
	for id, cfg := range o.removedAt {
		gone := o.w.legOf(id)
		if gone == nil || slices.Contains(o.w.raft.vol().InSync, id) || r.data.storedBy[id] {
			continue
		}
		if gone.slotOf() != slot && !o.w.set.geo.IsParity(o.w.set.chunkOf(row, gone.slotOf())) {
			continue
		}
		for _, s := range h.slots {
			if s == nil || s.id == id || s.state < mirror.LegSettling || s.state == mirror.LegRemoved {
				continue
			}
			if l := o.fit(s.id); l != nil && r.data.storedBy[s.id] {
				o.hold(l.durable.label.Config.CfgVer >= cfg, "I11",
					"write %d of block %d is answered without leg %s, leg %s has configuration %s and not %s",
					op.value, b, id.Short(), s.id.Short(), l.durable.label.Config.CfgVer, cfg)
			}
		}
	}
}

// journalDone looks at what a leg says that it has done.
func (o *observer) journalDone(l *storedLeg, c *mirror.Command) {
	if c.Kind == mirror.CommandDrop {
		o.dropped(l, c.UpTo)
	}
}

// dropped: the floor of a DROP is durable when that is answered.
func (o *observer) dropped(l *storedLeg, floor volume.Transaction) {
	j := l.journal
	o.hold(j.file.head.Floor.Compare(floor) >= 0 && j.file.older == nil, "floor",
		"leg %s dropped its records up to %s, and may forget that", l.id.Short(), floor)
	if floor.Compare(j.floor) > 0 {
		j.floor = floor
	}
}

// promotedInSet is I13: the leg that is added makes no row less of a code word, has what a flush covers, and was not
// made of what others may lose.
func (o *observer) promotedInSet(l *storedLeg) {
	w := o.w
	legs := append(o.fitInSync(), l)
	slices.SortStableFunc(legs, func(a, b *storedLeg) int { return a.slotOf() - b.slotOf() })
	legs = slices.Compact(legs)
	var covered []int64
	for _, b := range w.history.touched() {
		if _, ok := o.flushed[b]; ok && !w.undecided[b] {
			covered = append(covered, b)
		}
	}
	for _, row := range w.set.rowsOf(w.history.touched()) {
		if o.quietRow(row) {
			o.codeWord("I13", "leg "+l.id.Short()+" is added", row, legs)
		}
	}
	for _, row := range w.set.rowsOf(covered) {
		touched := l.journal.now().Touches(row, 1)
		o.hold(touched || !o.quietRow(row) || l.disk.lying || !l.disk.mayLose(row, 0xff), "I13",
			"leg %s is added and may lose row %d, which a flush covers", l.id.Short(), row)
	}
	for _, other := range legs {
		for _, e := range other.journal.file.entries {
			if e.Kind != journal.KindRecord || e.durable || other == l || slices.Contains(e.Record.Legs, l.id) {
				continue
			}
			o.hold(!o.madeOf(l, other, e), "I13",
				"leg %s is added, and leg %s may lose record %s, which it was made of",
				l.id.Short(), other.id.Short(), e.Record.Transaction)
		}
	}
}

// madeOf reports whether what a leg was given follows from a record that another one has. From a repair nothing
// follows: it follows itself from what the others have.
func (o *observer) madeOf(l, other *storedLeg, e *fileEntry) bool {
	set := o.w.set
	if set.repairs[e.Record.Transaction] {
		return false
	}
	row := e.Record.FirstBlock
	mine, its := set.chunkOf(row, l.slotOf()), set.chunkOf(row, other.slotOf())
	list, _, _ := other.journal.now().Records(0, 1<<30)
	counts := slices.ContainsFunc(list, func(r volume.Record) bool { return r.Transaction == e.Record.Transaction })
	return counts && (set.geo.IsParity(mine) || mine == its)
}

// lacksInSet is I17 for a leg that is away: what it lacks shows by versions or marks.
func (o *observer) lacksInSet(absent *storedLeg, since volume.CfgVer) {
	w := o.w
	legs := o.fitInSync()
	for _, row := range w.set.rowsOf(w.history.touched()) {
		if !o.quietRow(row) || absent.disk.bad(row) || o.told(row, absent, legs, since) {
			continue
		}
		chunks, have, _ := o.rowOf(row, legs)
		n := w.set.chunkOf(row, absent.slotOf())
		if have < w.set.layout.Data {
			continue
		}
		if chunks[n] == nil {
			wanted := make([]bool, len(chunks))
			wanted[n] = true
			if err := w.set.code.Reconstruct(chunks, wanted); err != nil {
				w.fail("setup", "decode: %v", err)
				return
			}
		}
		want := blocksFrom(chunks[n])[0]
		o.hold(want == absent.disk.cells[row].data, "I17",
			"row %d is %v on leg %s, which left after %s, and by the others %v; nothing tells that", row,
			absent.disk.cells[row].data, absent.id.Short(), since, want)
	}
}

func (o *observer) told(row int64, absent *storedLeg, legs []*storedLeg, since volume.CfgVer) bool {
	r := regionOf(row)
	return absent.durable.regions.Marked(r) || slices.ContainsFunc(legs, func(l *storedLeg) bool {
		return l.durable.regions.Version(r) > since || l.durable.regions.Marked(r)
	})
}

// clearedInSet is I16: what a leg no longer marks is freed, and safe on it and on every other leg.
func (o *observer) clearedInSet(l *storedLeg, region uint32) {
	w := o.w
	legs := o.fitInSync()
	for _, row := range w.set.rowsOf(w.history.touched()) {
		if regionOf(row) != region {
			continue
		}
		if !o.held(!l.journal.now().Touches(row, 1)) {
			o.w.fail("I16", "leg %s clears the mark of row %d, and has a record of it", l.id.Short(), row)
		}
		if !o.quietRow(row) {
			continue
		}
		o.codeWord("I16", "leg "+l.id.Short()+" clears a mark", row, legs)
		for _, other := range legs {
			newer := other.journal.now().Touches(row, 1) // a write that came since has marks of its own
			if !o.held(newer || other.disk.lying || !other.disk.mayLose(row, 0xff)) {
				o.w.fail("I16", "leg %s clears the mark of row %d, and leg %s may lose it",
					l.id.Short(), row, other.id.Short())
			}
		}
	}
}

// compareSet checks that every row is a code word on all legs in sync, and whole.
func (w *world) compareSet() {
	legs := w.watch.fitInSync()
	for row := range w.set.legBlocks() {
		w.watch.codeWord("compare", "at the end", row, legs)
		for _, l := range legs {
			_, bad := l.holds(row)
			w.watch.hold(!bad, "compare", "row %d on %s is not what was written", row, l.n.name)
		}
		if w.violation != nil {
			return
		}
	}
}
