package mirror

import "github.com/holdfast-storage/holdfast/block"

// Range locks keep at most one outstanding write on a block, and reads away from a write in flight
// (protocol §1.3). They are granted in the order in which they were asked for, so nobody starves.
//
// Every lock that is asked for stands in the table at once. It counts the older locks that are in
// its way; each of them takes itself off that count when it goes, and the lock is held when the
// count is zero. There is no queue to keep in order and nothing to allocate. A lock inside one zone
// of 1 MiB is filed by its zone; a longer one is filed apart and compared with all.

const (
	zoneShift   = 20
	zoneBuckets = 256 // a power of two
)

// rangeLock is the part of an operation that stands in the table.
type rangeLock struct {
	next, prev *op
	rng        block.Range
	bucket     int16 // wideBucket for a lock that spans zones; valid while order != 0
	exclusive  bool
	blockers   int32
	order      uint64 // age; zero = not in the table
}

func (l *rangeLock) held() bool { return l.order != 0 }

const wideBucket = zoneBuckets

type lockList struct{ head, tail *op }

type lockTable struct {
	lists [zoneBuckets + 1]lockList
	order uint64
	count int
}

func bucketOf(r block.Range) int {
	zone := r.Off >> zoneShift
	if (r.End()-1)>>zoneShift != zone {
		return wideBucket
	}
	return int(zone) & (zoneBuckets - 1)
}

// conflict reports whether the two operations must not hold their ranges together.
func conflict(a, b *op) bool {
	return (a.lock.exclusive || b.lock.exclusive) && a.lock.rng.Overlaps(b.lock.rng)
}

// acquire asks for o.rng, or for o.wide if there is one, and reports whether it is held at once.
func (t *lockTable) acquire(o *op, exclusive bool) bool {
	t.order++
	rng := o.rng
	if !o.wide.Empty() {
		rng = o.wide
	}
	o.lock = rangeLock{rng: rng, exclusive: exclusive, order: t.order, bucket: int16(bucketOf(rng))}
	t.around(o, func(other *op) {
		if conflict(o, other) {
			o.lock.blockers++
		}
	})
	t.insert(o)
	return o.lock.blockers == 0
}

// release gives the range back and appends the operations that hold their ranges now to granted.
func (t *lockTable) release(o *op, granted []*op) []*op {
	t.remove(o)
	t.around(o, func(other *op) {
		if other.lock.order > o.lock.order && conflict(o, other) {
			if other.lock.blockers--; other.lock.blockers == 0 {
				granted = append(granted, other)
			}
		}
	})
	o.lock = rangeLock{}
	return granted
}

// around visits every lock in the table that may overlap that of o.
func (t *lockTable) around(o *op, visit func(*op)) {
	if o.lock.bucket == wideBucket {
		if t.count == 0 {
			return
		}
		for i := range t.lists {
			for p := t.lists[i].head; p != nil; p = p.lock.next {
				visit(p)
			}
		}
		return
	}
	for p := t.lists[o.lock.bucket].head; p != nil; p = p.lock.next {
		visit(p)
	}
	for p := t.lists[wideBucket].head; p != nil; p = p.lock.next {
		visit(p)
	}
}

func (t *lockTable) insert(o *op) {
	l := &t.lists[o.lock.bucket]
	o.lock.prev = l.tail
	if l.tail == nil {
		l.head = o
	} else {
		l.tail.lock.next = o
	}
	l.tail = o
	t.count++
}

func (t *lockTable) remove(o *op) {
	l := &t.lists[o.lock.bucket]
	if o.lock.prev == nil {
		l.head = o.lock.next
	} else {
		o.lock.prev.lock.next = o.lock.next
	}
	if o.lock.next == nil {
		l.tail = o.lock.prev
	} else {
		o.lock.next.lock.prev = o.lock.prev
	}
	t.count--
}

// lockRange asks for the operation's range; run is called for it now or when it is granted.
func (c *Core) lockRange(o *op, exclusive bool) {
	if c.breaks(BreakReadDuringW) && o.kind == opRead {
		c.granted(o)
		return
	}
	if c.breaks(BreakCopyUnlocked) && o.kind == opCopy && !o.wide.Empty() { // [M:copyUnlocked]
		c.granted(o)
		return
	}
	if c.locks.acquire(o, exclusive) {
		c.granted(o)
	}
}

// unlock gives the operation's range back and goes on with those that waited for it.
func (c *Core) unlock(o *op) {
	base := len(c.grants)
	c.grants = c.locks.release(o, c.grants)
	for i := base; i < len(c.grants); i++ {
		c.granted(c.grants[i])
	}
	c.grants = c.grants[:base]
}

// granted goes on with an operation that holds its range.
func (c *Core) granted(o *op) {
	if o.kind != opCopy && c.needsReconcile(o.rng) && !c.breaks(BreakNoRecon) {
		c.unlock(o) // while it waited a write failed that legs may have stored in part
		c.unclean.push(o)
		c.note(workCopy)
		return
	}
	switch o.kind {
	case opRead:
		c.lay.read(c, o)
	case opWrite:
		c.lay.write(c, o)
	case opCopy:
		c.lay.copy(c, o)
	}
}
