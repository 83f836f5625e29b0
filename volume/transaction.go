package volume

import (
	"cmp"
	"fmt"
	"slices"
)

// Transaction names one update of a stripe (docs/safety/journal.md). The zero value is before all others.
type Transaction struct {
	Epoch  Epoch
	Number uint64 // given by the engine in the order of dispatch, from 1 in each epoch
}

// Compare orders transactions: by epoch, then by number.
func (t Transaction) Compare(o Transaction) int {
	return cmp.Or(cmp.Compare(t.Epoch, o.Epoch), cmp.Compare(t.Number, o.Number))
}

// String returns "e3.17".
func (t Transaction) String() string { return fmt.Sprintf("e%d.%d", uint64(t.Epoch), t.Number) }

// RecordKind says what the payload of a record is.
type RecordKind uint8

// The kinds of records, as they stand on the wire and on disk.
const (
	RecordImage RecordKind = 1 // the new bytes
	RecordDelta RecordKind = 2 // what is to be added to the parity that is there
)

// String returns "image" or "delta".
func (k RecordKind) String() string {
	switch k {
	case RecordImage:
		return "image"
	case RecordDelta:
		return "delta"
	}
	return "unknown kind"
}

// MaxRecordBlocks is the most blocks that one record has: those of the longest chunk.
const MaxRecordBlocks = MaxChunkBytes / BlockBytes

// Record is what one leg has of a transaction, but for its payload, which is as long as its blocks.
type Record struct {
	Transaction Transaction
	Kind        RecordKind
	FirstBlock  int64 // of the leg, in units of BlockBytes
	Blocks      int64
	Legs        []LegID // Q: every leg that gets a record of the transaction, this one too
	Committed   bool    // as a leg answers it
}

// Check returns why no leg can take the record, nil if one can.
func (r Record) Check() error {
	var what string
	switch {
	case r.Transaction.Epoch == 0 || r.Transaction.Number == 0:
		what = "epochs and numbers begin at 1"
	case r.Kind != RecordImage && r.Kind != RecordDelta:
		what = fmt.Sprintf("kind %d is unknown", r.Kind)
	case r.Blocks < 1 || r.Blocks > MaxRecordBlocks:
		what = fmt.Sprintf("it has %d blocks (1 to %d)", r.Blocks, MaxRecordBlocks)
	case r.FirstBlock < 0 || r.FirstBlock > MaxSizeBytes/BlockBytes-r.Blocks:
		what = fmt.Sprintf("its blocks [%d,+%d) are on no leg", r.FirstBlock, r.Blocks)
	case len(r.Legs) < 1 || len(r.Legs) > MaxInSync:
		what = fmt.Sprintf("it names %d legs (1 to %d)", len(r.Legs), MaxInSync)
	}
	for i, leg := range r.Legs {
		if what == "" && (leg.IsZero() || slices.Contains(r.Legs[:i], leg)) {
			what = fmt.Sprintf("it names leg %q twice, or no leg", leg)
		}
	}
	if what != "" {
		return fmt.Errorf("record %s: %s", r.Transaction, what)
	}
	return nil
}

// Records is what a leg has that is not freed: what a takeover decides by.
type Records struct {
	Floor   Transaction // the leg has dropped its records up to this one, and says nothing of them
	Records []Record    // staged or committed, in the order in which they came; none that was rolled back
}
