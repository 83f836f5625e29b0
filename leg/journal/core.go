package journal

import (
	"errors"
	"fmt"
	"slices"

	"github.com/holdfast-storage/holdfast/volume"
)

var (
	// ErrFull refuses a record for which the journal has no room.
	ErrFull = errors.New("the journal is full")
	// ErrInvalid refuses what the protocol does not allow now.
	ErrInvalid = errors.New("invalid for the journal")
	// ErrThere means that the record is there already, with the same payload: nothing is to be done.
	ErrThere = errors.New("the record is there already")
)

// Core is the journal of one leg as far as decisions go; see the package. It is used by one goroutine at a time.
type Core struct {
	ring  int64
	head  Head  // as it is on the disk
	tail  Place // where the next entry goes
	whole Place // all entries before it are in the file

	durable Place // all entries before it are on stable storage
	known   Place // of a replay: so they were, whatever is found

	flying  []flight  // entries that are on their way to the file, in the order of their places
	records []*record // not rolled back and not freed, in the order of their places
	byName  map[volume.Transaction]*record
	layers  map[int64]*layer // of each block that staged records touch, the newest on top
	barred  volume.Transaction
	batches []volume.Transaction // what commits went up to of which something is not freed, ascending
	staged  int64                // room that is set aside for what commits and roll-backs of records may need

	homeward *Commit // that is sealed and not at home; there is one at a time

	pending []afterImage     // of a replay, whose commit has not come yet
	cut     Place            // of a replay: behind it are such after-images only
	redo    map[int64]Source // of a replay

	freeRecords []*record
	freeLayers  *layer
}

// flight is an entry on its way to the file.
type flight struct {
	place, end Place
	rec        *record // of a record
	whole      bool
}

// record is a record with where it lies.
type record struct {
	volume.Record
	place, payload Place
	bytes          int64
	sums           []uint32
	chosen         bool               // by the commit that is under way
	batch          volume.Transaction // what the commit that took it went up to
}

// layer is what a staged record lays over one block.
type layer struct {
	rec   *record // nil for an after-image
	src   Source
	below *layer
}

// Source says where a block of a payload lies, and what it is.
type Source struct {
	Block int64
	Kind  volume.RecordKind // zero: nobody knows what the block holds
	Place Place
	Sum   uint32
}

// New makes the core of a journal that begins as the head says. Then each of its entries is to be replayed.
func New(ringBytes int64, h Head) *Core {
	barred := h.Freed
	if h.Floor.Compare(barred) > 0 {
		barred = h.Floor
	}
	return &Core{ring: ringBytes, head: h, tail: h.Start, whole: h.Start, barred: barred, cut: h.Start,
		known:  max(h.Cut, h.Durable),
		byName: map[volume.Transaction]*record{}, layers: map[int64]*layer{}, redo: map[int64]Source{}}
}

// Head returns the head that is on the disk.
func (c *Core) Head() Head { return c.head }

// Tail returns the place behind the last entry, written or on its way.
func (c *Core) Tail() Place { return c.tail }

// WholeTo returns the place up to which all entries are in the file.
func (c *Core) WholeTo() Place { return c.whole }

// Synced says that all entries before a place, which WholeTo had reached before the sync began, are on stable storage.
// Each entry and each head from now on is evidence of that.
func (c *Core) Synced(to Place) { c.durable = max(c.durable, to) }

// Used returns how much of the ring is in use, and how long it is.
func (c *Core) Used() (used, ring int64) { return int64(c.tail - c.head.Start), c.ring }

// reserve gives an entry its place. Room for what is no record was set aside; only commits that were interrupted by
// the end of their process, again and again, can have used that up.
func (c *Core) reserve(e *Entry, rec *record) error {
	e.Place, e.Term, e.Durable = c.tail, c.head.Term, c.durable
	if int64(e.End()-c.head.Start) > c.ring {
		return fmt.Errorf("%w: there is no room for a commit any more", ErrFull)
	}
	c.tail = e.End()
	c.flying = append(c.flying, flight{place: e.Place, end: c.tail, rec: rec})
	return nil
}

// aside is what is set aside for a staged record beyond its own entry: for a delta its part of an after-image, and
// the heads of that, of its commit and of its roll-back.
func (r *record) aside() int64 {
	if r.Kind == volume.RecordDelta {
		return r.bytes + 2*SectorBytes
	}
	return 2 * SectorBytes
}

// Stage takes a record, whose payload has these checksums, and gives it a place; the caller writes the entry with
// its payload and then calls Whole. The error wraps ErrFull, ErrInvalid or ErrThere. The record's legs and sums are the
// caller's again on return.
func (c *Core) Stage(r volume.Record, sums []uint32) (Entry, error) {
	switch err := r.Check(); {
	case err != nil:
		return Entry{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	case int64(len(sums)) != r.Blocks:
		return Entry{}, fmt.Errorf("%w: record %s has %d blocks, its payload %d", ErrInvalid, r.Transaction, r.Blocks,
			len(sums))
	case r.Transaction.Compare(c.barred) <= 0:
		return Entry{}, fmt.Errorf("%w: record %s comes too late: everything up to %s is committed or dropped",
			ErrInvalid, r.Transaction, c.barred)
	}
	if there := c.byName[r.Transaction]; there != nil {
		if there.same(r, sums) {
			return Entry{}, ErrThere
		}
		return Entry{}, fmt.Errorf("%w: another record %s is there already", ErrInvalid, r.Transaction)
	}
	e := Entry{Kind: KindRecord, Record: r, Sums: sums}
	rec := c.newRecord(r, sums)
	rec.bytes = e.Bytes()
	if used, ring := c.Used(); used+rec.bytes+rec.aside()+c.staged > ring {
		c.recycle(rec)
		return Entry{}, fmt.Errorf("%w: record %s needs %d bytes, %d of %d are in use, %d are set aside for commits",
			ErrFull, r.Transaction, e.Bytes(), used, ring, c.staged)
	}
	if err := c.reserve(&e, rec); err != nil {
		return Entry{}, err
	}
	c.staged += rec.aside()
	c.byName[r.Transaction] = rec
	rec.place, rec.payload = e.Place, e.Payload(0)
	return e, nil
}

// same reports whether a record is this one, sent once more.
func (r *record) same(o volume.Record, sums []uint32) bool {
	return r.Kind == o.Kind && r.FirstBlock == o.FirstBlock && r.Blocks == o.Blocks && slices.Equal(r.Legs, o.Legs) &&
		slices.Equal(r.sums, sums)
}

// newRecord returns a record that shares nothing with the caller, but its legs with the record before where they
// are the same, as they mostly are.
func (c *Core) newRecord(r volume.Record, sums []uint32) *record {
	rec := &record{}
	if n := len(c.freeRecords); n > 0 {
		rec, c.freeRecords = c.freeRecords[n-1], c.freeRecords[:n-1]
	}
	legs := rec.Legs
	if n := len(c.flying); n > 0 && c.flying[n-1].rec != nil {
		legs = c.flying[n-1].rec.Legs
	} else if n := len(c.records); n > 0 {
		legs = c.records[n-1].Legs
	}
	if !slices.Equal(legs, r.Legs) {
		legs = slices.Clone(r.Legs)
	}
	*rec = record{Record: r, sums: append(rec.sums[:0], sums...)}
	rec.Legs, rec.Committed = legs, false
	return rec
}

func (c *Core) recycle(rec *record) { c.freeRecords = append(c.freeRecords, rec) }

// Whole says that the entry at a place is in the file as a whole. Records count from then on that all entries
// before them are, too: WholeTo.
func (c *Core) Whole(p Place) {
	i, found := slices.BinarySearchFunc(c.flying, p, func(f flight, p Place) int {
		switch {
		case f.place < p:
			return -1
		case f.place > p:
			return 1
		}
		return 0
	})
	if !found {
		return
	}
	c.flying[i].whole = true
	n := 0
	for n < len(c.flying) && c.flying[n].whole {
		if rec := c.flying[n].rec; rec != nil {
			c.insert(rec)
		}
		c.whole = c.flying[n].end
		n++
	}
	c.flying = slices.Delete(c.flying, 0, n)
}

// insert makes a record part of the content.
func (c *Core) insert(rec *record) {
	c.records = append(c.records, rec)
	for i := range rec.Blocks {
		n := rec.FirstBlock + i
		c.layers[n] = c.newLayer(rec, Source{Block: n, Kind: rec.Kind, Sum: rec.sums[i],
			Place: rec.payload + Place(i*volume.BlockBytes)}, c.layers[n])
	}
}

func (c *Core) newLayer(rec *record, src Source, below *layer) *layer {
	l := c.freeLayers
	if l == nil {
		l = &layer{}
	} else {
		c.freeLayers = l.below
	}
	*l = layer{rec: rec, src: src, below: below}
	return l
}

// strip takes the layers of a block away for which gone is true.
func (c *Core) strip(block int64, gone func(*layer) bool) {
	at := c.layers[block]
	var top, last *layer
	for at != nil {
		l := at
		at = l.below
		if gone(l) {
			*l = layer{below: c.freeLayers}
			c.freeLayers = l
			continue
		}
		if l.below = nil; last == nil {
			top = l
		} else {
			last.below = l
		}
		last = l
	}
	if top == nil {
		delete(c.layers, block)
	} else {
		c.layers[block] = top
	}
}

// Overlay appends what lies over the blocks of a range, the blocks in their order: of each the deltas that are to be
// added, and last the image that they are to be added to, if there is one; else that is the home. A block with
// nothing over it is left out.
func (c *Core) Overlay(dst []Source, first, blocks int64) []Source {
	if len(c.layers) == 0 {
		return dst
	}
	for n := first; n < first+blocks; n++ {
		for l := c.layers[n]; l != nil; l = l.below {
			dst = append(dst, l.src)
			if l.src.Kind != volume.RecordDelta {
				break
			}
		}
	}
	return dst
}

// Touches reports whether a record that is not freed touches a range: then its home must not be written to, since a
// replay would write over that.
func (c *Core) Touches(first, blocks int64) bool {
	touches := func(r *record) bool {
		return r.FirstBlock < first+blocks && first < r.FirstBlock+r.Blocks
	}
	return slices.ContainsFunc(c.records, touches) ||
		slices.ContainsFunc(c.flying, func(f flight) bool { return f.rec != nil && touches(f.rec) })
}

// Ranges calls visit with the blocks of each record that is not freed.
func (c *Core) Ranges(visit func(first, blocks int64)) {
	for _, r := range c.records {
		visit(r.FirstBlock, r.Blocks)
	}
}

// Records returns the records that count from a place on, in their order, at most so many, and where to go on;
// more is false once that were all. Their legs must not be changed.
func (c *Core) Records(from Place, most int) (list []volume.Record, next Place, more bool) {
	i, _ := slices.BinarySearchFunc(c.records, from, func(r *record, p Place) int {
		if r.place < p {
			return -1
		}
		return 1
	})
	for ; i < len(c.records); i++ {
		r := c.records[i]
		if len(list) == most {
			return list, r.place, true
		}
		list = append(list, r.Record)
	}
	return list, c.tail, false
}
