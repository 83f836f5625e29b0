package search

import (
	"fmt"
	"slices"
	"sync/atomic"
)

// The table's size, as a binary logarithm.
const (
	tableBitsMin = 14
	tableBitsMax = 31
)

// table is the set of states that were met, as hashes, each with the slot of the state that it was
// met from. It never grows, so its memory is known from the start. Workers share it without a lock.
//
// Two states with one 64-bit hash would count as one: with a hundred million states the chance that
// any two do is below one in a thousand.
type table struct {
	keys   []uint64 // 0: free
	parent []uint32
	count  atomic.Int64
}

func validateTable(bits int) error {
	if bits < tableBitsMin || bits > tableBitsMax {
		return fmt.Errorf("table of 2^%d states: use %d to %d", bits, tableBitsMin, tableBitsMax)
	}
	return nil
}

func newTable(bits int) *table {
	return &table{keys: make([]uint64, 1<<bits), parent: make([]uint32, 1<<bits)}
}

func (t *table) len() int { return int(t.count.Load()) }

// full reports whether nine tenths of the slots are taken. The rest is room for what the workers
// insert before they ask again.
func (t *table) full() bool { return t.len() >= len(t.keys)/10*9 }

// insert adds a key, which is not 0, and reports its slot and whether it is new.
func (t *table) insert(key uint64, parent uint32) (slot uint32, fresh bool) {
	mask := uint64(len(t.keys) - 1)
	for i := key & mask; ; {
		switch old := atomic.LoadUint64(&t.keys[i]); old {
		case key:
			return uint32(i), false
		case 0:
			if atomic.CompareAndSwapUint64(&t.keys[i], 0, key) {
				t.parent[i] = parent
				t.count.Add(1)
				return uint32(i), true
			} // another worker took the slot: look at it again
		default:
			i = (i + 1) & mask
		}
	}
}

// path returns the keys on the way from the root, which is left out, to a state that was met from
// parent. No worker may be at work.
func (t *table) path(root, parent uint32, key uint64) []uint64 {
	keys := []uint64{key}
	for slot := parent; slot != root; slot = t.parent[slot] {
		keys = append(keys, t.keys[slot])
	}
	slices.Reverse(keys)
	return keys
}
