package leg

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/leg/journal"
	"github.com/holdfast-storage/holdfast/volume"
)

// Stage puts a record with its payload into the journal of a leg of parity. The marks of its blocks are durable
// before, and it counts when Stage returns; in class sync it is durable then. A journal without room is
// block.ErrNoSpace; a record of another epoch, one that comes after its commit and one that does not name this leg
// are ErrInvalid.
func (s *Session) Stage(ctx context.Context, r volume.Record, payload []byte) error {
	l := s.leg
	if err := r.Check(); err != nil {
		return s.refuse("stage", "%v", err)
	}
	bytes := block.Range{Off: r.FirstBlock * volume.BlockBytes, Len: r.Blocks * volume.BlockBytes}
	switch {
	case l.fixed.Layout.Kind != volume.KindParity:
		return s.noJournal("stage")
	case int64(len(payload)) != bytes.Len:
		return s.refuse("stage", "record %s has %d blocks, its payload %d bytes", r.Transaction, r.Blocks, len(payload))
	case r.Transaction.Epoch != s.login.Epoch:
		return s.refuse("stage", "record %s in a session of epoch %s", r.Transaction, s.login.Epoch)
	case !slices.Contains(r.Legs, l.id):
		return s.refuse("stage", "record %s does not name this leg", r.Transaction)
	}
	ticket, err := s.begin(ctx, block.OpWrite, bytes, 0)
	if err != nil {
		return err
	}
	if err = l.staged.Stage(r, payload); err == nil && !l.limits.Volatile {
		err = l.staged.Sync()
	}
	return s.finish(ticket, err)
}

// Commit commits every record up to a transaction that is staged and was not rolled back: the commit, with the
// after-image of each block that a delta of it touches, is durable, then the blocks are written home. What is
// committed already costs nothing.
func (s *Session) Commit(ctx context.Context, upTo volume.Transaction) error {
	return s.journal(ctx, "commit", []volume.Transaction{upTo}, func(j *journaled) error { return j.Commit(ctx, upTo) })
}

// Free forgets every record up to a transaction once its blocks are durable at home. A record that is not committed
// is ErrInvalid; what is freed already costs nothing but the sync of what was written around the journal.
//
// The sync of home takes as long as the medium likes, and no login waits for it: it is outside of the gate.
func (s *Session) Free(ctx context.Context, upTo volume.Transaction) error {
	some := false
	err := s.journal(ctx, "free", []volume.Transaction{upTo}, func(j *journaled) (err error) {
		some, err = j.MayFree(upTo)
		return err
	})
	if err != nil {
		return err
	}
	if err := s.outside(func(j *journaled) error { return j.SyncHome(some) }); err != nil || !some {
		return err
	}
	return s.journal(ctx, "free", []volume.Transaction{upTo}, func(j *journaled) error { return j.Free(ctx, upTo) })
}

// outside runs what may last and has no need of the gate, as STABLE's sync has not. The leg is not closed meanwhile.
func (s *Session) outside(do func(*journaled) error) error {
	l := s.leg
	l.mu.Lock()
	if l.stopped {
		l.mu.Unlock()
		return fmt.Errorf("leg %s: %w", l.id, block.ErrClosed)
	}
	l.running.Add(1)
	l.mu.Unlock()
	defer l.running.Done()
	err := do(l.staged)
	if errors.Is(err, block.ErrFailed) {
		l.fail(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		err = l.core.Failed()
	}
	return err
}

// Rollback takes back, durably, the records of a list that are staged here, all of them or none. One that is
// committed is ErrInvalid.
func (s *Session) Rollback(ctx context.Context, list []volume.Transaction) error {
	return s.journal(ctx, "roll back", list, func(j *journaled) error { return j.Rollback(ctx, list) })
}

// Drop forgets all records, durably, and keeps in their place that it says nothing of any up to the floor. A record
// beyond it is ErrInvalid.
func (s *Session) Drop(ctx context.Context, floor volume.Transaction) error {
	return s.journal(ctx, "drop", []volume.Transaction{floor}, func(j *journaled) error { return j.Drop(ctx, floor) })
}

// Records returns one page of the records that are not freed, at most so many, from a place on, 0 for the first;
// next is the place of the next page, 0 if there is none.
func (s *Session) Records(ctx context.Context, from uint64, most int) (page volume.Records, next uint64, err error) {
	err = s.journal(ctx, "records", nil, func(j *journaled) error {
		var more bool
		var place journal.Place
		if page, place, more = j.Records(journal.Place(from), most); more {
			next = uint64(place)
		}
		return nil
	})
	return page, next, err
}

// journal takes a command of the journal through the gate. No transaction of it may be beyond the session's epoch.
func (s *Session) journal(ctx context.Context, what string, list []volume.Transaction,
	do func(*journaled) error) error {
	if s.leg.fixed.Layout.Kind != volume.KindParity {
		return s.noJournal(what)
	}
	for _, t := range list {
		if t.Epoch > s.login.Epoch {
			return s.refuse(what, "%s is beyond the session's epoch %s", t, s.login.Epoch)
		}
	}
	ticket, err := s.enter(ctx, false, block.Range{}, nil)
	if err != nil {
		return err
	}
	return s.finish(ticket, do(s.leg.staged))
}

func (s *Session) refuse(what, format string, args ...any) error {
	return fmt.Errorf("leg %s: %s: %w: %s", s.leg.id, what, ErrInvalid, fmt.Sprintf(format, args...))
}

func (s *Session) noJournal(what string) error {
	return fmt.Errorf("leg %s: %s: %w: a leg of %s has no journal", s.leg.id, what, block.ErrUnsupported,
		s.leg.fixed.Layout)
}
