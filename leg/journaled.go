package leg

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/leg/journal"
	"github.com/holdfast-storage/holdfast/volume"
)

// journaled is a leg of parity: its home with its journal laid over it (docs/safety/journal.md). Every decision is
// made by its journal.Core.
//
//	Stage:  place ─▶ head and payload to the journal ─▶ whole, with all before ─▶ answered
//	Commit: after-images, commit ─▶ sync ─▶ head ─▶ home, block by block, while nobody reads them
//	Free:   sync of home ─▶ head ─▶ the space is free
//
// Requests are whole blocks inside the leg, and have passed the gate. It is safe for use by many goroutines.
//
// Invariant: a read sees each block before or after a commit's write of it, never home of after with deltas of before.
type journaled struct {
	file     *journalFile
	home     *checkedData
	homeSync func() error
	broken   Rules

	turn    chan struct{} // full while a commit, FREE, roll-back or drop is under way
	ranges  underway      // shared by reads that need records, for a commit's write of home alone
	buffers sync.Pool     // of *journalBuffer

	written atomic.Uint64 // counts direct writes that have ended, all of earlier processes as one
	synced  atomic.Uint64 // of them, those that are durable

	mu         sync.Mutex
	moved      *sync.Cond // core.WholeTo has changed, or failed
	core       *journal.Core
	failed     error            // what the journal holds is not known any more
	unfinished []journal.Source // what of a commit, which is durable, is to be written home; changed in turn
}

// journalBuffer is what one request needs.
type journalBuffer struct {
	entry   []byte
	sums    []uint32
	sources []journal.Source
	payload []byte
	block   [volume.BlockBytes]byte
}

// journalCopyBytes is the longest payload that is copied behind its head, so that one write does for both.
const journalCopyBytes = 64 << 10

// newJournaled makes the journal of a leg whose journal was replayed into core.
func newJournaled(file *journalFile, core *journal.Core, home *checkedData, broken Rules) *journaled {
	j := &journaled{file: file, home: home, core: core, broken: broken, turn: make(chan struct{}, 1)}
	j.written.Store(1) // whatever a process before has written
	j.moved = sync.NewCond(&j.mu)
	return j
}

func (j *journaled) buffer() *journalBuffer {
	if b, _ := j.buffers.Get().(*journalBuffer); b != nil {
		return b
	}
	return &journalBuffer{}
}

// take waits for the turn of what there is one of at a time; give must follow.
func (j *journaled) take(ctx context.Context) error {
	select {
	case j.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (j *journaled) give() { <-j.turn }

// Stage puts a record into the journal and returns once it counts.
func (j *journaled) Stage(r volume.Record, payload []byte) error {
	// What is answered finds room at home: there the guest could not be told any more that there is none.
	at := block.Range{Off: r.FirstBlock * volume.BlockBytes, Len: r.Blocks * volume.BlockBytes}
	if err := j.home.Reserve(at); err != nil {
		return err
	}
	buf := j.buffer()
	defer j.buffers.Put(buf)
	buf.sums = journal.AppendSums(buf.sums[:0], payload)
	j.mu.Lock()
	if j.failed != nil {
		defer j.mu.Unlock()
		return j.failed
	}
	e, err := j.core.Stage(r, buf.sums)
	if errors.Is(err, journal.ErrThere) {
		// The answer was lost with a session; what that had under way may be so still.
		err = j.waitWhole(j.core.Tail())
		j.mu.Unlock()
		return err
	}
	j.mu.Unlock()
	if err != nil {
		return refusedByJournal(err)
	}
	return j.put(&e, payload, buf)
}

// refusedByJournal gives a refusal of the core the meaning that it has for an engine.
func refusedByJournal(err error) error {
	switch {
	case errors.Is(err, journal.ErrFull):
		return fmt.Errorf("%w: %w", block.ErrNoSpace, err)
	case errors.Is(err, journal.ErrInvalid):
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return err
}

// put writes an entry that has its place, and waits until it and all before it are in the file.
func (j *journaled) put(e *journal.Entry, payload []byte, buf *journalBuffer) error {
	buf.entry = journal.AppendEntry(buf.entry[:0], j.file.leg, e)
	var err error
	if len(payload) <= journalCopyBytes {
		buf.entry = append(buf.entry, payload...)
		err = j.file.write(buf.entry, e.Place)
	} else if err = j.file.write(payload, e.Payload(0)); err == nil {
		err = j.file.write(buf.entry, e.Place)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if err != nil {
		j.fail(err)
		return err
	}
	j.core.Whole(e.Place)
	j.moved.Broadcast()
	return j.waitWhole(e.End())
}

// fail makes everything end with an error that waits for an entry. mu is held.
func (j *journaled) fail(err error) {
	if j.failed == nil {
		j.failed = err
	}
	j.moved.Broadcast()
}

// waitWhole waits until all entries up to a place are in the file. mu is held.
func (j *journaled) waitWhole(p journal.Place) error {
	for j.core.WholeTo() < p && j.failed == nil {
		j.moved.Wait()
	}
	return j.failed
}

// Sync puts every entry that counts on stable storage. What is written from now on is evidence of that.
func (j *journaled) Sync() error {
	j.mu.Lock()
	whole := j.core.WholeTo()
	j.mu.Unlock()
	if err := j.file.sync(); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.core.Synced(whole)
	return nil
}

// prove makes the head say of all entries that are known to be durable that they are. It needs the turn.
func (j *journaled) prove() error {
	j.mu.Lock()
	h := j.core.Proof()
	j.mu.Unlock()
	return j.setHead(h)
}

// setHead makes a head durable that forgets nothing.
func (j *journaled) setHead(h journal.Head) error {
	if err := j.file.writeHead(h); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.core.SetHead(h)
	return nil
}

// Close makes durable what is in the journal, and a head that says where it ends: whatever of it is missing at the next
// start has rotted. Nothing is under way any more.
func (j *journaled) Close() error {
	j.mu.Lock()
	end := j.core.Tail()
	err, synced := j.waitWhole(end), j.core.Proof().Durable == end
	j.mu.Unlock()
	if err == nil && !synced {
		err = j.Sync()
	}
	if err != nil {
		return err
	}
	j.mu.Lock()
	h := j.core.Closed()
	j.mu.Unlock()
	return j.setHead(h)
}

// Flush puts on stable storage what was answered before: the journal, and home where it was written to directly.
func (j *journaled) Flush() error {
	if err := j.Sync(); err != nil {
		return err
	}
	return j.syncDirect()
}

// syncDirect puts on stable storage what was written to home directly.
func (j *journaled) syncDirect() error {
	written := j.written.Load()
	if j.synced.Load() >= written {
		return nil
	}
	if err := j.homeSync(); err != nil {
		return err
	}
	for before := j.synced.Load(); before < written && !j.synced.CompareAndSwap(before, written); {
		before = j.synced.Load()
	}
	return nil
}

// Direct runs a change of home that has no record: a copy, or what mends a block. Where a record touches the blocks
// it is refused, since a replay would write over it.
func (j *journaled) Direct(ctx context.Context, r block.Range, change func() error) error {
	id, err := j.ranges.enter(ctx, r, false)
	if err != nil {
		return err
	}
	defer j.ranges.leave(id)
	j.mu.Lock()
	touches := j.core.Touches(r.Off/volume.BlockBytes, r.Len/volume.BlockBytes)
	j.mu.Unlock()
	if touches {
		return fmt.Errorf("%w: a record that is not freed touches %s: stage a repair, or free it first", ErrInvalid, r)
	}
	err = change()
	j.written.Add(1)
	return err
}

// Records returns one page of the records from a place on, how far it goes, and whether more follow.
func (j *journaled) Records(from journal.Place, most int) (page volume.Records, next journal.Place, more bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	page.Floor = j.core.Head().Floor
	page.Records, next, more = j.core.Records(from, most)
	return page, next, more
}

// Touched calls visit with the bytes of each record that is not freed.
func (j *journaled) Touched(visit func(block.Range)) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.core.Ranges(func(first, blocks int64) {
		visit(block.Range{Off: first * volume.BlockBytes, Len: blocks * volume.BlockBytes})
	})
}

// Used returns how much of the ring is in use, and how long it is.
func (j *journaled) Used() (used, ring int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.core.Used()
}

// quiet waits until every read that knows of a record by now has ended. What was taken out of the content before may be
// written over then.
func (j *journaled) quiet() error {
	id, err := j.ranges.enter(context.Background(), block.Range{Len: math.MaxInt64}, false)
	if err == nil {
		j.ranges.leave(id)
	}
	return err
}
