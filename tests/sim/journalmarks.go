package sim

import (
	"fmt"

	"github.com/holdfast-storage/holdfast/leg"
	"github.com/holdfast-storage/holdfast/leg/journal"
)

// unmarked returns why a start learns from the marks that its disk lost something, nil if it does not: they go only
// after what freed a record, dropped it or took it back is durable, so one without its mark has come back.
func unmarked(core *journal.Core, regions *leg.Regions) error {
	list, _, _ := core.Records(0, 1<<30)
	for _, r := range list {
		for b := r.FirstBlock; b < r.FirstBlock+r.Blocks; b++ {
			if !regions.Marked(regionOf(b)) {
				return fmt.Errorf("%w: %s, and row %d is not marked", errJournalBack, r.Transaction, b)
			}
		}
	}
	return nil
}

// comesBack reports whether the next start will find a record without its mark. While metadata is on its way to the
// disk that is not known yet, and not said.
func (j *legJournal) comesBack() bool {
	d := &j.l.durable
	if d.next != nil || len(d.sectors) > 0 {
		return false
	}
	return unmarked(j.idle().core, d.toStart()) != nil
}

// toStart returns what a start would make of the regions, once it has judged marks and damage.
func (d *durableLeg) toStart() *leg.Regions {
	found := leg.Found{Label: d.label, Halved: d.torn || d.slotRotten, Regions: d.regions.Clone()}
	if d.slotRotten {
		found.Label = d.older
	}
	for n := range d.rotten {
		s := d.regions.Sector(n)
		s.Bytes[0] ^= 1
		_ = found.Regions.Load(s) // which is remembered as damaged
	}
	leg.StartLeg(found, d.label.OpenBoot)
	return found.Regions
}
