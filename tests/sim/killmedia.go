package sim

import "slices"

// hit ends a node's process, and mostly its system, and leaves on its disk what the kill says.
func (n *node) hit(left Leaving) {
	n.crash()
	n.w.logf("%s is hit, left on its disk: %s", n.name, left)
	l := n.leg
	if left == LeaveCache {
		l.durable.settle(true)
		return
	}
	n.boot = n.w.uuid()
	n.w.history.cuts++
	switch left {
	case LeaveNothing, LeaveJournal:
		l.durable.settle(false)
		l.disk.leaveOldest()
	case LeaveAll, LeaveHome:
		l.durable.settle(true)
		l.disk.leaveNewest()
	default:
		n.w.steady = false
		l.durable.interrupted(n.w, true)
		l.disk.powerCut(n.w, false)
		l.journal.file.powerCut(n.w)
		n.w.steady = true
	}
	switch left {
	case LeaveNothing, LeaveHome:
		l.journal.file.leaveOldest()
	case LeaveAll, LeaveJournal:
		l.journal.file.synced(l.journal.file.seq, l.disk.lying)
	}
	l.journal.rest = nil
	l.lost()
}

// settle leaves metadata that was being written as it was, or as it was to be.
func (d *durableLeg) settle(written bool) {
	if written {
		d.write(d.sectors)
		if d.next != nil {
			d.writeLabel(*d.next)
		}
	}
	d.sectors, d.next = nil, nil
}

// leaveOldest leaves of each block the oldest that a power cut may leave.
func (d *disk) leaveOldest() {
	for _, b := range d.dirty {
		c := &d.cells[b]
		if len(c.older) > 0 {
			c.data = c.older[0].data
		}
		if len(c.olderSum) > 0 {
			c.sum = c.olderSum[0].sum
		}
		c.older, c.olderSum, c.dirty = c.older[:0], c.olderSum[:0], false
	}
	d.dirty = d.dirty[:0]
}

// leaveNewest leaves of each block what was written last.
func (d *disk) leaveNewest() { d.flushed(d.seq) }

// leaveOldest leaves of the journal nothing that was not synced: where such an entry stood, what was there before.
func (f *journalFile) leaveOldest() {
	list := f.entries
	f.entries = nil
	var again []*fileEntry
	for _, e := range list {
		if e.durable {
			f.entries = append(f.entries, e)
			continue
		}
		again = append(again, e.under...)
	}
	for _, old := range again {
		if !slices.ContainsFunc(f.entries, func(e *fileEntry) bool { return f.overlap(old, e) }) {
			f.insert(old)
		}
	}
	if n := len(f.older); n > 0 {
		f.head, f.headSeq, f.told = f.older[n-1].head, f.older[n-1].seq, f.older[n-1].told
	}
	f.older = nil
}
