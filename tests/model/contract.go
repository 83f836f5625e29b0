package model

import "sync"

// contract is what the guest may see: one block of a disk with a write cache.
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
type contract struct {
	mu    sync.RWMutex
	ids   map[explanation]contractID
	sets  []explanation
	steps map[observation]contractID
}

// contractID names a set of states of the disk; noExplanation is the empty one.
type contractID uint32

const noExplanation contractID = 0

// explanation is a set of states of the disk. Such a state has cur (2 bits), disk (2), the writes
// that took effect (3), and the epochs whose flush in flight had its moment (3).
type explanation [16]uint64

const diskStates = 16 * 64

// seen is a kind of thing that the guest, or the operator, observes.
type seen uint8

const (
	sawAck       seen = iota // arg: the write
	sawRead                  // arg: the value
	sawFlush                 // arg: the epoch whose flush is answered
	sawFlushLost             // arg: the epoch whose flush never will be
	sawLoss
)

type observation struct {
	from           contractID
	what           seen
	arg            uint8
	issued, flying uint8 // writes issued so far; epochs with a flush in flight
}

func newContract() *contract {
	c := &contract{ids: map[explanation]contractID{}, steps: map[observation]contractID{}}
	c.number(explanation{}) // noExplanation
	return c
}

// start returns the explanation of a disk that holds value 0, to which nothing happened yet.
func (c *contract) start() contractID {
	var e explanation
	e.add(diskState(0, 0, 0, 0))
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.number(e)
}

func (c *contract) number(e explanation) contractID {
	if id, ok := c.ids[e]; ok {
		return id
	}
	id := contractID(len(c.sets))
	c.ids[e] = id
	c.sets = append(c.sets, e)
	return id
}

// observe narrows what explains s by one more thing that the guest saw.
func (c *contract) observe(s *state, what seen, arg uint8) {
	o := observation{from: s.explained, what: what, arg: arg}
	for w := uint8(1); w < s.nextWrite; w++ {
		o.issued |= 1 << w
	}
	for e := range s.hosts {
		if s.hosts[e].flush {
			o.flying |= 1 << e
		}
	}
	c.mu.RLock()
	id, ok := c.steps[o]
	c.mu.RUnlock()
	if !ok {
		c.mu.Lock()
		id = c.number(c.sets[o.from].after(o))
		c.steps[o] = id
		c.mu.Unlock()
	}
	s.explained = id
}

func diskState(cur, disk, done, hit int) int { return cur | disk<<2 | done<<4 | hit<<7 }

func fields(i int) (cur, disk, done, hit int) { return i & 3, i >> 2 & 3, i >> 4 & 7, i >> 7 }

func (e *explanation) has(i int) bool { return e[i>>6]&(1<<(i&63)) != 0 }
func (e *explanation) add(i int)      { e[i>>6] |= 1 << (i & 63) }

// after returns the states of the disk that are possible once o was observed.
func (e explanation) after(o observation) (out explanation) {
	if o.what != sawFlushLost {
		e = e.silently(o.issued, o.flying)
	}
	me := 1 << o.arg >> 1 // the bit of the write, or of the epoch
	for i := range diskStates {
		if !e.has(i) {
			continue
		}
		cur, disk, done, hit := fields(i)
		possible := true
		switch o.what {
		case sawAck:
			possible = done&me != 0
		case sawRead:
			possible = cur == int(o.arg)
		case sawFlush:
			possible = hit&me != 0
			hit &^= me
		case sawFlushLost:
			hit &^= me
		case sawLoss:
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
