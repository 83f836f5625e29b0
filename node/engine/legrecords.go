package engine

import (
	"context"
	"fmt"

	"github.com/holdfast-storage/holdfast/mirror"
	"github.com/holdfast-storage/holdfast/volume"
	"github.com/holdfast-storage/holdfast/volume/inband"
)

// Stage sends one record on the current session.
func (l *leg) Stage(r *mirror.StageRequest) {
	s := l.current.Load()
	if s == nil {
		r.Complete(r, l.noSession())
		return
	}
	l.stages.submit(s.session, r)
}

// Commit commits the leg's records up to a transaction, durably, and writes them home.
func (l *leg) Commit(ctx context.Context, upTo volume.Transaction) error {
	return l.upTo(ctx, inband.Commit{}, upTo)
}

// Free makes home durable and forgets the records up to a transaction.
func (l *leg) Free(ctx context.Context, upTo volume.Transaction) error {
	return l.upTo(ctx, inband.Free{}, upTo)
}

// Drop forgets every record, durably, and keeps the floor.
func (l *leg) Drop(ctx context.Context, floor volume.Transaction) error {
	return l.upTo(ctx, inband.Drop{}, floor)
}

func (l *leg) upTo(ctx context.Context, c inband.Command, t volume.Transaction) error {
	_, err := l.command(ctx, c, inband.AppendTransaction(nil, t))
	return err
}

// Rollback takes back, durably, all of the list or nothing. It is one command: a leg writes one entry for it.
func (l *leg) Rollback(ctx context.Context, list []volume.Transaction) error {
	out, err := inband.AppendRollback(nil, list)
	if err != nil {
		return fmt.Errorf("leg %s on %s: %w", l.spec.ID.Short(), l.spec.Node, err)
	}
	_, err = l.command(ctx, inband.Rollback{ParamBytes: uint32(len(out))}, out)
	return err
}

// Records asks page by page. A leg that does not get on, or whose floor moves meanwhile, is refused: its answer
// decides what becomes of writes.
func (l *leg) Records(ctx context.Context) (volume.Records, error) {
	var all volume.Records
	for from := uint64(0); ; {
		c := inband.Records{From: from}
		in, err := l.command(ctx, c, nil)
		if err != nil {
			return volume.Records{}, err
		}
		page, err := inband.ParseRecords(in)
		switch {
		case err != nil:
		case from != 0 && page.Floor != all.Floor:
			err = fmt.Errorf("its floor moved from %s to %s between two pages", all.Floor, page.Floor)
		case page.Next != 0 && page.Next <= from:
			err = fmt.Errorf("the page from %d does not get on", from)
		}
		if err != nil {
			return volume.Records{}, malformed(c, err)
		}
		all.Floor = page.Floor
		all.Records = append(all.Records, page.Records.Records...)
		if from = page.Next; from == 0 {
			return all, nil
		}
	}
}
