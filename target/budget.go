package target

import (
	"slices"
	"sync"
)

// budget bounds the memory that the commands of one connection occupy. conn.mu guards it.
//
// Data-out that an R2T asks for and data-in are counted apart, since data-in is given back by writing
// alone while data-out waits for the same reader that must not be blocked. Data-out that comes unasked is
// counted on its own: the CmdSN window bounds it, and a command that finds no room for it is told BUSY.
//
// Invariant: of each of the three the first request always gets what it needs, whatever the other
// connections hold, so every connection goes on.
type budget struct {
	outMax, outUsed int64
	inMax, inUsed   int64
	firstUsed       int64
	outWaiting      []*task   // for room, in the order of their commands
	released        sync.Cond // data-in was given back, or the gate was shut

	common *memory
	drawn  int64 // bytes of common that this connection has
}

func (b *budget) init(c *conn, o Options) {
	b.outMax, b.inMax = o.DataOutBytes, o.DataInBytes
	b.released.L = &c.mu
	b.common = &c.server.memory
}

// draw makes sure that the connection may occupy more bytes than it does: of its own share, or of what
// all have in common.
func (b *budget) draw(more int64) bool {
	need := b.outUsed + b.inUsed + b.firstUsed + more - b.common.share - b.drawn
	if need <= 0 {
		return true
	}
	if !b.common.take(need) {
		return false
	}
	b.drawn += need
	return true
}

// repay gives back what the connection does not need any more.
func (b *budget) repay() {
	if b.drawn == 0 {
		return
	}
	if spare := b.drawn - max(0, b.outUsed+b.inUsed+b.firstUsed-b.common.share); spare > 0 {
		b.drawn -= spare
		b.common.give(spare)
	}
}

// reserveOut takes n bytes. A command that is larger than the whole budget gets all of it.
func (b *budget) reserveOut(n int64) bool {
	if b.outUsed > 0 && (b.outUsed+n > b.outMax || !b.draw(n)) {
		return false
	}
	b.outUsed += n
	return true
}

func (b *budget) reserveIn(n int64) bool {
	if b.inUsed > 0 && (b.inUsed+n > b.inMax || !b.draw(n)) {
		return false
	}
	b.inUsed += n
	return true
}

func (b *budget) reserveFirst(n int64) bool {
	if b.firstUsed > 0 && !b.draw(n) {
		return false
	}
	b.firstUsed += n
	return true
}

func (b *budget) releaseIn(n int64) {
	if n > 0 {
		b.inUsed -= n
		b.repay()
		b.released.Broadcast()
	}
}

func (b *budget) releaseOut(n int64) {
	if n > 0 {
		b.outUsed -= n
		b.repay()
	}
}

func (b *budget) releaseFirst(n int64) {
	if n > 0 {
		b.firstUsed -= n
		b.repay()
	}
}

// forget takes a task out of the queue for data-out.
func (b *budget) forget(t *task) {
	b.outWaiting = slices.DeleteFunc(b.outWaiting, func(o *task) bool { return o == t })
}
