package journal

import (
	"fmt"
	"slices"

	"github.com/holdfast-storage/holdfast/volume"
)

// Commit is a commit that is under way.
type Commit struct {
	UpTo volume.Transaction
	// Sources are the blocks that it changes, ascending, as Overlay returns them, with records that are
	// committed in it alone: where the first source of a block is a delta, an after-image is needed.
	Sources []Source

	chosen []*record
	batch  Place
	images []afterImage
	aside  int64 // of what was set aside for chosen, what the commit has not used yet
	used   int64 // of that, what it has
}

// afterImage is an after-image that is in the journal.
type afterImage struct {
	place, payload Place
	first          int64
	sums           []uint32
}

// source returns where a block of it lies.
func (a *afterImage) source(n int64) Source {
	i := n - a.first
	return Source{Block: n, Kind: volume.RecordImage, Place: a.payload + Place(i*volume.BlockBytes), Sum: a.sums[i]}
}

// Bar refuses records up to a transaction from now on, and returns the place that WholeTo has to reach before they
// are committed: what is on its way is behind it then, or refused.
func (c *Core) Bar(upTo volume.Transaction) Place {
	if upTo.Compare(c.barred) > 0 {
		c.barred = upTo
	}
	return c.tail
}

// Commit begins to commit all staged records up to a transaction, which was barred. It is nil if there are none. One
// commit, FREE, roll-back or drop is under way at a time.
func (c *Core) Commit(upTo volume.Transaction) *Commit {
	x := &Commit{UpTo: upTo, batch: c.tail}
	blocks := map[int64]bool{}
	for _, r := range c.records {
		if r.Committed || r.Transaction.Compare(upTo) > 0 {
			continue
		}
		r.chosen = true
		x.aside += r.aside()
		x.chosen = append(x.chosen, r)
		for i := range r.Blocks {
			blocks[r.FirstBlock+i] = true
		}
	}
	if len(x.chosen) == 0 {
		return nil
	}
	for _, n := range sortedKeys(blocks) {
		for l := c.layers[n]; l != nil; l = l.below {
			if l.rec == nil || !l.rec.chosen {
				continue
			}
			x.Sources = append(x.Sources, l.src)
			if l.src.Kind != volume.RecordDelta {
				break
			}
		}
	}
	return x
}

func sortedKeys[V any](m map[int64]V) []int64 {
	keys := make([]int64, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// AfterImage gives a place to what blocks from first on, at most volume.MaxRecordBlocks, hold with the commit in
// them. Blocks that have no after-image though they need one are those that nobody can read: they stay so.
// The error wraps ErrFull.
func (c *Core) AfterImage(x *Commit, first int64, sums []uint32) (Entry, error) {
	e := Entry{Kind: KindAfterImage, First: first, Sums: sums}
	if err := c.reserve(&e, nil); err != nil {
		return Entry{}, err
	}
	c.use(x, &e)
	x.images = append(x.images, afterImage{place: e.Place, payload: e.Payload(0), first: first,
		sums: slices.Clone(sums)})
	return e, nil
}

// Seal gives the commit its own entry. Once that is durable, with all before it, and then a head that Proof returns,
// Sealed is to be called.
// The error wraps ErrFull.
func (c *Core) Seal(x *Commit) (Entry, error) {
	e := Entry{Kind: KindCommit, UpTo: x.UpTo, Batch: x.batch}
	err := c.reserve(&e, nil)
	if err == nil {
		c.use(x, &e)
	}
	return e, err
}

// use takes what was set aside for a commit for an entry of it: it is not to be counted twice.
func (c *Core) use(x *Commit, e *Entry) {
	n := min(x.aside, e.Bytes())
	x.aside, x.used, c.staged = x.aside-n, x.used+n, c.staged-n
}

// Abandon gives up a commit that was not sealed.
func (c *Core) Abandon(x *Commit) {
	c.staged += x.used
	for _, r := range x.chosen {
		r.chosen = false
	}
}

// Sealed says that the commit is durable: its records are committed. It returns what is to be written home, ascending,
// one source for each block. From now on no block of it needs what its home held before.
func (c *Core) Sealed(x *Commit) []Source {
	for _, r := range x.chosen {
		r.chosen, r.Committed, r.batch = false, true, x.UpTo
	}
	c.staged -= x.aside
	c.homeward = x
	if n := len(c.batches); n == 0 || c.batches[n-1].Compare(x.UpTo) < 0 {
		c.batches = append(c.batches, x.UpTo)
	}
	home := make([]Source, 0, len(x.Sources))
	for i, s := range x.Sources {
		if i > 0 && x.Sources[i-1].Block == s.Block {
			continue // only the newest says what is needed
		}
		if s.Kind == volume.RecordDelta {
			s = x.merged(s.Block)
			c.replace(s)
		}
		home = append(home, s)
	}
	return home
}

// merged returns the after-image of a block, or that nobody knows what it holds.
func (x *Commit) merged(n int64) Source {
	for i := range x.images {
		if a := &x.images[i]; n >= a.first && n < a.first+int64(len(a.sums)) {
			return a.source(n)
		}
	}
	return Source{Block: n}
}

// replace puts an after-image in the place of the layers that are merged in it: below all that is not committed.
func (c *Core) replace(s Source) {
	c.strip(s.Block, committedLayer)
	bottom := c.newLayer(nil, s, nil)
	top := c.layers[s.Block]
	if top == nil {
		c.layers[s.Block] = bottom
		return
	}
	for top.below != nil {
		top = top.below
	}
	top.below = bottom
}

// committedLayer reports whether a layer is of the commit that is on its way home; those of earlier ones are there.
func committedLayer(l *layer) bool { return l.rec == nil || l.rec.Committed }

// AtHome says that blocks of the commit are at home. Nobody may be reading them who has asked for their overlay
// before.
func (c *Core) AtHome(first, blocks int64) {
	for n := first; n < first+blocks; n++ {
		c.strip(n, committedLayer)
	}
}

// Finish ends a commit all of whose blocks are at home.
func (c *Core) Finish() { c.homeward = nil }

// Rollback returns the entry that rolls back those records of a list that are staged here; ok is false if none is.
// A record that is committed is ErrInvalid.
func (c *Core) Rollback(list []volume.Transaction) (e Entry, ok bool, err error) {
	var here []volume.Transaction
	for _, t := range list {
		switch r := c.byName[t]; {
		case r == nil:
		case r.Committed:
			return Entry{}, false, fmt.Errorf("%w: record %s cannot be rolled back: it is committed", ErrInvalid, t)
		case !slices.Contains(here, t):
			here = append(here, t)
		}
	}
	if len(here) == 0 {
		return Entry{}, false, nil
	}
	if len(here) > MaxRollback {
		return Entry{}, false, fmt.Errorf("%w: roll-back of %d records, at most %d", ErrInvalid, len(here), MaxRollback)
	}
	e = Entry{Kind: KindRollback, Dropped: here}
	return e, true, c.reserve(&e, nil)
}

// RolledBack says that a roll-back is durable.
func (c *Core) RolledBack(list []volume.Transaction) {
	gone := false
	for _, t := range list {
		if r := c.byName[t]; r != nil && !r.Committed {
			c.unstage(r)
			r.chosen, gone = true, true
		}
	}
	if gone {
		c.forget(func(r *record) bool { return r.chosen })
	}
}

// unstage takes a staged record out of the content.
func (c *Core) unstage(r *record) {
	for i := range r.Blocks {
		c.strip(r.FirstBlock+i, func(l *layer) bool { return l.rec == r })
	}
	c.staged -= r.aside()
}

// forget removes records.
func (c *Core) forget(gone func(*record) bool) {
	c.records = slices.DeleteFunc(c.records, func(r *record) bool {
		if !gone(r) {
			return false
		}
		delete(c.byName, r.Transaction)
		c.recycle(r)
		return true
	})
}

// PlanFree returns the head that forgets everything up to a transaction. The home has to be durable before it is, and
// then SetHead is to be called. ok is false if there is nothing to forget. A record that is only staged is
// ErrInvalid.
func (c *Core) PlanFree(upTo volume.Transaction) (h Head, ok bool, err error) {
	if upTo.Compare(c.barred) > 0 {
		return Head{}, false, fmt.Errorf("%w: free up to %s: only what is up to %s is committed", ErrInvalid, upTo,
			c.barred)
	}
	for _, r := range c.records {
		if !r.Committed && r.Transaction.Compare(upTo) <= 0 {
			return Head{}, false, fmt.Errorf("%w: record %s cannot be freed: it is not committed", ErrInvalid,
				r.Transaction)
		}
	}
	if x := c.homeward; x != nil && x.UpTo.Compare(upTo) <= 0 {
		return Head{}, false, fmt.Errorf("%w: free up to %s: the commit up to %s is not at home", ErrInvalid, upTo,
			x.UpTo)
	}
	// What was committed together is freed together: its after-images are of all of it.
	freed := upTo
	for i, batch := range c.batches {
		if batch.Compare(upTo) <= 0 {
			continue
		}
		if freed = c.head.Freed; i > 0 {
			freed = c.batches[i-1]
		}
		break
	}
	if freed.Compare(c.head.Freed) <= 0 {
		return Head{}, false, nil
	}
	h = c.Proof()
	h.Freed, h.Start = freed, c.begin(func(r *record) bool { return r.freedBy(freed) })
	return h, true, nil
}

// Proof returns the head that says what is known to be durable, and changes nothing else. Home must not be written to
// before it says so of the commit: that the commit is missing then could not be told from a write that was torn, and
// its deltas would be added once more.
func (c *Core) Proof() Head {
	h := c.head
	h.Durable = c.durable
	return h
}

// freedBy reports whether everything up to a transaction being freed frees the record.
func (r *record) freedBy(freed volume.Transaction) bool {
	return r.Committed && r.batch.Compare(freed) <= 0
}

// begin returns where the journal can begin without the records for which gone is true.
func (c *Core) begin(gone func(*record) bool) Place {
	begin := c.tail
	if len(c.flying) > 0 {
		begin = c.flying[0].place
	}
	for _, r := range c.records {
		if !gone(r) {
			return min(begin, r.place)
		}
	}
	return begin
}

// PlanDrop returns the head that forgets all records, which no transaction was dispatched after, and keeps that as
// the floor; it was barred. A record beyond it is ErrInvalid.
func (c *Core) PlanDrop(floor volume.Transaction) (Head, error) {
	for _, r := range c.records {
		if r.Transaction.Compare(floor) > 0 {
			return Head{}, fmt.Errorf("%w: drop up to %s: there is record %s", ErrInvalid, floor, r.Transaction)
		}
	}
	h := c.Proof()
	h.Start = c.begin(func(*record) bool { return true })
	if floor.Compare(h.Floor) > 0 {
		h.Floor = floor
	}
	return h, nil
}

// Dropped takes all that a drop forgets out of the content, once its head is durable. A record that came meanwhile
// stays. The space stays in use until SetHead: somebody may be reading it still.
func (c *Core) Dropped(h Head) {
	for n := range c.layers {
		c.strip(n, func(l *layer) bool { return l.rec == nil || l.rec.place < h.Start })
	}
}

// SetHead says that a head is durable: what it forgets is gone, and its space may be used again. Nobody may be
// reading the payload of a record that is gone.
func (c *Core) SetHead(h Head) {
	for _, r := range c.records {
		if !r.Committed && r.place < h.Start {
			c.unstage(r)
		}
	}
	c.forget(func(r *record) bool { return r.place < h.Start || r.freedBy(h.Freed) })
	if x := c.homeward; x != nil && h.Start > x.batch {
		c.homeward = nil // a drop forgets what is not at home, too
	}
	if len(c.records) == 0 {
		clear(c.layers)
	}
	c.batches = slices.DeleteFunc(c.batches, func(b volume.Transaction) bool {
		return b.Compare(h.Freed) <= 0 || len(c.records) == 0
	})
	c.head = h
}
