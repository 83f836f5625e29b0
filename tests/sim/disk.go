package sim

import (
	"hash/crc32"
	"maps"
	"slices"
	"time"
)

// sectors is how many sectors of 512 bytes, the unit that never tears, a block has.
const sectors = 8

// content is what a block of 4 KiB holds: of each sector, the number of the request that wrote it.
// Zero is a sector that was never written, or zeroed.
type content [sectors]uint32

// The values of a block's entry in the file of checksums that are none (docs/ondisk.md).
const (
	sumBlank uint32 = 0 // never written, or zeroed
	sumBusy  uint32 = 1 // a write was under way, on a leg that has no witness
)

// sumOf is the checksum of a block's content at its place.
func sumOf(b int64, c content) uint32 {
	if c == (content{}) {
		return sumBlank
	}
	var buf [8 + 4*sectors]byte
	for i := range 8 {
		buf[i] = byte(b >> (8 * i))
	}
	for i, v := range c {
		buf[8+4*i], buf[9+4*i], buf[10+4*i], buf[11+4*i] = byte(v), byte(v>>8), byte(v>>16), byte(v>>24)
	}
	s := crc32.ChecksumIEEE(buf[:])
	if s <= sumBusy {
		s += 2
	}
	return s
}

// cell is one block in the page cache, with what the medium may hold instead of it.
type cell struct {
	data     content
	sum      uint32
	dirty    bool
	older    []version // data and sums that a power cut may leave instead
	olderSum []sumVersion
	seq      uint64 // of the present data and sum
	sumSeq   uint64
}

type version struct {
	data   content
	seq    uint64
	rotten bool // no checksum belongs to it
}

type sumVersion struct {
	sum uint32
	seq uint64
}

// disk is the data and the checksums of one leg: a page cache over a medium that may keep any version
// of any block since the last flush, or a mix of their sectors.
type disk struct {
	cells   []cell
	dirty   []int64
	seq     uint64
	rotten  map[int64]bool // blocks that changed on the medium by themselves, and were not written since
	lying   bool           // says that it flushed, and did not
	liar    bool           // it did so once
	decayed bool           // some of its blocks rotted
	claimed uint64         // what a lying disk said that it flushed

	announces bool           // changes are announced in the checksums: there is no memory for a witness
	underWay  map[int64]bool // blocks that the witness names; a power cut takes it

	cured map[int64]time.Duration // blocks that were bad until a power cut lost what made them so, and when
}

func newDisk(blocks int64) *disk {
	return &disk{cells: make([]cell, blocks), rotten: map[int64]bool{}, underWay: map[int64]bool{},
		cured: map[int64]time.Duration{}}
}

// clone copies the disk, for a leg that is set back later.
func (d *disk) clone() *disk {
	c := &disk{cells: make([]cell, len(d.cells)), dirty: append([]int64(nil), d.dirty...), seq: d.seq,
		announces: d.announces, underWay: map[int64]bool{},
		rotten: maps.Clone(d.rotten), decayed: d.decayed, cured: maps.Clone(d.cured)}
	copy(c.cells, d.cells)
	for _, b := range d.dirty {
		c.cells[b].older = append([]version(nil), d.cells[b].older...)
		c.cells[b].olderSum = append([]sumVersion(nil), d.cells[b].olderSum...)
	}
	return c
}

func (d *disk) touch(b int64) *cell {
	c := &d.cells[b]
	d.seq++
	if !c.dirty {
		c.dirty = true
		d.dirty = append(d.dirty, b)
	}
	return c
}

// put writes a block into the page cache.
func (d *disk) put(b int64, data content) {
	c := d.touch(b)
	c.older = append(c.older, version{c.data, c.seq, d.rotten[b]})
	delete(d.rotten, b)
	c.data, c.seq = data, d.seq
}

// putSum writes a block's checksum into the page cache.
func (d *disk) putSum(b int64, sum uint32) {
	if d.cells[b].sum == sum {
		return
	}
	c := d.touch(b)
	c.olderSum = append(c.olderSum, sumVersion{c.sum, c.sumSeq})
	c.sum, c.sumSeq = sum, d.seq
}

// begin says that a block is being changed, to the witness or in its checksum.
func (d *disk) begin(b int64) {
	if d.announces {
		d.putSum(b, sumBusy)
		return
	}
	d.underWay[b] = true
}

// end gives the block a checksum again.
func (d *disk) end(b int64, sum uint32) {
	d.putSum(b, sum)
	delete(d.underWay, b)
}

// unsettled reports whether a process that died was changing a block that shows it.
func (d *disk) unsettled(b int64) bool {
	return d.cells[b].sum == sumBusy || d.underWay[b] && d.bad(b)
}

// bad reports whether a block is not what was written last.
func (d *disk) bad(b int64) bool { return d.cells[b].sum != sumOf(b, d.cells[b].data) }

// badSince reports whether a block is bad, or was until a power cut after a time: an answer that is on its
// way may tell of that.
func (d *disk) badSince(b int64, since time.Duration) bool {
	at, ok := d.cured[b]
	return d.bad(b) || ok && at >= since
}

// flushed says that everything up to seq is on the medium.
func (d *disk) flushed(seq uint64) {
	if d.lying {
		d.claimed = max(d.claimed, seq)
		return
	}
	kept := d.dirty[:0]
	for _, b := range d.dirty {
		c := &d.cells[b]
		c.older, c.olderSum = dropOlder(c.older, c.seq, seq), dropOlderSum(c.olderSum, c.sumSeq, seq)
		if c.dirty = len(c.older)+len(c.olderSum) > 0; c.dirty {
			kept = append(kept, b)
		}
	}
	d.dirty = kept
}

// dropOlder forgets the versions that a flush of everything up to seq has overwritten: all before the
// newest one that it covers.
func dropOlder(older []version, current, seq uint64) []version {
	return append(older[:0], older[firstLeft(older, current, seq):]...)
}

func dropOlderSum(older []sumVersion, current, seq uint64) []sumVersion {
	if current <= seq {
		return older[:0]
	}
	first := 0
	for i, v := range older {
		if v.seq <= seq {
			first = i
		}
	}
	return append(older[:0], older[first:]...)
}

// powerCut leaves of each block what the medium happens to hold. It returns the blocks that a disk which lied lost
// without a trace.
func (d *disk) powerCut(w *world, excused bool) (lost []int64) {
	clear(d.underWay)
	whole := d.lying && w.chance(2) // a disk that lies loses its cache as a whole, mostly
	for _, b := range d.dirty {
		c := &d.cells[b]
		before, honest, bad := c.data, 0, d.bad(b)
		honestSum := 0
		if d.lying {
			honest = firstLeft(c.older, c.seq, d.claimed)
			honestSum = len(c.olderSum) - len(dropOlderSum(slices.Clone(c.olderSum), c.sumSeq, d.claimed))
		}
		deceived, deceivedSum, rotten := false, false, false
		if n := len(c.older); n > 0 {
			torn := w.chance(4)
			pick := func() content {
				i := w.rng.IntN(n + 1)
				if whole {
					i = 0
				}
				deceived = deceived || i < honest
				if i < n {
					rotten = rotten || c.older[i].rotten
					return c.older[i].data
				}
				return c.data
			}
			left := pick()
			for s := range left {
				if torn {
					left[s] = pick()[s]
				}
			}
			c.data = left
		}
		if n := len(c.olderSum); n > 0 {
			i := w.rng.IntN(n + 1)
			if whole {
				i = 0
			}
			if i < n {
				deceivedSum = i < honestSum && c.olderSum[i].sum != c.sum
				c.sum = c.olderSum[i].sum
			}
		}
		c.older, c.olderSum, c.dirty = c.older[:0], c.olderSum[:0], false
		if rotten && d.bad(b) { // what had rotted is there again, and what would have mended it is lost
			d.rotten[b] = true
		}
		if bad && !d.bad(b) {
			d.cured[b] = w.now
		}
		deceived = deceived && c.data != before
		switch {
		case excused:
		case (deceived || deceivedSum) && d.bad(b):
			d.rotten[b], d.decayed = true, true // that shows, as if it had rotted
		case deceived:
			lost = append(lost, b)
		}
	}
	d.dirty = d.dirty[:0]
	return lost
}

// honest makes true what a lying disk said.
func (d *disk) honest() {
	d.lying = false
	d.flushed(d.claimed)
}

// firstLeft returns the first of the older versions that an honest flush of everything up to seq would have
// left on the medium; all of them if it has the present one.
func firstLeft(older []version, current, seq uint64) int {
	if current <= seq {
		return len(older)
	}
	first := 0
	for i, v := range older {
		if v.seq <= seq {
			first = i
		}
	}
	return first
}

// mayLose reports whether a power cut may leave something of a block that is older than what it holds,
// in a sector of mask.
func (d *disk) mayLose(b int64, mask uint8) bool {
	c := &d.cells[b]
	for _, v := range c.older {
		for s := range v.data {
			if mask&(1<<s) != 0 && v.data[s] != c.data[s] && !v.rotten {
				return true
			}
		}
	}
	return false
}

// mayForget reports whether a power cut may leave in some sector what was there before a covered value.
func (d *disk) mayForget(b int64, covered content) bool {
	c := &d.cells[b]
	for s, value := range covered {
		if value == 0 {
			continue
		}
		at := -1
		if c.data[s] == value {
			at = len(c.older)
		}
		for i := len(c.older) - 1; i >= 0 && at < 0; i-- {
			if c.older[i].data[s] == value {
				at = i
			}
		}
		for i := range max(at, 0) {
			if c.older[i].data[s] != value && !c.older[i].rotten {
				return true
			}
		}
	}
	return false
}
