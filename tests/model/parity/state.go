package parity

import (
	"math/bits"

	"github.com/holdfast-storage/holdfast/tests/model/disk"
)

// legSet is a set of legs: bit l stands for leg l. The first k legs hold the data symbols, so a set of them is
// also a set of symbols.
type legSet uint8

func one(l int) legSet          { return 1 << l }
func (s legSet) has(l int) bool { return s&one(l) != 0 }
func (s legSet) count() int     { return bits.OnesCount8(uint8(s)) }

// tuple is the content of a block: three bits for each symbol, of which write w sets bit w-1. A data leg uses its
// own symbol alone.
type tuple uint16

const symbolBits = 3

func only(d int) tuple               { return 7 << (symbolBits * d) }
func symbol(w, d int) tuple          { return 1 << (w - 1) << (symbolBits * d) }
func (t tuple) at(d int) uint8       { return uint8(t>>(symbolBits*d)) & 7 }
func whole(symbol uint8) bool        { return symbol&(symbol-1) == 0 } // not the sum of two writes
func valueOf(symbol uint8) (w uint8) { return uint8(bits.Len8(symbol)) }

// record is what a log says of a write.
type record uint8

const (
	none      record = iota
	staged           // STAGE or DELTA
	committed        // with the after-image of the block: replay is idempotent
	gone             // only in the tail: rolled back or freed
)

// entry is one record of a log that was not synced: the write and what is said of it.
type entry uint8

func newEntry(w int, r record) entry { return entry(w<<2) | entry(r) }
func (e entry) write() int           { return int(e >> 2) }
func (e entry) record() record       { return record(e & 3) }

// The sizes of a leg's parts: each write has three entries at most; the medium may hold the value that it had
// when it was synced, one for each write since, and a copy.
const (
	maxTail = 3 * MaxWrites
	maxHist = MaxWrites + 3
)

// leg is one leg's block of the stripe, and the log of its node.
type leg struct {
	fence uint8
	home  tuple                 // the home block, as the node reads it (page cache)
	hist  [maxHist]tuple        // what the medium may hold: all values since the last sync of home, ascending
	hists uint8                 // how many
	log   [MaxWrites + 1]record // the durable part of the log
	image [MaxWrites + 1]tuple  // after-images of commits
	order [MaxWrites]uint8      // the writes of the log, in the order in which they were staged
	tail  [maxTail]entry        // the part of the log that was not synced
	tails uint8                 // how many
	lossy bool                  // durable evidence: it lost power with a tail
	lost  bool                  // the same as a fact that the protocol cannot touch
	off   bool                  // the session saw that the leg restarted
	open  bool                  // used without a fence: it admits everybody (fewFence)
}

// write is one write of the guest: of one chunk, or of the whole stripe.
type write struct {
	host   uint8
	target legSet // symbols
	q      legSet // Q: the legs that it is staged on, named in each of its records
	past   legSet // legs of Q that dropped their record when they joined, and say so
	got    legSet // legs that answered
	wire   legSet // legs that the message is on its way to
	flying bool   // not acknowledged
	delta  tuple  // new ⊕ old
}

// stage is how far a leg that joins has come.
type stage uint8

const (
	notJoining stage = iota
	entered          // its old records are dropped
	copied           // its block is decoded from others and written; it gets the writes from now on
	acking           // acks need it
	settled          // what it holds is durable
)

// phase is where a host is in its life.
type phase uint8

const (
	unused phase = iota
	recovering
	serving
)

// host is the engine of one epoch. The index in state.hosts is the epoch.
type host struct {
	phase   phase
	set     legSet // the in-sync list as it knows it
	view    tuple  // the current symbols
	flush   bool   // a flush is in flight
	flushed legSet // legs that answered it
	join    uint8  // leg + 1
	stage   stage
}

// state is all that the parties and the wires hold. It has no pointers.
type state struct {
	epoch         uint8
	isr           legSet
	active        bool
	fenced, lossy legSet // of this epoch, until it is active
	next          uint8  // the next write
	flushes, cuts uint8
	removes       uint8
	joins         uint8
	garbage       bool // two ways to decode a stripe disagreed
	writes        [MaxWrites + 1]write
	legs          [MaxLegs]leg
	hosts         [MaxEpochs + 1]host
	explained     [MaxData]disk.ID
}

// receivers are the legs of a host that get its writes.
func (h *host) receivers() legSet {
	if h.stage >= copied {
		return h.set | one(int(h.join)-1)
	}
	return h.set
}

// ackers are the legs of a host that its acks and flushes need.
func (h *host) ackers() legSet {
	if h.stage >= acking {
		return h.set | one(int(h.join)-1)
	}
	return h.set
}
