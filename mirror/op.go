package mirror

import (
	"time"

	"github.com/holdfast-storage/holdfast/block"
)

type opKind uint8

const (
	opRead  opKind = iota + 1 // of the guest
	opWrite                   // of the guest: a write or a zero
	opFlush                   // of the guest, of a join or of clearing marks
	opCopy                    // of one extent: reconcile, join, heal or scrub
)

// op is one operation in flight, from the pool of its Core. It is on one list at a time, and its
// slot is not used again before every request that it sent has been answered, so that an answer can
// never be taken for that of another operation.
type op struct {
	slot       uint32
	kind       opKind
	next, prev *op
	list       *opList

	guest Handle
	data  Handle      // payload of a write, or what a read brought
	want  block.Range // what the guest asked for
	rng   block.Range // the same in whole blocks; what is locked
	io    block.Range // what is written; within rng
	verb  block.Op
	flags block.Flags
	lock  rangeLock
	wide  block.Range // what is locked instead of rng, if not empty: whole stripes
	part  stripePart  // of a set of parity

	// The writing half: who gets it and who answered.
	seq      uint64        // order of dispatch; zero before
	sentAt   time.Duration // of the first dispatch
	askedAt  time.Duration // by the guest, see pace
	firstAt  time.Duration // of the first answer; zero before
	targets  legSet        // legs it goes to
	inflight legSet        // legs that have it and did not answer
	answered legSet        // legs that have done it
	noSpace  legSet        // legs that had no room for it, or could not rewrite a bad block with it
	acked    bool          // whoever asked was answered
	beside   bool          // the guest asked while something was copied
	strays   int           // answers to superseded reads that are still to come

	fetch fetch
	// mendedOnce: no leg could read all of what the guest reads; it was healed, as far as that was possible.
	mendedOnce bool

	edge    uint8 // which edge of an unaligned write is being read
	purpose flushPurpose
	copy    copyJob
}

// busy reports whether some answer to the operation is still to come.
func (o *op) busy() bool { return o.inflight|o.fetch.reading != 0 || o.strays > 0 || o.copy.calls > 0 }

// opList is an intrusive list of operations, oldest first.
type opList struct {
	head, tail *op
	n          int
}

func (l *opList) push(o *op) {
	if o.list != nil {
		o.list.remove(o)
	}
	o.list, o.prev, o.next = l, l.tail, nil
	if l.tail == nil {
		l.head = o
	} else {
		l.tail.next = o
	}
	l.tail = o
	l.n++
}

func (l *opList) remove(o *op) {
	if o.prev == nil {
		l.head = o.next
	} else {
		o.prev.next = o.next
	}
	if o.next == nil {
		l.tail = o.prev
	} else {
		o.next.prev = o.prev
	}
	o.list, o.prev, o.next = nil, nil, nil
	l.n--
}

// newOp takes a slot from the pool.
func (c *Core) newOp(kind opKind) *op {
	var o *op
	if n := len(c.freeOps); n > 0 {
		o = c.freeOps[n-1]
		c.freeOps = c.freeOps[:n-1]
	} else {
		o = &op{slot: uint32(len(c.ops))}
		c.ops = append(c.ops, o)
	}
	o.kind = kind
	return o
}

// retire gives back what the operation holds. Its slot becomes free once nothing of it is under
// way; until then it waits among the zombies.
func (c *Core) retire(o *op) {
	if o.lock.held() {
		c.unlock(o)
	}
	if o.busy() {
		if o.list != &c.zombies {
			c.zombies.push(o)
		}
		return
	}
	if o.list != nil {
		o.list.remove(o)
	}
	if o.data != nil {
		c.emit(Effect{Kind: EffectRelease, Data: o.data})
	}
	if o.part.old != nil {
		c.emit(Effect{Kind: EffectRelease, Data: o.part.old})
	}
	buf, legs := o.copy.buf, o.part.plan.Legs[:0]
	*o = op{slot: o.slot}
	o.copy.buf, o.part.plan.Legs = buf, legs
	c.freeOps = append(c.freeOps, o)
	c.note(workIdle)
}
