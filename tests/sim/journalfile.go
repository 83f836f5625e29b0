package sim

import (
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/holdfast-storage/holdfast/leg/journal"
	"github.com/holdfast-storage/holdfast/volume"
)

// journalFile is the file of a leg's journal: a page cache over a medium. Of entries that were not synced the medium
// keeps whichever it likes, also those behind one that it lost, or a part of one; of the head it keeps this or the one
// before.
type journalFile struct {
	ring    int64
	entries []*fileEntry // in the order of their places
	seq     uint64       // of the newest write
	head    journal.Head
	headSeq uint64
	older   []headVersion // heads that a power cut may leave instead
}

// fileEntry is one entry as it stands in the file.
type fileEntry struct {
	journal.Entry
	payload []content
	seq     uint64
	durable bool
	torn    bool         // a part of it is missing
	under   []*fileEntry // what stood there before, which a power cut may leave
}

type headVersion struct {
	head journal.Head
	seq  uint64
}

func newJournalFile(l volume.Layout, size int64) *journalFile {
	return &journalFile{ring: l.JournalBytes(size) - volume.JournalHeadBytes}
}

// clone copies the file, for a leg that is set back later.
func (f *journalFile) clone() *journalFile {
	c := *f
	c.entries = nil
	for _, e := range f.entries {
		x := *e
		c.entries = append(c.entries, &x)
	}
	c.older = slices.Clone(f.older)
	return &c
}

// write puts an entry into the page cache. What stood at its place in the ring is gone.
func (f *journalFile) write(e *fileEntry) {
	f.seq++
	e.seq = f.seq
	e.Record.Legs, e.Sums = slices.Clone(e.Record.Legs), slices.Clone(e.Sums)
	e.Dropped = slices.Clone(e.Dropped)
	f.entries = slices.DeleteFunc(f.entries, func(old *fileEntry) bool {
		if !f.overlap(old, e) {
			return false
		}
		if old.durable && !old.torn {
			e.under = append(e.under, old)
		}
		e.under = append(e.under, old.under...)
		return true
	})
	f.insert(e)
}

func (f *journalFile) insert(e *fileEntry) {
	i, _ := slices.BinarySearchFunc(f.entries, e.Place, func(o *fileEntry, p journal.Place) int {
		if o.Place < p {
			return -1
		}
		return 1
	})
	f.entries = slices.Insert(f.entries, i, e)
}

// overlap reports whether two entries share bytes of the ring.
func (f *journalFile) overlap(a, b *fileEntry) bool {
	at := func(e *fileEntry) (from, to int64) {
		from = int64(uint64(e.Place) % uint64(f.ring))
		return from, from + e.Bytes()
	}
	af, at1 := at(a)
	bf, bt := at(b)
	for _, turn := range []int64{-f.ring, 0, f.ring} {
		if af+turn < bt && bf < at1+turn {
			return true
		}
	}
	return false
}

// synced says that everything up to seq is on the medium.
func (f *journalFile) synced(seq uint64) {
	for _, e := range f.entries {
		if e.seq <= seq {
			e.durable, e.under = true, nil
		}
	}
	if f.headSeq <= seq {
		f.older = nil
	}
}

// writeHead writes a head into the page cache: it and the one before stand in two places.
func (f *journalFile) writeHead(h journal.Head) {
	f.seq++
	f.older = append(f.older, headVersion{f.head, f.headSeq})
	f.head, f.headSeq = h, f.seq
}

// powerCut leaves what the medium happens to hold.
func (f *journalFile) powerCut(w *world) {
	list := f.entries
	f.entries = nil
	var again []*fileEntry
	for _, e := range list {
		switch kept := e.durable || w.chance(2); {
		case kept && (e.durable || !w.chance(4)):
			e.durable = true
			f.entries = append(f.entries, e)
		case kept:
			e.durable, e.torn = true, true
			f.entries = append(f.entries, e)
		default:
			again = append(again, e.under...)
		}
		e.under = nil
	}
	for _, old := range again { // where nothing newer stands
		if !slices.ContainsFunc(f.entries, func(e *fileEntry) bool { return f.overlap(old, e) }) {
			f.insert(old)
		}
	}
	if n := len(f.older); n > 0 && w.chance(2) {
		f.head = f.older[n-1].head
	}
	f.older = nil
}

// at returns the whole entry at a place.
func (f *journalFile) at(p journal.Place) *fileEntry {
	for _, e := range f.entries {
		if e.Place == p && !e.torn {
			return e
		}
	}
	return nil
}

// block returns a block of a payload by its place.
func (f *journalFile) block(s journal.Source) (content, error) {
	for _, e := range f.entries {
		if s.Place < e.Place || s.Place >= e.End() {
			continue
		}
		for i := range e.Blocks() {
			if e.Payload(i) == s.Place && !e.torn && payloadSum(e.payload[i]) == s.Sum {
				return e.payload[i], nil
			}
		}
	}
	return content{}, fmt.Errorf("the payload of block %d at place %d is not in the journal", s.Block, s.Place)
}

// replay takes every entry of the file to a core, up to the first that is not whole; with holes, on behind that. It
// returns why the journal is damaged, nil if it is not.
func (f *journalFile) replay(core *journal.Core, holes bool) error {
	for {
		e := f.at(core.Tail())
		if e == nil || core.Replay(e.Entry) != nil {
			if holes && f.skip(core) {
				continue
			}
			if core.Tail() < f.head.Cut {
				return fmt.Errorf("the journal was whole up to place %d, and now ends at %d", f.head.Cut, core.Tail())
			}
			return nil
		}
	}
}

// skip moves a core to the next place with a whole entry, false if there is none.
func (f *journalFile) skip(core *journal.Core) bool {
	for _, e := range f.entries {
		if !e.torn && e.Place > core.Tail() && e.Place < core.Tail()+journal.Place(f.ring) {
			core.Skip(e.Place)
			return true
		}
	}
	return false
}

// payloadSum is the checksum of a block of a payload.
func payloadSum(c content) uint32 { return crc32.ChecksumIEEE(bytesOf([]content{c})) }

func payloadSums(blocks []content) []uint32 {
	sums := make([]uint32, len(blocks))
	for i := range blocks {
		sums[i] = payloadSum(blocks[i])
	}
	return sums
}

// added returns what a delta makes of a block.
func added(c, delta content) content {
	for s := range c {
		c[s] ^= delta[s]
	}
	return c
}
