package leg

import (
	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/volume"
)

// covered reports whether a write to regions [first, end) may enter: their marks are durable and not about
// to be cleared, and their versions are those of the newest configuration. The versions need not be
// durable before the marks are cleared (protocol-flush C.1).
func (c *Core) covered(first, end uint32) bool {
	if c.broken.breaks(BreakUnmarkedCopy) {
		return true
	}
	marks := &c.safe
	if c.broken.breaks(BreakLateMark) {
		marks = &c.regions.marks
	}
	for i := first; i < end; i++ {
		if !marks.has(i) || c.regions.versions[i] < c.stamp {
			return false
		}
	}
	return true
}

// touch notes that regions were written or marked in this window.
func (c *Core) touch(first, end uint32) {
	for i := first; i < end; i++ {
		c.current.set(i)
	}
}

// Hold keeps the marks of the regions of r over a STABLE of this window: a record of them is not freed, and if it is
// dropped, what it stored has to be copied.
func (c *Core) Hold(r block.Range) { c.touch(c.regions.span(r)) }

// raise makes a region's version at least v.
func (c *Core) raise(region uint32, v volume.CfgVer) {
	if c.regions.versions[region] < v {
		c.regions.versions[region] = v
		c.dirty.touch(c.regions.versionSector(region))
	}
}

// Mark makes the marks durable that a write to r needs before its data enters the page cache, and stamps
// its regions. The reply is no admission: the session must Enter again.
func (c *Core) Mark(op OpID, id SessionID, r block.Range) {
	o := &operation{id: op, kind: opMark, session: id}
	if _, err := c.live(id); err != nil {
		c.reply(o, err)
		return
	}
	if !c.label.Marked {
		// There were no marks, so nothing that an earlier boot cached can have been lost: the
		// marks from here on belong to this boot.
		c.label.Marked, c.label.OpenBoot = true, c.boot
		c.change()
	}
	first, end := c.regions.span(r)
	for i := first; i < end; i++ {
		if c.regions.marks.set(i) {
			c.dirty.touch(c.regions.markSector(i))
		}
		c.raise(i, c.stamp)
	}
	// No STABLE may clear them before the write that they are for has come.
	c.touch(first, end)
	if !c.covered(first, end) {
		o.label, o.regions = c.labelChange, c.dirty.changes
	}
	c.enqueue(o)
}

// markIf is Mark if allowed has no objection; nil has none.
func (c *Core) markIf(allowed func() error, op OpID, id SessionID, r block.Range) {
	if allowed != nil {
		if err := allowed(); err != nil {
			c.reply(&operation{id: op, kind: opMark, session: id}, err)
			return
		}
	}
	c.Mark(op, id, r)
}

// marksAreDurable takes over the marks that a sector has brought to the disk, but for those that were
// cleared meanwhile. One that was cleared and set again counts: the disk has it, and no sector without it
// was written since.
func (c *Core) marksAreDurable(s *RegionSector) {
	first, end, marks := c.regions.sectorRegions(s.Number)
	if !marks {
		return
	}
	for i, ok := c.regions.marks.next(first); ok && i < end; i, ok = c.regions.marks.next(i + 1) {
		if s.Bytes[(i-first)/8]&(0x80>>((i-first)%8)) != 0 {
			c.safe.set(i)
		}
	}
}

// restamp is what CONFIG does to the marked regions: their writes may be acknowledged under the new
// configuration (protocol-flush B.6).
func (c *Core) restamp(v volume.CfgVer) {
	c.stamp = max(c.stamp, v)
	if c.broken.breaks(BreakNoRestamp) {
		return
	}
	before := c.dirty.changes
	marks := &c.regions.marks
	for i, ok := marks.next(0); ok; i, ok = marks.next(i + 1) {
		c.raise(i, c.stamp)
	}
	if c.dirty.changes > before {
		c.restamped = c.dirty.changes
	}
}

// Stamp makes versions durable where they are newer than the leg's own: a joining leg takes over what
// another knows of its regions (I17). The runs lie within the leg, or the reply is ErrInvalid.
func (c *Core) Stamp(op OpID, id SessionID, runs []volume.VersionRun) {
	o := &operation{id: op, kind: opStamp, session: id}
	s, err := c.live(id)
	if err == nil && !c.admitted(s) {
		err = c.refusal(ErrNotAdmitted)
	}
	for _, run := range runs {
		if err == nil && uint64(run.First)+uint64(run.Count) > uint64(c.regions.Count()) {
			err = c.invalid("STAMP of regions [%d,+%d), the leg has %d", run.First, run.Count,
				c.regions.Count())
		}
	}
	if err != nil {
		c.reply(o, err)
		return
	}
	before := c.dirty.changes
	for _, run := range runs {
		for i := range run.Count {
			c.raise(run.First+i, run.Version)
		}
	}
	if c.dirty.changes > before {
		c.restamped = c.dirty.changes
	}
	// Also what an earlier STAMP has on its way counts as this one's.
	o.regions = c.dirty.changes
	c.enqueue(o)
}

// Rotate starts a new window of marks and returns the generation of the one that ended.
func (c *Core) Rotate(id SessionID) (uint64, error) {
	if _, err := c.live(id); err != nil {
		return 0, err
	}
	c.window++
	c.older += c.writes
	c.writes = 0
	c.current.reset()
	return c.window - 1, nil
}

// Stable clears the marks of the window gen, which must be the one that ended last: those of regions that
// nothing touched since. It syncs first: a mark is never cleared before the data that it covers is on
// stable storage here, and its stamp. An older gen clears nothing, as its marks went to a later window.
func (c *Core) Stable(op OpID, id SessionID, gen uint64) {
	o := &operation{id: op, kind: opStable, session: id, gen: gen, before: true}
	s, err := c.live(id)
	switch {
	case err != nil:
	case !c.admitted(s):
		// The marks of a leg that lost its cache are the evidence of it, for this host and the next.
		err = c.refusal(ErrNotAdmitted)
	case gen>>32 != c.window>>32 || gen&0xffffffff == 0:
		err = c.invalid("STABLE of generation %#x, which this start of the node did not give out", gen)
	case gen >= c.window:
		err = c.invalid("STABLE of generation %#x, which has not ended", gen)
	case gen == c.window-1 && c.older > 0:
		err = c.invalid("STABLE of generation %#x, which has %d writes in flight", gen, c.older)
	}
	if err != nil {
		c.reply(o, err)
		return
	}
	o.regions = c.dirty.changes
	c.enqueue(o)
}

// nothingStale reports whether a STABLE has nothing to clear, and so nothing to sync.
func (c *Core) nothingStale(o *operation) bool {
	return o.gen != c.window-1 || c.regions.marks.size == c.current.size && !c.label.Mixed
}

// clear is STABLE once the data and the stamps are durable. Marks that stay on the disk for a while are only
// work; what is waited for is the label, which says that the leg got on, and that the last mark is gone.
func (c *Core) clear(o *operation) {
	if o.gen == c.window-1 { // else a ROTATE came meanwhile: the regions of its window are not known
		marks := &c.regions.marks
		before := marks.size
		for i, ok := marks.next(0); ok; i, ok = marks.next(i + 1) {
			if c.current.has(i) {
				continue // a write came since
			}
			marks.unset(i)
			c.safe.unset(i)
			c.dirty.touch(c.regions.markSector(i))
		}
		if marks.size < before || marks.size == 0 && c.label.Marked || c.label.Mixed {
			// What is marked still was written in this boot. The host goes on as if nothing of the rest had
			// to be looked at again: a leg that is set back to before it must show that.
			c.label.Marked, c.label.Mixed = marks.size > 0, false
			c.label.Progress++
			c.change()
		}
	}
	o.label, o.regions = c.labelChange, 0
}
