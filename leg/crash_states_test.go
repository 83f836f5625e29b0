package leg_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
)

// outcomes enumerates what chance can do: each call of choose picks one of n outcomes, and next goes
// on to a combination of picks that was not there yet. The number of picks may depend on earlier ones.
type outcomes struct {
	picks []pick
	at    int
}

type pick struct{ chosen, of int }

func (o *outcomes) choose(n int) int {
	if o.at == len(o.picks) {
		o.picks = append(o.picks, pick{of: n})
	}
	p := o.picks[o.at]
	o.at++
	return p.chosen
}

// next goes to the next combination, false if there is none.
func (o *outcomes) next() bool {
	o.picks = o.picks[:o.at]
	o.at = 0
	for n := len(o.picks); n > 0; n-- {
		if p := &o.picks[n-1]; p.chosen+1 < p.of {
			p.chosen++
			o.picks = o.picks[:n]
			return true
		}
	}
	return false
}

// crashStates calls check with what a power cut now can leave: all of it if that is no more than limit
// states; else the states in which nothing unsynced, all of it, and all but one sector or name got
// through, and others by lot, limit in all. It returns how many there were.
func crashStates(fsys *memFS, limit int, rng *rand.Rand, check func(*memFS)) int {
	if n := countStates(fsys, limit); n <= limit {
		o := &outcomes{}
		for more := true; more; more = o.next() {
			check(fsys.afterCut(o.choose))
		}
		return n
	}
	count := 0
	try := func(choose func(n int) int) {
		check(fsys.afterCut(choose))
		count++
	}
	picks := 0
	try(func(int) int { return 0 })
	try(func(n int) int { picks++; return n - 1 })
	for missing := 0; missing < picks && count < limit/2; missing++ {
		i := 0
		try(func(n int) int {
			if i++; i == missing+1 {
				return 0
			}
			return n - 1
		})
	}
	for count < limit {
		try(rng.IntN)
	}
	return count
}

// countStates returns how many states a power cut now can leave, limit+1 for more than limit. It keeps
// none of them: a few thousand are more than a machine's memory.
func countStates(fsys *memFS, limit int) int {
	o := &outcomes{}
	n := 0
	for more := true; more && n <= limit; more = o.next() {
		fsys.afterCut(o.choose)
		n++
	}
	return n
}

// promised is what has been promised of a leg: what a machine that starts again must find.
type promised struct {
	provisioned  bool
	deleting     bool
	epoch, tried uint64 // answered fence epoch, highest one that was asked for
	cfg          uint64 // answered cfgver
	blocks       map[int64]*promisedBlock
}

// promisedBlock is one block: the last value that is known to be on stable storage, and those that came
// after it, answered or not.
type promisedBlock struct {
	flushed uint64
	later   []uint64
	acked   uint64 // newest value that was answered
	cfg     uint64 // configuration of the newest write that is flushed
}

// block returns what is promised of a block.
func (p *promised) block(b int64) *promisedBlock {
	if p.blocks[b] == nil {
		p.blocks[b] = &promisedBlock{}
	}
	return p.blocks[b]
}

// flush makes what was answered before it durable.
func (p *promised) flush() {
	for _, b := range p.blocks {
		if len(b.later) > 0 {
			b.flushed, b.later, b.cfg = b.acked, nil, p.cfg
		}
	}
}

// allows reports whether the block may hold the value after a power cut. In a region without a mark it
// is what was answered last: what may have been lost is marked.
func (b *promisedBlock) allows(value uint64, marked bool) bool {
	if !marked {
		return value == b.acked
	}
	return value == b.flushed || slices.Contains(b.later, value)
}

// blockOf fills a block with a value, each sector alike, so that a torn block shows.
func blockOf(value uint64) []byte {
	p := make([]byte, 4096)
	for i := 0; i < len(p) && value != 0; i += 8 {
		binary.BigEndian.PutUint64(p[i:], value)
	}
	return p
}

// valueOf returns the value of a block, an error if it is torn.
func valueOf(p []byte) (uint64, error) {
	value := binary.BigEndian.Uint64(p)
	for i := 0; i < len(p); i += 8 {
		if v := binary.BigEndian.Uint64(p[i:]); v != value {
			return 0, fmt.Errorf("torn: byte 0 is of %d, byte %d of %d", value, i, v)
		}
	}
	return value, nil
}
