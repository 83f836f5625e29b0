package storage

import (
	"context"
	"fmt"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/volume"
	"github.com/holdfast-storage/holdfast/volume/inband"
)

// runJournal executes a command of a leg of parity and returns its data-in.
func (v vendor) runJournal(ctx context.Context, command inband.Command, dataOut []byte) ([]byte, error) {
	switch c := command.(type) {
	case inband.Stage:
		record, payload, err := inband.ParseStage(dataOut)
		if err != nil {
			return nil, err
		}
		return nil, v.session.Stage(ctx, record, payload)
	case inband.Commit:
		return nil, upTo(ctx, dataOut, v.session.Commit)
	case inband.Free:
		return nil, upTo(ctx, dataOut, v.session.Free)
	case inband.Drop:
		return nil, upTo(ctx, dataOut, v.session.Drop)
	case inband.Rollback:
		list, err := inband.ParseRollback(dataOut)
		if err != nil {
			return nil, err
		}
		return nil, v.session.Rollback(ctx, list)
	case inband.Records:
		page, next, err := v.session.Records(ctx, c.From, inband.MaxPageRecords)
		if err != nil {
			return nil, err
		}
		return inband.AppendRecords(nil, inband.RecordsPage{Records: page, Next: next})
	}
	return nil, fmt.Errorf("in-band command %s: %w", command.Action(), block.ErrUnsupported)
}

// upTo runs a command whose parameter list is a transaction.
func upTo(ctx context.Context, dataOut []byte, do func(context.Context, volume.Transaction) error) error {
	t, err := inband.ParseTransaction(dataOut)
	if err != nil {
		return err
	}
	return do(ctx, t)
}
