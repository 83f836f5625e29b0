package storage

import (
	"context"
	"errors"
	"fmt"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/leg"
	"github.com/holdfast-storage/holdfast/scsi"
	"github.com/holdfast-storage/holdfast/volume"
	"github.com/holdfast-storage/holdfast/volume/inband"
)

// logicalUnit makes LUN 0 of one session.
func logicalUnit(id volume.LegID, session *leg.Session) (scsi.LogicalUnit, error) {
	epoch := session.Login().Epoch
	unit, err := scsi.New(session, scsi.Options{
		Leg:              true,
		ProductID:        "LEG",
		Serial:           fmt.Sprintf("%s.e%d", id, uint64(epoch)),
		NAA:              scsi.LocalNAA(unitIdentity(id, epoch)),
		Vendor:           vendor{session}.execute,
		VendorDataOutLen: inband.DataOutBytes,
	})
	if err != nil {
		return nil, fmt.Errorf("leg %s: %w", id, err)
	}
	return unit, nil
}

// vendor executes the in-band commands of one session.
type vendor struct{ session *leg.Session }

// execute is scsi.Options.Vendor.
func (v vendor) execute(ctx context.Context, cmd *scsi.Command, res *scsi.Response) bool {
	command, err := inband.Parse(cmd.CDB[:inband.CDBBytes])
	if errors.Is(err, inband.ErrOpCode) {
		return false
	}
	var answer []byte
	if err == nil {
		answer, err = v.run(ctx, command, cmd.DataOut)
	}
	if err != nil {
		fail(res, err)
		return true
	}
	res.Reply(cmd, answer, int64(len(answer)))
	return true
}

// run executes one command and returns its data-in.
func (v vendor) run(ctx context.Context, command inband.Command, dataOut []byte) ([]byte, error) {
	switch c := command.(type) {
	case inband.ReadLabel:
		report, err := v.session.Report()
		if err != nil {
			return nil, err
		}
		return inband.AppendReport(nil, report)
	case inband.Config:
		epoch, config, err := inband.ParseConfig(dataOut)
		if err != nil {
			return nil, err
		}
		return nil, v.session.Config(ctx, epoch, config)
	case inband.Rotate:
		generation, seq, err := v.session.Rotate()
		return inband.AppendRotation(nil, generation, seq), err
	case inband.Stable:
		return v.progressed(v.session.Stable(ctx, c.Generation))
	case inband.Marks:
		page, err := v.session.Marks(c.Since, c.FirstRegion)
		if err != nil {
			return nil, err
		}
		return inband.AppendMarks(nil, page)
	case inband.Checksums:
		return v.checksums(ctx, c)
	case inband.Adopt:
		r, err := blockRange(c.FirstBlock, c.Blocks)
		if err != nil {
			return nil, err
		}
		return nil, v.session.Adopt(ctx, r)
	case inband.Versions:
		page, err := v.session.Versions(c.Since, c.FirstRegion)
		if err != nil {
			return nil, err
		}
		return inband.AppendVersions(nil, page)
	case inband.Stamp:
		page, err := inband.ParseVersions(dataOut)
		if err != nil {
			return nil, err
		}
		return nil, v.session.Stamp(ctx, page.Runs)
	case inband.Detach:
		return v.progressed(v.session.Detach(ctx, c.Clean))
	}
	return v.runJournal(ctx, command, dataOut)
}

// progressed answers a command that may have moved the label on: the host is to know how far, so that a leg
// that shows less later is known to have been set back.
func (v vendor) progressed(err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	return inband.AppendProgress(nil, v.session.Progress()), nil
}

func (v vendor) checksums(ctx context.Context, c inband.Checksums) ([]byte, error) {
	r, err := blockRange(c.FirstBlock, c.Blocks)
	if err != nil {
		return nil, err
	}
	sums, bad, err := v.session.Checksums(ctx, r, c.Medium)
	if err != nil {
		return nil, err
	}
	return inband.AppendChecksums(nil, sums, bad), nil
}

// blockRange returns the bytes of a run of blocks. Whether the leg has them, the leg knows; here nothing
// overflows.
func blockRange(first uint64, blocks uint32) (block.Range, error) {
	if first > volume.MaxSizeBytes/volume.BlockBytes {
		return block.Range{}, fmt.Errorf("in-band command on block %d: %w", first, block.ErrOutOfRange)
	}
	return block.Range{
		Off: int64(first) * volume.BlockBytes, Len: int64(blocks) * volume.BlockBytes,
	}, nil
}

// fail answers with the sense that says what was wrong. Only block.ErrFenced becomes RESERVATION
// CONFLICT.
func fail(res *scsi.Response, err error) {
	field := (*inband.FieldError)(nil)
	switch {
	case errors.As(err, &field) && field.InParameter:
		res.CheckCondition(scsi.Sense{Key: scsi.IllegalRequest, ASC: 0x26}) // INVALID FIELD IN PARAMETER LIST
	case errors.As(err, &field):
		res.CheckCondition(scsi.Sense{Key: scsi.IllegalRequest, ASC: 0x24}) // INVALID FIELD IN CDB
	case errors.Is(err, inband.ErrLength):
		res.CheckCondition(scsi.Sense{Key: scsi.IllegalRequest, ASC: 0x1a}) // PARAMETER LIST LENGTH ERROR
	case errors.Is(err, leg.ErrInvalid):
		res.CheckCondition(scsi.Sense{Key: scsi.IllegalRequest, ASC: 0x2c}) // COMMAND SEQUENCE ERROR
	default:
		res.Fail(err)
	}
}
