package leg

import (
	"math/bits"
	"slices"
)

// bitset is a set of small numbers. A second level says which words are not zero, so that walking and
// emptying a nearly empty set of millions costs little.
//
// Invariant: bit w of summary is set if and only if words[w] is not zero.
type bitset struct {
	words, summary []uint64
	size           int // numbers in the set
}

func newBitset(n uint32) bitset {
	words := (int(n) + 63) / 64
	return bitset{words: make([]uint64, words), summary: make([]uint64, (words+63)/64)}
}

func (b *bitset) clone() bitset {
	return bitset{words: slices.Clone(b.words), summary: slices.Clone(b.summary), size: b.size}
}

func (b *bitset) has(i uint32) bool { return b.words[i/64]&(1<<(i%64)) != 0 }

// set adds i and reports whether it was missing.
func (b *bitset) set(i uint32) bool {
	w := i / 64
	if b.words[w]&(1<<(i%64)) != 0 {
		return false
	}
	b.words[w] |= 1 << (i % 64)
	b.summary[w/64] |= 1 << (w % 64)
	b.size++
	return true
}

// unset removes i and reports whether it was there.
func (b *bitset) unset(i uint32) bool {
	w := i / 64
	if b.words[w]&(1<<(i%64)) == 0 {
		return false
	}
	b.words[w] &^= 1 << (i % 64)
	if b.words[w] == 0 {
		b.summary[w/64] &^= 1 << (w % 64)
	}
	b.size--
	return true
}

// next returns the first number of the set that is not below from, false if there is none.
func (b *bitset) next(from uint32) (uint32, bool) {
	w := int(from / 64)
	if w >= len(b.words) {
		return 0, false
	}
	if rest := b.words[w] >> (from % 64); rest != 0 {
		return from + uint32(bits.TrailingZeros64(rest)), true
	}
	w++
	s := w / 64
	if s >= len(b.summary) {
		return 0, false
	}
	for rest := b.summary[s] >> (w % 64) << (w % 64); ; rest = b.summary[s] {
		if rest != 0 {
			w = s*64 + bits.TrailingZeros64(rest)
			return uint32(w*64 + bits.TrailingZeros64(b.words[w])), true
		}
		if s++; s == len(b.summary) {
			return 0, false
		}
	}
}

// reset empties the set.
func (b *bitset) reset() {
	for s, rest := range b.summary {
		for ; rest != 0; rest &= rest - 1 {
			b.words[s*64+bits.TrailingZeros64(rest)] = 0
		}
		b.summary[s] = 0
	}
	b.size = 0
}
