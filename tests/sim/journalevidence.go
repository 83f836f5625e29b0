package sim

import "github.com/holdfast-storage/holdfast/leg/journal"

// What is written to a journal says how far all of it was durable before. Here that is held against what was synced in
// which order, without a look at those words: an entry that rotted has to be noticed if anything is left that was begun
// after its sync.

// named reports whether what stands before the payload of an entry is whole.
func (e *fileEntry) named() bool { return !e.headRot && !e.unnamed }

// dead reports whether an entry counts no more: it was forgotten, or an earlier start left it behind its end.
func (f *journalFile) dead(e *fileEntry) bool {
	return e.Place < f.head.Start || e.Place >= f.head.Cut && e.Term != f.head.Term
}

// proves returns what the head says to be durable that a power cut would leave.
func (f *journalFile) proves() journal.Place {
	least := f.head.Durable
	for _, h := range f.older {
		least = min(least, h.head.Durable)
	}
	return least
}

// evidence returns why a start has to notice that an entry rotted, empty if it cannot.
func (f *journalFile) evidence(e *fileEntry) string {
	switch {
	case f.dead(e) || e.torn:
		return ""
	case e.Place < f.head.Cut:
		return "its cut"
	case e.vouched == 0:
		return ""
	case f.told >= e.vouched:
		return "its head"
	}
	for _, x := range f.entries {
		if x.told >= e.vouched && x.named() && !f.dead(x) {
			return "a later entry"
		}
	}
	return ""
}

// noticed holds a start, which takes the journal for a good one, to what is evident. Of what a disk that lied has lost
// nothing has to be left.
func (o *observer) noticed(l *storedLeg) {
	f := l.journal.file
	if l.disk.liar {
		return
	}
	for _, e := range f.entries {
		if !e.rots() {
			continue
		}
		why := f.evidence(e)
		o.hold(why == "", "evidence", "leg %s would start without its entry at %d, which was durable: %s tells that",
			l.id.Short(), e.Place, why)
	}
}

// vouches holds what is about to be written to its word: everything before a place is durable.
func (o *observer) vouches(j *legJournal, to journal.Place) {
	for _, e := range j.file.entries {
		if e.Place < to && !e.durable && !j.file.dead(e) {
			o.hold(false, "evidence", "leg %s says that all before %d is durable, and may lose its entry at %d",
				j.l.id.Short(), to, e.Place)
		}
	}
	o.checks++
}
