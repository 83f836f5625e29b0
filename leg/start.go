package leg

import "github.com/holdfast-storage/holdfast/volume"

// Found is what a node that has just started finds of a leg on its disk.
type Found struct {
	Label   volume.Label
	Regions *Regions // StartLeg changes it
	Halved  bool     // the other slot of the label is damaged: it may have been the newer one
	Suspect bool     // marks are set, and the node could not prove that the page cache was kept
}

// Settles reports whether the blocks of marked regions tell what became of the process before: a block that
// was under way is old or new as a whole, since the page cache was kept, and any other that is not what was
// written last proves that it was not. A label that is half there proves nothing; and where marks of an
// earlier boot are left, a power cut may have torn such a block.
func (f Found) Settles(boot volume.UUID) bool {
	return f.Label.Marked && !f.Label.Mixed && !f.Halved && f.Label.OpenBoot == boot
}

// StartLeg returns the label with which the leg goes on, and the sectors of the file regions that say
// something else than before; f.Regions is what they say. Both must be durable before a Core is made of
// them: the label first, since a sector that is made whole is no evidence of damage any more. boot is the
// identity of the boot and mount now.
//
// It never guesses towards clean or old: what cannot be read counts as marked or as new.
func StartLeg(f Found, boot volume.UUID) (volume.Label, []RegionSector) {
	s := starter{Found: f, changed: newBitset(f.Regions.Sectors())}
	s.judgeMarks()
	s.judgeDamage(boot)
	s.judgeCache()
	s.stamp()
	var sectors []RegionSector
	for n, ok := s.changed.next(0); ok; n, ok = s.changed.next(n + 1) {
		sectors = append(sectors, f.Regions.Sector(n))
	}
	f.Regions.damaged.reset()
	return s.Label, sectors
}

type starter struct {
	Found
	changed bitset // sectors
}

// judgeMarks holds the label and the marks together. The label's flag is durable before the first mark
// counts and is cleared after the last: without it the marks are void, and without marks it says nothing.
func (s *starter) judgeMarks() {
	l, r := &s.Label, s.Regions
	switch {
	case s.Halved:
		// The slot that is gone may have said that regions are marked. Which ones, the marks tell.
		l.Marked, l.Clean = true, false
	case !l.Marked:
		for i, ok := r.marks.next(0); ok; i, ok = r.marks.next(i + 1) {
			s.changed.set(r.markSector(i))
		}
		r.marks.reset()
		l.Mixed = false
	case r.marks.size == 0 && r.damaged.size == 0 && !l.OpenBoot.IsZero():
		// The first mark was on its way, so no write followed; or the last one was cleared.
		l.Marked, l.Mixed = false, false
	}
}

// judgeDamage gives every sector that cannot be believed a content that nothing is missed by.
func (s *starter) judgeDamage(boot volume.UUID) {
	l, r := &s.Label, s.Regions
	wasMarked := l.Marked
	for n, ok := r.damaged.next(0); ok; n, ok = r.damaged.next(n + 1) {
		s.changed.set(n)
		if n == 0 {
			continue // the header holds nothing that changes
		}
		first, end, marks := r.sectorRegions(n)
		switch {
		case marks && !wasMarked:
			continue // the marks are void anyway
		case marks:
			s.Suspect = true // any of them may have been made under another boot
		case !l.Marked:
			l.Marked, l.Clean, l.OpenBoot = true, false, boot
		}
		// A region without a version is marked: then it counts as written now, and the next CONFIG
		// stamps it.
		for i := first; i < end; i++ {
			if r.marks.set(i) {
				s.changed.set(r.markSector(i))
			}
		}
	}
}

// judgeCache is the evidence of a lost cache (protocol-flush A and F).
func (s *starter) judgeCache() {
	if s.Label.Marked {
		s.Label = suspectLabel(s.Label, s.Suspect || s.Halved)
	}
}

// suspectLabel is what the label of a leg with marks says after a start of the node.
func suspectLabel(l volume.Label, suspect bool) volume.Label {
	if !l.Closed {
		l.CrashGen++
	}
	if suspect {
		// No boot has the zero identity, so the leg stays lossy until a CONFIG.
		l.OpenBoot = volume.UUID{}
	}
	return l
}

// stamp raises the versions of marked regions to the label's: their stamps may have been on their way.
func (s *starter) stamp() {
	r := s.Regions
	for i, ok := r.marks.next(0); ok; i, ok = r.marks.next(i + 1) {
		if r.versions[i] < s.Label.Config.CfgVer {
			r.versions[i] = s.Label.Config.CfgVer
			s.changed.set(r.versionSector(i))
		}
	}
}
