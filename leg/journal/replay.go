package journal

import "fmt"

// Replay takes the next entry that a start has found; its payload is whole. The error wraps ErrNoEntry for one that
// does not follow: it is of an earlier turn of the ring, or of an earlier start that had come further, and the
// journal ends before it.
func (c *Core) Replay(e Entry) error {
	switch {
	case e.Place != c.tail:
		return fmt.Errorf("%w: it is of place %d, not %d", ErrNoEntry, e.Place, c.tail)
	case e.Place >= c.head.Cut && e.Term != c.head.Term, e.Term > c.head.Term:
		return fmt.Errorf("%w: it is of start %d, the journal of %d", ErrNoEntry, e.Term, c.head.Term)
	case int64(e.End()-c.head.Start) > c.ring:
		return fmt.Errorf("%w: it ends behind the ring", ErrNoEntry)
	}
	c.tail = e.End()
	c.whole = c.tail
	if e.Kind != KindAfterImage {
		c.cut = c.tail
	}
	switch e.Kind {
	case KindRecord:
		c.replayRecord(&e)
	case KindAfterImage:
		c.pending = append(c.pending, afterImage{place: e.Place, payload: e.Payload(0), first: e.First, sums: e.Sums})
	case KindCommit:
		c.replayCommit(&e)
	case KindRollback:
		c.RolledBack(e.Dropped)
	}
	return nil
}

func (c *Core) replayRecord(e *Entry) {
	t := e.Record.Transaction
	if t.Compare(c.head.Freed) <= 0 || t.Compare(c.head.Floor) <= 0 || c.byName[t] != nil {
		return
	}
	rec := c.newRecord(e.Record, e.Sums)
	rec.bytes, rec.place, rec.payload = e.Bytes(), e.Place, e.Payload(0)
	c.byName[t] = rec
	c.staged += rec.aside()
	c.insert(rec)
}

// replayCommit does what the commit did: what it wrote home is to be written again, from the same places. What is
// freed is at home, and may be older than what is there by now.
func (c *Core) replayCommit(e *Entry) {
	images := c.pending
	c.pending = nil
	if e.UpTo.Compare(c.head.Freed) <= 0 {
		return
	}
	x := c.Commit(e.UpTo)
	if x == nil {
		return
	}
	for _, a := range images {
		if a.place >= e.Batch {
			x.images = append(x.images, a)
		}
	}
	for _, s := range c.Sealed(x) {
		c.redo[s.Block] = s
		c.AtHome(s.Block, 1)
	}
	c.Finish()
	c.Bar(e.UpTo)
}

// Behind takes the head of an entry that lies behind the end of the replay. What its start knew to be durable was so,
// though the entry itself may have been written beside others of which the power cut left nothing.
func (c *Core) Behind(e *Entry) {
	if e.Term == c.head.Term && e.Place > c.tail && int64(e.End()-c.head.Start) <= c.ring {
		c.known = max(c.known, e.Durable)
	}
}

// Ends returns how far the journal has to be whole at least by what its head, and the entries that Behind was told of,
// say. A replay that ends before has come to damage; behind it, to what a power cut tore, and nobody relies on.
func (c *Core) Ends() Place { return c.known }

// Redo ends a replay and returns what is to be written home before anybody reads it: one source for each block,
// ascending.
func (c *Core) Redo() []Source {
	redo := make([]Source, 0, len(c.redo))
	for _, n := range sortedKeys(c.redo) {
		redo = append(redo, c.redo[n])
	}
	clear(c.redo)
	// A commit that its process did not live to seal has left after-images. Their room is needed for the next one.
	c.pending = nil
	c.tail, c.whole = c.cut, c.cut
	return redo
}

// NotHome says that home has no room for some of what Redo returned. It lies over home, as after a commit that has not
// finished, and nothing is freed until it is there.
func (c *Core) NotHome(redo []Source) {
	c.homeward = &Commit{UpTo: c.batches[0], Sources: redo, batch: c.head.Start}
	for _, s := range redo {
		c.replace(s)
	}
}

// Started returns the head of a start that has replayed everything, and synced it: what was found is durable, and what
// an earlier start may have left behind it is not taken for an entry any more.
func (c *Core) Started() Head {
	h := c.head
	h.Term++
	h.Cut = max(c.tail, h.Start)
	c.durable = h.Cut
	h.Durable, h.Ended = h.Cut, false
	return h
}

// Closed returns the head of a leg that has come to its end: all that is in the journal was synced.
func (c *Core) Closed() Head {
	h := c.Proof()
	h.Ended = true
	return h
}

// Skip goes on at a later place as if nothing were missing before it. It breaks the rule that a replay stops at the
// first entry that is not whole, for tests that must find that.
func (c *Core) Skip(to Place) { c.tail, c.whole = to, to }
