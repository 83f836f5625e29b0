package sim

import (
	"maps"
	"slices"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/mirror"
	"github.com/holdfast-storage/holdfast/volume"
)

// readDone looks at each read that a guest was given: I15, I27, I29.
func (o *observer) readDone(h *host, r *guestRequest) {
	w := o.w
	at, began := o.active[h.epoch]
	if !o.held(began && at <= w.now) {
		o.w.fail("B.4", "%s serves a read before Activate of epoch %s", h.name, h.epoch)
	}
	v := w.raft.vol()
	if next, active := o.active[v.Epoch]; v.Epoch != h.epoch && active {
		if !o.held(r.call < next) {
			o.w.fail("I29", "%s reads in epoch %s after epoch %s became active", h.name, h.epoch, v.Epoch)
		}
	}
	for _, ref := range r.refs {
		op := w.history.at(ref)
		for _, value := range op.got {
			if !o.held(value <= w.history.values || w.rotten[ref.block]) {
				o.w.fail("I27", "block %d: what was read was never written", ref.block)
			}
		}
		if v.Epoch == h.epoch && v.Phase == volume.PhaseAttached {
			o.agreed(ref.block, op)
		}
	}
}

// agreed is I15: what is read is what every leg in sync has.
func (o *observer) agreed(b int64, op *operation) {
	if o.w.set != nil {
		o.agreedInSet(b, op)
		return
	}
	for _, id := range o.w.raft.vol().InSync {
		l := o.fit(id)
		if l == nil || l.disk.bad(b) || o.w.lied[b] {
			continue
		}
		for s, value := range op.got {
			if op.mask&(1<<s) != 0 && !o.held(l.disk.cells[b].data[s] == value) {
				o.w.fail("I15", "block %d sector %d is read as %d, leg %s in sync has %d",
					b, s, value, id.Short(), l.disk.cells[b].data[s])
			}
		}
	}
}

// adopted looks at each block that counts as written from now on whatever it holds: no leg in sync may
// have a good one that its disk gives. What had rotted in a marked region cannot be told from what a power
// cut tore, so such a block is lost with the last good copy of it, and is excused from then on.
func (o *observer) adopted(t *task, b int64) {
	l := t.l
	for _, id := range o.w.raft.vol().InSync {
		other := o.fit(id)
		given := other != nil && other != l && !other.disk.bad(b) && other.unread[b] != t.s.h.epoch
		o.hold(!given, "ADOPT",
			"leg %s adopts block %d, of which leg %s has a good copy",
			l.id.Short(), b, id.Short())
	}
	if l.disk.rotten[b] {
		o.w.rotten[b] = true
	}
}

// writeDone looks at each write that a guest was told is done: I8 and I11.
func (o *observer) writeDone(h *host, r *guestRequest) {
	w := o.w
	_, began := o.active[h.epoch]
	o.hold(began, "B.4", "%s answers a write before Activate of epoch %s", h.name, h.epoch)
	if !h.current() || w.raft.vol().Phase != volume.PhaseAttached {
		return // legal only if the legs that go on have it, which the history shows
	}
	if o.ackedIn != h.epoch {
		clear(o.acked)
		o.ackedIn = h.epoch
	}
	durable := r.flags&block.FUA != 0 || w.profile.durability == volume.DurabilitySync
	for _, ref := range r.refs {
		op := w.history.at(ref)
		have := o.acked[ref.block]
		for s := range sectors {
			if op.mask&(1<<s) != 0 {
				have[s] = op.value
			}
		}
		o.acked[ref.block] = have
		if w.set != nil {
			o.storedInSet(r, ref.block, op, durable, r.flags&block.FUA != 0)
			o.stampedInSet(h, r, ref.block, op)
			continue
		}
		o.stored(ref.block, op, durable)
		o.stamped(h, ref.block, op)
	}
}

// stored is I8: every leg in sync has it, durably where that was promised.
func (o *observer) stored(b int64, op *operation, durable bool) {
	for _, id := range o.w.raft.vol().InSync {
		l := o.fit(id)
		if l == nil || l.disk.bad(b) || o.w.lied[b] {
			continue
		}
		c := &l.disk.cells[b]
		for s := range sectors {
			if op.mask&(1<<s) != 0 && !o.held(c.data[s] == op.value) {
				o.w.fail("I8", "write %d of block %d was answered, leg %s in sync has %d",
					op.value, b, id.Short(), c.data[s])
			}
		}
		if durable && !l.disk.lying && !o.held(!l.disk.mayLose(b, op.mask)) {
			o.w.fail("I8", "write %d of block %d is durable, and leg %s may lose it", op.value, b, id.Short())
		}
	}
}

// confirmed notes that an engine heard that a leg has stored something.
func (o *observer) confirmed(h *host, r *request) {
	l, s := r.s.n.leg, h.slots[r.s.leg]
	if l == nil || s == nil || l.id != s.id {
		return
	}
	if r.x.Stage != nil {
		r.x.Data.(*payload).storedBy[l.id] = true
	}
	first := r.x.Range.Off / blockBytes
	for i := range r.x.Range.Len / blockBytes {
		c := content{}
		if r.data != nil {
			c = r.data[i]
		}
		l.told[first+i] = c
	}
}

// confirmed reports whether the leg has confirmed a write. It may have lost it since with its cache, which
// its own marks tell.
func (l *storedLeg) confirmed(b int64, op *operation) bool {
	c, ok := l.told[b]
	for s := range sectors {
		ok = ok && (op.mask&(1<<s) == 0 || c[s] == op.value)
	}
	return ok
}

// stamped is I11: a leg that left without confirming this write finds out what it missed, because every leg
// that got it had the configuration without that leg before.
func (o *observer) stamped(h *host, b int64, op *operation) {
	for id, cfg := range o.removedAt {
		gone := o.w.legOf(id)
		if gone == nil || slices.Contains(o.w.raft.vol().InSync, id) || gone.confirmed(b, op) {
			continue
		}
		for _, s := range h.slots {
			if s == nil || s.id == id || s.state < mirror.LegSettling || s.state == mirror.LegRemoved {
				continue
			}
			l := o.fit(s.id)
			if l != nil && o.has(l, b, op) {
				o.hold(l.durable.label.Config.CfgVer >= cfg, "I11",
					"write %d of block %d is answered without leg %s, leg %s has configuration %s and not %s",
					op.value, b, id.Short(), s.id.Short(), l.durable.label.Config.CfgVer, cfg)
			}
		}
	}
}

func (o *observer) has(l *storedLeg, b int64, op *operation) bool {
	for s := range sectors {
		if op.mask&(1<<s) != 0 && l.disk.cells[b].data[s] != op.value {
			return false
		}
	}
	return true
}

// flushBegins remembers what a flush covers: the writes answered before.
func (o *observer) flushBegins(h *host) map[int64]content {
	if o.ackedIn != h.epoch {
		return nil
	}
	return maps.Clone(o.acked)
}

// flushDone is the second half of I8: no leg in sync may lose what a completed flush covers.
func (o *observer) flushDone(h *host, r *guestRequest) {
	if !h.current() || o.w.raft.vol().Phase != volume.PhaseAttached {
		return
	}
	maps.Copy(o.flushed, r.covers)
	if o.w.set != nil {
		o.kept("flush", "a flush is answered", r.records)
		return
	}
	for _, id := range o.w.raft.vol().InSync {
		l := o.fit(id)
		if l == nil || l.disk.lying {
			continue
		}
		for _, b := range slices.Sorted(maps.Keys(r.covers)) {
			covered := r.covers[b]
			if l.disk.cells[b].dirty && !o.w.undecided[b] && !o.w.lied[b] {
				o.hold(!l.disk.mayForget(b, covered), "flush",
					"a flush covers block %d, and leg %s may lose it", b, id.Short())
			}
		}
	}
}

// openWrites returns the blocks of writes and reads under way in an engine.
func (o *observer) openWrites(h *host) map[int64]bool {
	open := map[int64]bool{}
	for b, ops := range o.w.history.blocks {
		for i := range ops {
			if ops[i].write && !ops[i].done && ops[i].epoch == h.epoch {
				open[b] = true
			}
		}
	}
	return open
}

// promoted is I13: a leg that is added equals one in sync, but for writes under way.
func (o *observer) promoted(id volume.LegID) {
	w := o.w
	l := o.fit(id)
	h := w.newest()
	if l == nil || l.core == nil || h.over() {
		return
	}
	if !slices.ContainsFunc(h.slots[:], func(s *slot) bool {
		return s != nil && s.id == id &&
			s.session != nil
	}) {
		return // it is away, and what happened to it shows when it is back
	}
	if w.set != nil {
		o.promotedInSet(l)
		return
	}
	open := o.openWrites(h)
	for _, other := range w.raft.vol().InSync {
		src := o.fit(other)
		if src == nil || other == id {
			continue
		}
		for _, b := range w.history.touched() {
			if open[b] || src.disk.bad(b) || l.disk.rotten[b] || w.lied[b] {
				continue
			}
			o.hold(src.disk.cells[b].data == l.disk.cells[b].data, "I13",
				"leg %s is added, block %d is %v there and %v on leg %s",
				id.Short(), b, l.disk.cells[b].data, src.disk.cells[b].data, other.Short())
			if covered, ok := o.flushed[b]; ok && !l.disk.lying && !w.undecided[b] {
				o.hold(!l.disk.mayForget(b, covered), "I13",
					"leg %s is added and may lose block %d, which a flush covers",
					id.Short(), b)
			}
		}
	}
}

// lag is I17: what an absent leg lacks shows by versions or marks.
func (o *observer) lag() {
	w := o.w
	v := w.raft.vol()
	for _, x := range v.Legs {
		absent := w.legOf(x.ID)
		if absent == nil || slices.Contains(v.InSync, x.ID) || absent.excused || x.LastISRCfg == 0 {
			continue
		}
		if w.set != nil {
			// One that finds its journal damaged, or will at its start, knows less than its home, and is made anew.
			if !absent.failed && !absent.journal.doomed() {
				o.lacksInSet(absent, x.LastISRCfg)
			}
			continue
		}
		for _, id := range v.InSync {
			if l := o.fit(id); l != nil {
				o.lacks(l, absent, x.LastISRCfg)
			}
		}
	}
}

func (o *observer) lacks(l, absent *storedLeg, since volume.CfgVer) {
	for _, b := range o.w.history.touched() {
		have, there := &l.disk.cells[b], &absent.disk.cells[b]
		if have.data == there.data || l.disk.bad(b) || absent.disk.bad(b) || o.w.lied[b] {
			continue
		}
		r := regionOf(b)
		o.hold(l.durable.regions.Version(r) > since || l.durable.regions.Marked(r) ||
			absent.durable.regions.Marked(r),
			"I17",
			"block %d is %v on leg %s in sync and %v on leg %s, which left after %s; nothing tells that", b,
			have.data, l.id.Short(), there.data, absent.id.Short(), since)
	}
}

// cleared is I16: what a leg no longer marks is on every other leg in sync, and on its medium.
func (o *observer) cleared(l *storedLeg, region uint32) {
	w := o.w
	v := w.raft.vol()
	if v == nil || v.Phase != volume.PhaseAttached || !slices.Contains(v.InSync, l.id) || l.lossy() {
		return
	}
	if w.set != nil {
		o.clearedInSet(l, region)
		return
	}
	for _, b := range w.history.touched() {
		excused := w.history.zeroed[b] || w.lied[b] || w.undecided[b] || l.disk.bad(b)
		if regionOf(b) != region || excused {
			continue
		}
		for _, id := range v.InSync {
			if other := o.fit(id); other != nil && !other.disk.bad(b) {
				o.clearedBlock(l, other, b)
			}
		}
	}
}

func (o *observer) clearedBlock(l, other *storedLeg, b int64) {
	for s, value := range l.disk.cells[b].data {
		// A newer write may be there already: values grow in the order of the requests.
		if !o.held(other.disk.cells[b].data[s] >= value) {
			o.w.fail("I16", "leg %s clears the mark of block %d, which is %d there and %d on leg %s",
				l.id.Short(), b, value, other.disk.cells[b].data[s], other.id.Short())
		}
	}
	if !o.held(other.disk.lying || !other.disk.mayForget(b, l.disk.cells[b].data)) {
		o.w.fail("I16", "leg %s clears the mark of block %d, and leg %s may lose it",
			l.id.Short(), b, other.id.Short())
	}
}
