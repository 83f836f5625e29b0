package leg

import (
	"encoding/binary"
	"slices"
	"sync"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/volume"
)

// witness tells the successor of a process that dies which blocks of a store's legs it was changing, so that
// each change need not be announced in the checksums first: two system calls of four. It lies in Memory, and so
// lives as long as the page cache that it speaks of, and is worth nothing after a power cut, where the marks of regions
// speak.
//
// A store without one, a full one, and a program of before there was one announce changes in the checksums
// (sumUnderWay); a successor believes both. A block that neither names must match its checksum, so a witness that is
// lost makes a leg lossy at worst.
//
// It must never say more than is true: a place that outlived its change would have a block settled that rotted since.
// So a place ends with its change, whatever became of it. One that a crash left carries the leg's CrashGen, and counts
// for a start that finds this CrashGen in the label: a change has its regions marked and the label open (what a start
// itself writes is announced), so any start after the crash raises it, also one that reads no witness.
//
// Invariant: while a change is under way, a place names each block whose data may differ from its checksum, or its
// checksum is sumUnderWay.
// Invariant: a place of this process names no block that was changed since and matches its checksum.
type witness struct {
	memory Memory

	mu     sync.Mutex
	closed bool
	free   []int // places that nobody uses, the one used last at the end: its cache line is warm
	left   []int // places of changes that a process which died had under way, of legs not opened yet
}

// The layout of a witness, in words. docs/ondisk.md describes it.
const (
	witnessVersion = 1
	witnessMagic   = 0x48465749_544e0000 | witnessVersion // "HFWITN" and the version

	witnessAtMagic, witnessAtBoot = 0, 1
	witnessHeaderWords            = 4
	witnessPlaceWords             = 4
	witnessPlaces                 = 1023 // with the header, 32 KiB

	// In the last word the lower half is the number of blocks, zero where nothing is under way, the upper one the lower
	// half of the leg's CrashGen.
	placeAtLeg, placeAtFirst, placeAtBlocks = 0, 2, 3

	witnessWords = witnessHeaderWords + witnessPlaces*witnessPlaceWords
)

// noPlace is what begin returns if a change has to be announced elsewhere.
const noPlace = -1

// newWitness reads what a process before has left in memory in the same boot, and keeps it until each of these legs was
// opened. What is of another boot, of another leg, or nobody's is cleared.
func newWitness(memory Memory, boot volume.UUID, legs []volume.LegID) *witness {
	w := &witness{memory: memory, free: make([]int, 0, witnessPlaces)}
	if !w.speaksOf(boot) {
		w.reset(boot)
	}
	for n := witnessPlaces - 1; n >= 0; n-- {
		if memory.Load(placeWord(n)+placeAtBlocks) == 0 {
			w.free = append(w.free, n)
		} else if slices.Contains(legs, w.read(n).leg) {
			w.left = append(w.left, n)
		} else {
			w.clear(n)
		}
	}
	return w
}

// speaksOf reports whether the memory holds a witness of this boot.
func (w *witness) speaksOf(boot volume.UUID) bool {
	high, low := uuidWords(boot)
	m := w.memory
	return m.Load(witnessAtMagic) == witnessMagic && m.Load(witnessAtBoot) == high && m.Load(witnessAtBoot+1) == low
}

// reset makes an empty witness of a boot. A process that dies meanwhile leaves none.
func (w *witness) reset(boot volume.UUID) {
	m := w.memory
	m.Store(witnessAtMagic, 0)
	for n := range witnessPlaces {
		if at := placeWord(n) + placeAtBlocks; m.Load(at) != 0 {
			m.Store(at, 0)
		}
	}
	high, low := uuidWords(boot)
	m.Store(witnessAtBoot, high)
	m.Store(witnessAtBoot+1, low)
	m.Store(witnessAtMagic, witnessMagic)
}

// begin says that r, whole blocks of a leg with this CrashGen, is being changed; end must follow once each block
// matches its checksum again. It returns noPlace if it cannot say so.
func (w *witness) begin(id volume.LegID, crashGen uint64, r block.Range) int {
	n := w.take()
	if n == noPlace {
		return noPlace
	}
	at, m := placeWord(n), w.memory
	high, low := uuidWords(id.UUID)
	m.Store(at+placeAtLeg, high)
	m.Store(at+placeAtLeg+1, low)
	m.Store(at+placeAtFirst, uint64(r.Off/volume.BlockBytes))
	m.Store(at+placeAtBlocks, crashGen<<32|uint64(r.Len/volume.BlockBytes)) // the last: with it the place counts
	return n
}

func (w *witness) take() int {
	if w == nil {
		return noPlace
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	last := len(w.free) - 1
	if last < 0 || w.closed {
		return noPlace
	}
	n := w.free[last]
	w.free = w.free[:last]
	return n
}

// end says that the change is over. noPlace is allowed.
func (w *witness) end(place int) {
	if place == noPlace {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.closed {
		w.clear(place)
	}
}

// clear empties a place; the lock is held, or nobody else knows the witness.
func (w *witness) clear(place int) {
	w.memory.Store(placeWord(place)+placeAtBlocks, 0)
	w.free = append(w.free, place)
}

// leftOf returns what a process that died had under way on a leg that was not opened since and whose label says this
// CrashGen.
func (w *witness) leftOf(id volume.LegID, crashGen uint64) []block.Range {
	if w == nil {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	var ranges []block.Range
	if w.closed {
		return nil
	}
	for _, n := range w.left {
		if p := w.read(n); p.leg == id && p.crashGen == uint32(crashGen) {
			ranges = append(ranges, p.blocks)
		}
	}
	return ranges
}

// forget ends what a process that died had under way on a leg: its blocks were settled, or announced in the checksums.
func (w *witness) forget(id volume.LegID) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.left = slices.DeleteFunc(w.left, func(n int) bool {
		gone := !w.closed && w.read(n).leg == id
		if gone {
			w.clear(n)
		}
		return gone
	})
}

// drop ends all that is said of a leg that is gone, and of which nothing is under way.
func (w *witness) drop(id volume.LegID) {
	if w == nil {
		return
	}
	w.forget(id)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return
	}
	for n := range witnessPlaces {
		if p := w.read(n); p.leg == id && !p.blocks.Empty() {
			w.clear(n)
		}
	}
}

// place is what one place says; nothing if blocks is empty.
type place struct {
	leg      volume.LegID
	crashGen uint32
	blocks   block.Range
}

func (w *witness) read(n int) place {
	at, m := placeWord(n), w.memory
	id := wordsUUID(m.Load(at+placeAtLeg), m.Load(at+placeAtLeg+1))
	first, word := int64(m.Load(at+placeAtFirst)), m.Load(at+placeAtBlocks)
	blocks := block.Range{Off: first * volume.BlockBytes, Len: int64(uint32(word)) * volume.BlockBytes}
	return place{leg: volume.LegID{UUID: id}, crashGen: uint32(word >> 32), blocks: blocks}
}

// close gives up the memory; what is under way in it stays for the next process.
func (w *witness) close() error {
	if w == nil {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil
	}
	w.closed = true
	return w.memory.Close()
}

func placeWord(place int) int { return witnessHeaderWords + place*witnessPlaceWords }

func uuidWords(id volume.UUID) (high, low uint64) {
	return binary.BigEndian.Uint64(id[:8]), binary.BigEndian.Uint64(id[8:])
}

func wordsUUID(high, low uint64) (id volume.UUID) {
	binary.BigEndian.PutUint64(id[:8], high)
	binary.BigEndian.PutUint64(id[8:], low)
	return id
}

// named reports whether one of the ranges holds block n.
func named(ranges []block.Range, n int64) bool {
	return slices.ContainsFunc(ranges, func(r block.Range) bool {
		return r.Overlaps(block.Range{Off: n * volume.BlockBytes, Len: volume.BlockBytes})
	})
}
