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
// before. What rots, and what a disk that lies loses, is in journalmedia.go.
type journalFile struct {
	ring    int64
	entries []*fileEntry // in the order of their places
	seq     uint64       // of the newest write
	head    journal.Head
	headSeq uint64
	told    int            // what the process knew when it made the head
	vouched int            // how often a process learned that entries are durable
	older   []headVersion  // heads that a power cut may leave instead
	denied  []journal.Head // those that it may leave although their successor was said to be durable, oldest first
	slot    int            // of the two that heads are written to in turn, the one that counts
	rotten  [2]bool        // slots of the head that rotted
}

// fileEntry is one entry as it stands in the file.
type fileEntry struct {
	journal.Entry
	payload []content
	seq     uint64
	durable bool              // by the word of the disk
	denied  bool              // it lied, and the medium may lack it
	torn    bool              // a part of it is missing
	unnamed bool              // of what stands before its payload
	told    int               // how often its process had learned that entries are durable when it gave it its place
	vouched int               // which time it was that a process learned so of this one; zero = none did
	under   []*fileEntry      // what stood there before, which a power cut may leave
	headRot bool              // what stands before its payload rotted
	rotten  map[int64]content // blocks of its payload that rotted, and what they held
}

type headVersion struct {
	head journal.Head
	seq  uint64
	told int
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
	c.older, c.denied = slices.Clone(f.older), slices.Clone(f.denied)
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

// synced says that everything up to seq is on the medium, which is not true of a disk that lies.
func (f *journalFile) synced(seq uint64, lying bool) {
	for _, e := range f.entries {
		if e.seq > seq {
			continue
		}
		e.denied = e.denied && lying || lying && !e.durable
		if e.durable = true; !lying {
			e.under = nil
		}
	}
	if f.headSeq > seq {
		return
	}
	for _, h := range f.older {
		f.denied = append(f.denied, h.head)
	}
	if f.older = nil; !lying {
		f.denied = nil
	}
}

// vouch says that the process has learned that all entries before a place are durable: whatever it writes from now on
// is evidence of that.
func (f *journalFile) vouch(to journal.Place) {
	f.vouched++
	for _, e := range f.entries {
		if e.vouched == 0 && e.Place < to {
			e.vouched = f.vouched
		}
	}
}

// writeHead writes a head into the page cache: it and the one before stand in two places. told is what the process knew
// when it made it.
func (f *journalFile) writeHead(h journal.Head, told int) {
	f.seq++
	f.older = append(f.older, headVersion{f.head, f.headSeq, f.told})
	f.head, f.headSeq, f.told = h, f.seq, told
	f.slot = 1 - f.slot
	f.rotten[f.slot] = false
}

// powerCut leaves what the medium happens to hold. It returns what the medium would hold if every word of its disk had
// been true.
func (f *journalFile) powerCut(w *world) (honest *journalFile) {
	whole := f.lied() && w.chance(2) // a disk that lies loses its cache as a whole, mostly
	list := f.entries
	f.entries = nil
	var again, denied []*fileEntry
	for _, e := range list {
		sure := e.durable && !e.denied
		switch kept := sure || !whole && w.chance(2); {
		case kept && (sure || !w.chance(4)):
			f.entries = append(f.entries, e)
		case kept && !e.denied:
			e.torn, e.unnamed = true, w.chance(2)
			f.entries = append(f.entries, e)
		default:
			again = append(again, e.under...)
		}
		if e.denied {
			denied = append(denied, e)
		}
		e.durable, e.under = true, nil
	}
	for _, old := range again { // where nothing newer stands
		if old.denied && (whole || w.chance(2)) ||
			slices.ContainsFunc(f.entries, func(e *fileEntry) bool { return f.overlap(old, e) }) {
			continue
		}
		f.insert(old)
	}
	heads := f.headsLeft(w, whole)
	honest = f.clone()
	honest.head, f.head = heads[1], heads[0]
	for _, e := range denied {
		honest.restore(e)
	}
	for _, old := range again {
		newer := func(e *fileEntry) bool { return honest.overlap(old, e) }
		if old.denied && !slices.ContainsFunc(honest.entries, newer) {
			honest.restore(old)
		}
	}
	f.forgetLies()
	honest.forgetLies()
	return honest
}

// headsLeft returns the head that a power cut leaves, and the one that it would leave if the disk had not lied.
func (f *journalFile) headsLeft(w *world, whole bool) [2]journal.Head {
	now := f.head
	if n := len(f.older); n > 0 && w.chance(2) {
		now, f.told = f.older[n-1].head, f.older[n-1].told
	}
	left := now
	if n := len(f.denied); n > 0 {
		if whole {
			left = f.denied[0]
		} else if i := w.rng.IntN(n + 1); i < n {
			left = f.denied[i]
		}
	}
	f.older, f.denied = nil, nil
	return [2]journal.Head{left, now}
}

// at returns the entry at a place that was written as a whole.
func (f *journalFile) at(p journal.Place) *fileEntry {
	for _, e := range f.entries {
		if e.Place == p && !e.torn {
			return e
		}
	}
	return nil
}

// block returns a block of a payload by its place. The error wraps errJournalRot if it rotted.
func (f *journalFile) block(s journal.Source) (content, error) {
	for _, e := range f.entries {
		if s.Place < e.Place || s.Place >= e.End() {
			continue
		}
		for i := range e.Blocks() {
			if e.Payload(i) != s.Place || e.torn {
				continue
			}
			if payloadSum(e.payload[i]) == s.Sum {
				return e.payload[i], nil
			}
			if was, rotten := e.rotten[i]; rotten && payloadSum(was) == s.Sum {
				return was, fmt.Errorf("the payload of block %d at place %d: %w", s.Block, s.Place, errJournalRot)
			}
		}
	}
	return content{}, fmt.Errorf("the payload of block %d at place %d is not in the journal", s.Block, s.Place)
}

// replay takes every entry of the file to a core, up to the first that is not whole; with holes, on behind that. It
// returns why the journal is damaged, nil if it is not.
func (f *journalFile) replay(core *journal.Core, holes bool) error {
	if f.rotten[0] || f.rotten[1] {
		return fmt.Errorf("a slot of the head: %w", errJournalRot)
	}
	for {
		e := f.at(core.Tail())
		if e == nil || e.rots() || core.Replay(e.Entry) != nil {
			if holes && f.skip(core) {
				continue
			}
			return f.judgeEnd(core)
		}
	}
}

// judgeEnd tells the torn tail of an interrupted write from damage, as the leg does: by what the head and the entries
// behind the end say was durable.
func (f *journalFile) judgeEnd(core *journal.Core) error {
	if !f.head.Ended && core.Tail() >= core.Ends() {
		for _, e := range f.entries {
			if e.named() {
				core.Behind(&e.Entry)
			}
		}
	}
	switch {
	case core.Tail() < f.head.Cut:
		return fmt.Errorf("%w: it was whole up to place %d, and now ends at %d", errJournalCut, f.head.Cut, core.Tail())
	case core.Tail() < core.Ends():
		return fmt.Errorf("%w: it was durable up to place %d, and now ends at %d", errJournalLacks, core.Ends(),
			core.Tail())
	}
	return nil
}

// skip moves a core to the next place with a whole entry, false if there is none.
func (f *journalFile) skip(core *journal.Core) bool {
	for _, e := range f.entries {
		if !e.torn && !e.rots() && e.Place > core.Tail() && e.Place < core.Tail()+journal.Place(f.ring) {
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
