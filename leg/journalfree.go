package leg

import (
	"context"

	"github.com/holdfast-storage/holdfast/volume"
)

// MayFree says why nothing up to a transaction can be freed, and whether there is something to free. What is
// committed is at home by now; it may be freed once home has been synced since.
func (j *journaled) MayFree(upTo volume.Transaction) (some bool, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	_, some, err = j.core.PlanFree(upTo)
	return some, refusedByJournal(err)
}

// SyncHome makes durable what MayFree found at home; if there is nothing to free, what was written to home directly,
// which a joining leg relies on.
func (j *journaled) SyncHome(some bool) error {
	switch {
	case !some:
		return j.syncDirect()
	case j.broken.breaks(BreakFreeUnflushed):
		return nil
	}
	return j.homeSync()
}

// Free forgets what is committed up to a transaction; MayFree and SyncHome have come before.
func (j *journaled) Free(ctx context.Context, upTo volume.Transaction) error {
	if err := j.take(ctx); err != nil {
		return err
	}
	defer j.give()
	j.mu.Lock()
	h, ok, err := j.core.PlanFree(upTo)
	j.mu.Unlock()
	if err != nil || !ok {
		return refusedByJournal(err)
	}
	return j.setHead(h)
}

// CheckHead reads the slot of the journal's head that counts, for a check of health. It waits for nobody who has the
// turn: a commit that takes long says nothing of the disk.
func (j *journaled) CheckHead() error { return j.file.checkHead() }

// Rollback takes staged records back, all or none of the list; those that are not here do not matter.
func (j *journaled) Rollback(ctx context.Context, list []volume.Transaction) error {
	if err := j.take(ctx); err != nil {
		return err
	}
	defer j.give()
	j.mu.Lock()
	e, ok, err := j.core.Rollback(list)
	j.mu.Unlock()
	if err != nil || !ok {
		return refusedByJournal(err)
	}
	buf := j.buffer()
	defer j.buffers.Put(buf)
	if err := j.put(&e, nil, buf); err != nil {
		return err
	}
	if err := j.Sync(); err != nil {
		return err
	}
	j.mu.Lock()
	j.core.RolledBack(list)
	j.mu.Unlock()
	return j.quiet()
}

// Drop forgets all records, and keeps the floor in their place.
func (j *journaled) Drop(ctx context.Context, floor volume.Transaction) error {
	if err := j.take(ctx); err != nil {
		return err
	}
	defer j.give()
	j.mu.Lock()
	err := j.waitWhole(j.core.Bar(floor))
	if err != nil {
		j.mu.Unlock()
		return err
	}
	h, err := j.core.PlanDrop(floor)
	j.mu.Unlock()
	if err != nil {
		return refusedByJournal(err)
	}
	if j.broken.breaks(BreakForgetFloor) {
		h.Floor = j.file.head.Floor
	}
	if err := j.file.writeHead(h); err != nil {
		return err
	}
	j.mu.Lock()
	j.unfinished = nil
	j.core.Dropped(h)
	j.mu.Unlock()
	if err := j.quiet(); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.core.SetHead(h)
	return nil
}
