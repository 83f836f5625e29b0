package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/holdfast-storage/holdfast/volume"
)

const (
	// SectorBytes is the unit of the journal: a disk writes it whole, and entries begin on one.
	SectorBytes = 512
	// MaxRollback is the most transactions that one roll-back names: more records than any journal holds.
	MaxRollback = 16384

	entryMagic       = "HFJE"
	entryFixedBytes  = 84 // with the checksum at its end
	idBytes          = 16
	sumBytes         = 4
	transactionBytes = 16

	entryAtKind    = 4
	entryAtPayload = 5 // the kind of a record
	entryAtLegs    = 6
	entryAtPlace   = 8
	entryAtTerm    = 16
	entryAtEpoch   = 24
	entryAtNumber  = 32
	entryAtFirst   = 40
	entryAtBlocks  = 48
	entryAtDropped = 52
	entryAtBatch   = 56
	entryAtDurable = 64
	entryAtLists   = 80
)

// ErrNoEntry means that there is no whole entry: the journal ends here.
var ErrNoEntry = errors.New("no whole entry of the journal")

// AppendEntry appends the head of an entry, which covers its payload by the checksums of the blocks. leg is whose
// journal it is.
func AppendEntry(b []byte, leg volume.LegID, e *Entry) []byte {
	start, n := len(b), int(e.HeadBytes())
	b = slices.Grow(b, n)[:start+n]
	p := b[start:]
	clear(p)
	copy(p, entryMagic)
	t := e.UpTo
	p[entryAtKind] = byte(e.Kind)
	if e.Kind == KindRecord {
		t = e.Record.Transaction
		p[entryAtPayload], p[entryAtLegs] = byte(e.Record.Kind), byte(len(e.Record.Legs))
	}
	first := e.First
	if e.Kind == KindRecord {
		first = e.Record.FirstBlock
	}
	binary.BigEndian.PutUint64(p[entryAtPlace:], uint64(e.Place))
	binary.BigEndian.PutUint64(p[entryAtTerm:], e.Term)
	putTransaction(p[entryAtEpoch:], t)
	binary.BigEndian.PutUint64(p[entryAtFirst:], uint64(first))
	binary.BigEndian.PutUint32(p[entryAtBlocks:], uint32(len(e.Sums)))
	binary.BigEndian.PutUint32(p[entryAtDropped:], uint32(len(e.Dropped)))
	binary.BigEndian.PutUint64(p[entryAtBatch:], uint64(e.Batch))
	binary.BigEndian.PutUint64(p[entryAtDurable:], uint64(e.Durable))
	at := entryAtLists
	for _, id := range e.Record.Legs {
		at += copy(p[at:], id.UUID[:])
	}
	for _, sum := range e.Sums {
		binary.BigEndian.PutUint32(p[at:], sum)
		at += sumBytes
	}
	for _, t := range e.Dropped {
		putTransaction(p[at:], t)
		at += transactionBytes
	}
	binary.BigEndian.PutUint32(p[n-sumBytes:], headSum(leg, p[:n-sumBytes]))
	return b
}

func putTransaction(p []byte, t volume.Transaction) {
	binary.BigEndian.PutUint64(p, uint64(t.Epoch))
	binary.BigEndian.PutUint64(p[8:], t.Number)
}

func getTransaction(p []byte) volume.Transaction {
	return volume.Transaction{Epoch: volume.Epoch(binary.BigEndian.Uint64(p)), Number: binary.BigEndian.Uint64(p[8:])}
}

// EntryHeadBytes returns how many bytes ParseEntry needs of the entry whose first sector is p. It trusts nothing:
// the answer is bounded, and zero if this cannot be an entry.
func EntryHeadBytes(p []byte) int64 {
	if len(p) < SectorBytes || string(p[:len(entryMagic)]) != entryMagic {
		return 0
	}
	legs, blocks := int64(p[entryAtLegs]), int64(binary.BigEndian.Uint32(p[entryAtBlocks:]))
	dropped := int64(binary.BigEndian.Uint32(p[entryAtDropped:]))
	if legs > volume.MaxInSync || blocks > volume.MaxRecordBlocks || dropped > MaxRollback {
		return 0
	}
	n := entryFixedBytes + idBytes*legs + sumBytes*blocks + transactionBytes*dropped
	return (n + SectorBytes - 1) / SectorBytes * SectorBytes
}

// ParseEntry reads the head of an entry of a leg's journal; p has EntryHeadBytes. The error wraps ErrNoEntry.
func ParseEntry(p []byte, leg volume.LegID) (Entry, error) {
	if n := EntryHeadBytes(p); n == 0 || n > int64(len(p)) {
		return Entry{}, fmt.Errorf("%w: no head", ErrNoEntry)
	} else {
		p = p[:n]
	}
	if headSum(leg, p[:len(p)-sumBytes]) != binary.BigEndian.Uint32(p[len(p)-sumBytes:]) {
		return Entry{}, fmt.Errorf("%w: wrong checksum", ErrNoEntry)
	}
	e := Entry{
		Place: Place(binary.BigEndian.Uint64(p[entryAtPlace:])), Term: binary.BigEndian.Uint64(p[entryAtTerm:]),
		Kind: Kind(p[entryAtKind]), Batch: Place(binary.BigEndian.Uint64(p[entryAtBatch:])),
		Durable: Place(binary.BigEndian.Uint64(p[entryAtDurable:])),
	}
	t, first := getTransaction(p[entryAtEpoch:]), int64(binary.BigEndian.Uint64(p[entryAtFirst:]))
	blocks := int64(binary.BigEndian.Uint32(p[entryAtBlocks:]))
	if e.Kind == KindRecord {
		e.Record = volume.Record{Transaction: t, Kind: volume.RecordKind(p[entryAtPayload]), FirstBlock: first,
			Blocks: blocks}
	} else {
		e.UpTo, e.First = t, first
	}
	at := entryAtLists
	for range p[entryAtLegs] {
		e.Record.Legs = append(e.Record.Legs, volume.LegID{UUID: volume.UUID(p[at:])})
		at += idBytes
	}
	for range blocks {
		e.Sums = append(e.Sums, binary.BigEndian.Uint32(p[at:]))
		at += sumBytes
	}
	for range binary.BigEndian.Uint32(p[entryAtDropped:]) {
		e.Dropped = append(e.Dropped, getTransaction(p[at:]))
		at += transactionBytes
	}
	if err := e.check(); err != nil {
		return Entry{}, fmt.Errorf("%w: %w", ErrNoEntry, err)
	}
	// What does not fit is no entry, so that a later version can give every byte a meaning.
	if again := AppendEntry(nil, leg, &e); !slices.Equal(again, p) {
		return Entry{}, fmt.Errorf("%w: reserved bytes are set", ErrNoEntry)
	}
	return e, nil
}

// headSum covers the leg, so that nothing of another leg's journal is taken for an entry.
func headSum(leg volume.LegID, p []byte) uint32 {
	return crc32.Update(BlockSum(leg.UUID[:]), castagnoli(), p)
}

// BlockSum is the checksum of a block of a payload: its CRC32C.
func BlockSum(p []byte) uint32 { return crc32.Checksum(p, castagnoli()) }

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// AppendSums appends the checksum of each block of a payload.
func AppendSums(sums []uint32, payload []byte) []uint32 {
	for ; len(payload) > 0; payload = payload[volume.BlockBytes:] {
		sums = append(sums, BlockSum(payload[:volume.BlockBytes]))
	}
	return sums
}
