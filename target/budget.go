package target

import (
	"slices"
	"sync"
)

// budget bounds the memory that the commands of one connection occupy. conn.mu guards it.
//
// Data-out that an R2T asks for and data-in are counted apart, since data-in is given back by
// writing alone while data-out waits for the same reader that must not be blocked.
type budget struct {
	outMax, outUsed int64
	inMax, inUsed   int64
	outWaiting      []*task   // for room, in the order of their commands
	released        sync.Cond // data-in was given back, or the gate was shut
}

func (b *budget) init(c *conn, o Options) {
	b.outMax, b.inMax = o.DataOutBytes, o.DataInBytes
	b.released.L = &c.mu
}

// reserveOut takes n bytes. A command that is larger than the whole budget gets all of it.
func (b *budget) reserveOut(n int64) bool {
	if b.outUsed > 0 && b.outUsed+n > b.outMax {
		return false
	}
	b.outUsed += n
	return true
}

func (b *budget) reserveIn(n int64) bool {
	if b.inUsed > 0 && b.inUsed+n > b.inMax {
		return false
	}
	b.inUsed += n
	return true
}

func (b *budget) releaseIn(n int64) {
	if n > 0 {
		b.inUsed -= n
		b.released.Broadcast()
	}
}

// forget takes a task out of the queue for data-out.
func (b *budget) forget(t *task) {
	b.outWaiting = slices.DeleteFunc(b.outWaiting, func(o *task) bool { return o == t })
}
