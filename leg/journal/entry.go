package journal

import (
	"fmt"

	"github.com/holdfast-storage/holdfast/volume"
)

// Place is where in a journal something lies, in bytes since the journal was made. It only grows; in the file it
// stands at the place modulo the length of the ring.
type Place uint64

// Kind says what an entry is.
type Kind uint8

// The kinds of entries, as they stand on disk.
const (
	KindRecord     Kind = 1 // a record, with its payload
	KindAfterImage Kind = 2 // what blocks hold with the deltas of a commit in them
	KindCommit     Kind = 3 // of all records up to a transaction that are staged
	KindRollback   Kind = 4 // of the transactions in a list
)

// Entry is one entry but for its payload.
type Entry struct {
	Place Place
	Term  uint64 // number of the start of the leg that wrote it
	Kind  Kind

	// Durable is up to where all entries were on stable storage when this one was given its place.
	Durable Place

	Record  volume.Record        // of KindRecord
	First   int64                // of KindAfterImage: its first block
	Sums    []uint32             // of KindRecord and KindAfterImage: a checksum of each block of the payload
	UpTo    volume.Transaction   // of KindCommit
	Batch   Place                // of KindCommit: its after-images lie from here on
	Dropped []volume.Transaction // of KindRollback
}

// Blocks returns how many blocks the payload has.
func (e *Entry) Blocks() int64 { return int64(len(e.Sums)) }

// HeadBytes returns how much of the entry stands in front of its payload.
func (e *Entry) HeadBytes() int64 {
	n := entryFixedBytes + idBytes*len(e.Record.Legs) + sumBytes*len(e.Sums) + transactionBytes*len(e.Dropped)
	return (int64(n) + SectorBytes - 1) / SectorBytes * SectorBytes
}

// Bytes returns how much of the journal the entry takes up.
func (e *Entry) Bytes() int64 { return e.HeadBytes() + e.Blocks()*volume.BlockBytes }

// End returns the place behind the entry.
func (e *Entry) End() Place { return e.Place + Place(e.Bytes()) }

// Payload returns the place of the i-th block of the payload.
func (e *Entry) Payload(i int64) Place {
	return e.Place + Place(e.HeadBytes()+i*volume.BlockBytes)
}

// check returns why the entry cannot be one that was written.
func (e *Entry) check() error {
	if e.Durable > e.Place {
		return fmt.Errorf("at %d, with all durable up to %d", e.Place, e.Durable)
	}
	switch e.Kind {
	case KindRecord:
		if e.Record.Blocks != e.Blocks() {
			return fmt.Errorf("%d checksums of %d blocks", e.Blocks(), e.Record.Blocks)
		}
		return e.Record.Check()
	case KindAfterImage:
		if e.Blocks() < 1 || e.Blocks() > volume.MaxRecordBlocks || e.First < 0 {
			return fmt.Errorf("after-image of blocks [%d,+%d)", e.First, e.Blocks())
		}
	case KindCommit:
		if e.Blocks() > 0 || e.Batch > e.Place {
			return fmt.Errorf("commit of after-images from %d on, at %d", e.Batch, e.Place)
		}
	case KindRollback:
		if e.Blocks() > 0 || len(e.Dropped) < 1 || len(e.Dropped) > MaxRollback {
			return fmt.Errorf("roll-back of %d transactions", len(e.Dropped))
		}
	default:
		return fmt.Errorf("kind %d is unknown", e.Kind)
	}
	return nil
}

// Head is what the head of the file says: where the journal begins, and what is forgotten.
type Head struct {
	Term  uint64 // of the start that wrote it; entries from Cut on have it, or they are of before
	Start Place  // the first entry that counts
	Cut   Place  // what lay in front of it at the start Term was whole and durable
	// Durable is up to where all entries were on stable storage before this head was written. It is of version 2.
	Durable Place
	Ended   bool               // and nothing was written behind it: the leg was closed
	Freed   volume.Transaction // everything up to it was committed and is at home
	Floor   volume.Transaction // records up to it were dropped, wherever they had come to
}
