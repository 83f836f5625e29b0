package leg_test

import (
	"fmt"
	"maps"
	"slices"

	"github.com/holdfast-storage/holdfast/volume"
)

// journalOracle is what has been promised of the journal of a leg: what a machine that starts again must find.
type journalOracle struct {
	base    map[int64]uint64 // what blocks held before
	records []*oracleRecord  // in the order in which they were sent, whatever became of them
	direct  map[int64]*promisedBlock

	committing, committed volume.Transaction // asked for, answered
	freeing, freed        volume.Transaction
	dropping, floor       volume.Transaction
}

// oracleRecord is one record that was sent.
type oracleRecord struct {
	volume.Record
	values   []uint64
	answered bool
	flushed  bool
	// backing: a roll-back of it was asked for, together with the others of the same number; back: it was answered.
	backing int
	back    bool
}

func (r *oracleRecord) apply(content map[int64]uint64) {
	for i, v := range r.values {
		n := r.FirstBlock + int64(i)
		if r.Kind == volume.RecordImage {
			content[n] = 0
		}
		content[n] ^= v
	}
}

func (o *journalOracle) flush() {
	for _, r := range o.records {
		r.flushed = r.flushed || r.answered
	}
	for _, b := range o.direct {
		if len(b.later) > 0 {
			b.flushed, b.later = b.acked, nil
		}
	}
}

// judge holds the records that a leg lists against what was promised, and returns what its blocks have to hold. kept
// says that no cache was lost; lossy is what the leg says of that.
func (o *journalOracle) judge(have volume.Records, kept, lossy bool) (content map[int64]uint64, err error) {
	if have.Floor != o.floor && have.Floor != o.dropping {
		return nil, fmt.Errorf("its floor is %s: %s was answered, %s asked for", have.Floor, o.floor, o.dropping)
	}
	content = maps.Clone(o.base)
	if content == nil {
		content = map[int64]uint64{}
	}
	listed := func(r *oracleRecord) int {
		return slices.IndexFunc(have.Records, func(h volume.Record) bool { return h.Transaction == r.Transaction })
	}
	gone, last, seen := false, -1, 0
	backs := map[int]bool{}
	for _, r := range o.records {
		at := listed(r)
		if at >= 0 {
			seen++
			if at < last {
				return nil, fmt.Errorf("record %s is listed before one that came earlier", r.Transaction)
			}
			last = at
		}
		lost, err := o.judgeRecord(r, have, at, kept)
		if err != nil {
			return nil, fmt.Errorf("record %s: %w", r.Transaction, err)
		}
		switch {
		case lost && r.answered && !lossy:
			return nil, fmt.Errorf("record %s was answered and is lost, and the leg does not say so", r.Transaction)
		case gone && !lost && at >= 0:
			return nil, fmt.Errorf("record %s is there, and one that came before is lost", r.Transaction)
		case at >= 0 || o.freedRecord(r, have):
			r.apply(content)
		}
		gone = gone || lost
		if r.backing > 0 && !r.back && !lost {
			if there, known := backs[r.backing]; known && there != (at >= 0) {
				return nil, fmt.Errorf("record %s: a roll-back was carried out in part", r.Transaction)
			}
			backs[r.backing] = at >= 0
		}
	}
	if seen != len(have.Records) {
		return nil, fmt.Errorf("it lists %d records, of which %d were sent", len(have.Records), seen)
	}
	return content, nil
}

// freedRecord reports whether a record that is not listed was freed.
func (o *journalOracle) freedRecord(r *oracleRecord, have volume.Records) bool {
	return r.backing == 0 && r.Transaction.Compare(o.freeing) <= 0 && r.Transaction.Compare(have.Floor) > 0
}

// judgeRecord holds one record against what was promised of it. lost says that a power cut took it.
func (o *journalOracle) judgeRecord(r *oracleRecord, have volume.Records, at int, kept bool) (lost bool, err error) {
	there := at >= 0
	switch {
	case there && r.Transaction.Compare(have.Floor) <= 0:
		return false, fmt.Errorf("it is there, and below the floor %s", have.Floor)
	case r.Transaction.Compare(have.Floor) <= 0:
		return false, nil
	case there && r.Transaction.Compare(o.freed) <= 0:
		return false, fmt.Errorf("it is there, and was freed")
	case there && r.back:
		return false, fmt.Errorf("it is there, and was rolled back")
	case there && have.Records[at].Committed && r.Transaction.Compare(o.committing) > 0:
		return false, fmt.Errorf("it is committed, and nobody asked for that")
	case there && !have.Records[at].Committed && r.Transaction.Compare(o.committed) <= 0:
		return false, fmt.Errorf("its commit was answered, and it is only staged")
	case there:
		want := r.Record
		want.Committed = have.Records[at].Committed
		if fmt.Sprint(want) != fmt.Sprint(have.Records[at]) {
			return false, fmt.Errorf("it is %v, want %v", have.Records[at], want)
		}
		return false, nil
	case r.backing > 0 || o.freedRecord(r, have):
		return false, nil
	case !r.answered:
		return true, nil
	case kept:
		return false, fmt.Errorf("it was answered and is not there, and the cache was kept")
	case r.flushed:
		return false, fmt.Errorf("it was flushed and is not there")
	}
	return true, nil
}
