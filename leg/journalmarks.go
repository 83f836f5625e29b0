package leg

import (
	"fmt"
	"math"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/leg/journal"
	"github.com/holdfast-storage/holdfast/volume"
)

// unmarkedRecord returns what proves that a journal, as a start has replayed it, is not what was written last: a record
// in a region without a mark. Nil means that nothing proves it. regions are those of StartLeg.
//
// The mark is durable before the record counts, and STABLE clears it only when the head or the entry is durable that
// frees the record, drops it or rolls it back. So one that is there without its mark has come back: the disk lost what
// it had said was durable, or that rotted. It may have lost more, in regions that no mark names: the leg has failed,
// rather than being lossy, since a lossy one is copied by its marks, and serves where every leg lost something.
func unmarkedRecord(core *journal.Core, regions *Regions) error {
	records, _, _ := core.Records(0, math.MaxInt)
	for _, r := range records {
		first, end := regions.span(block.Range{Off: r.FirstBlock * volume.BlockBytes,
			Len: r.Blocks * volume.BlockBytes})
		for i := first; i < end; i++ {
			if !regions.Marked(i) {
				return fmt.Errorf("%w: record %s of blocks [%d,+%d) is there without the mark of region %d: it was "+
					"freed, dropped or rolled back, and the disk does not have that any more", errJournal,
					r.Transaction, r.FirstBlock, r.Blocks, i)
			}
		}
	}
	return nil
}
