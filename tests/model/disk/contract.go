// Package disk is the contract of tests/model and tests/model/parity: one block of a disk with a write cache, as
// a guest sees it.
package disk

import "sync"

// Contract is what the guest may see: one block of a disk with a write cache.
//
//	cur   what a read returns
//	disk  what the medium holds
//	write w takes effect at one moment between its issue and its ack: cur = w
//	write-back may happen at any moment: disk = cur
//	a flush has a moment between its issue and its answer at which disk = cur
//	loss (every in-sync leg lost power with the region marked): cur = disk, once
//
// A history is right if some run of this disk explains it. The contract keeps, for what the guest
// has seen so far, the set of all states that the disk can be in; the empty set is a violation.
// Without a loss this is linearizability of a register, over all epochs.
//
// It is shared by all workers of a search. The sets get numbers in the order in which they turn up;
// which number a set gets does not matter.
type Contract struct {
	mu    sync.RWMutex
	ids   map[explanation]ID
	sets  []explanation
	steps map[Observation]ID
}

// ID names a set of states of the disk; NoExplanation is the empty one.
type ID uint32

// NoExplanation is the empty set: no disk behaves so.
const NoExplanation ID = 0

// explanation is a set of states of the disk. Such a state has cur (2 bits), disk (2), the writes
// that took effect (3), and the epochs whose flush in flight had its moment (3).
type explanation [16]uint64

// The most writes and epochs that an explanation has room for.
const (
	MaxWrites = 3
	MaxEpochs = 3
)

const diskStates = 16 * 64

// Seen is a kind of thing that the guest, or the operator, observes.
type Seen uint8

// What there is to see.
const (
	SawAck       Seen = iota // arg: the write
	SawRead                  // arg: the value
	SawFlush                 // arg: the epoch whose flush is answered
	SawFlushLost             // arg: the epoch whose flush never will be
	SawLoss                  // what was not written back may be gone
)

// Observation is one more thing that the guest saw of a block.
type Observation struct {
	From           ID
	What           Seen
	Arg            uint8
	Issued, Flying uint8 // writes of the block issued so far; epochs with a flush in flight
}

// New returns a contract that nobody has seen anything of.
func New() *Contract {
	c := &Contract{ids: map[explanation]ID{}, steps: map[Observation]ID{}}
	c.number(explanation{}) // NoExplanation
	return c
}

// Start returns the explanation of a disk that holds value 0, to which nothing happened yet.
func (c *Contract) Start() ID {
	var e explanation
	e.add(diskState(0, 0, 0, 0))
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.number(e)
}

func (c *Contract) number(e explanation) ID {
	if id, ok := c.ids[e]; ok {
		return id
	}
	id := ID(len(c.sets))
	c.ids[e] = id
	c.sets = append(c.sets, e)
	return id
}

// Observe narrows what explains the history by one more thing that the guest saw.
func (c *Contract) Observe(o Observation) ID {
	c.mu.RLock()
	id, ok := c.steps[o]
	c.mu.RUnlock()
	if !ok {
		c.mu.Lock()
		id = c.number(c.sets[o.From].after(o))
		c.steps[o] = id
		c.mu.Unlock()
	}
	return id
}

func diskState(cur, disk, done, hit int) int { return cur | disk<<2 | done<<4 | hit<<7 }

func fields(i int) (cur, disk, done, hit int) { return i & 3, i >> 2 & 3, i >> 4 & 7, i >> 7 }

func (e *explanation) has(i int) bool { return e[i>>6]&(1<<(i&63)) != 0 }
func (e *explanation) add(i int)      { e[i>>6] |= 1 << (i & 63) }

// after returns the states of the disk that are possible once o was observed.
func (e explanation) after(o Observation) (out explanation) {
	if o.What != SawFlushLost {
		e = e.silently(o.Issued, o.Flying)
	}
	me := 1 << o.Arg >> 1 // the bit of the write, or of the epoch
	for i := range diskStates {
		if !e.has(i) {
			continue
		}
		cur, disk, done, hit := fields(i)
		possible := true
		switch o.What {
		case SawAck:
			possible = done&me != 0
		case SawRead:
			possible = cur == int(o.Arg)
		case SawFlush:
			possible = hit&me != 0
			hit &^= me
		case SawFlushLost:
			hit &^= me
		case SawLoss:
			cur = disk
		}
		if possible {
			out.add(diskState(cur, disk, done, hit))
		}
	}
	return out
}

// silently adds every state that is reached by steps which the guest cannot see.
func (e explanation) silently(issued, flying uint8) explanation {
	var todo []int
	visit := func(i int) {
		if !e.has(i) {
			e.add(i)
			todo = append(todo, i)
		}
	}
	for i := range diskStates {
		if e.has(i) {
			todo = append(todo, i)
		}
	}
	for len(todo) > 0 {
		cur, disk, done, hit := fields(todo[len(todo)-1])
		todo = todo[:len(todo)-1]
		for w := 1; w <= MaxWrites; w++ {
			if issued&(1<<w) != 0 && done&(1<<(w-1)) == 0 {
				visit(diskState(w, disk, done|1<<(w-1), hit))
			}
		}
		visit(diskState(cur, cur, done, hit))
		for f := 1; f <= MaxEpochs && cur == disk; f++ {
			if flying&(1<<f) != 0 {
				visit(diskState(cur, disk, done, hit|1<<(f-1)))
			}
		}
	}
	return e
}
