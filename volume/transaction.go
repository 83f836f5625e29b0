package volume

import (
	"cmp"
	"fmt"
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

// Record is what one leg has of a transaction, but for its payload, which is as long as its blocks.
type Record struct {
	Transaction Transaction
	Kind        RecordKind
	FirstBlock  int64 // of the leg, in units of BlockBytes
	Blocks      int64
	Legs        []LegID     // Q: every leg that gets a record of the transaction, this one too
	Committed   bool        // as a leg answers it
}

// Records is what a leg has that is not freed: what a takeover decides by.
type Records struct {
	Floor   Transaction // the leg has dropped its records up to this one, and says nothing of them
	Records []Record    // staged or committed, in the order in which they came; none that was rolled back
}
