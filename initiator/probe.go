package initiator

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/scsi"
)

const (
	// defaultUnitBytes bounds a transfer if the unit states no limit, or a larger one.
	defaultUnitBytes = 4 << 20
	// mostZeroBytes bounds a WRITE SAME, so that one command does not take for ever.
	mostZeroBytes = 1 << 30
	vpdBytes      = 252
)

// Probe asks a logical unit for its size, its limits and its identity. The identity is opaque and
// compares equal for the same unit on every session; whoever reconnects compares it, since an
// address or a LUN says nothing of what is behind it. It blocks; its errors are those of Execute.
func Probe(ctx context.Context, s *Session, lun uint64) (unit Unit, identity string, err error) {
	if _, err := s.Execute(ctx, lun, scsi.TestUnitReadyCDB(), nil, nil); err != nil {
		return Unit{}, "", err
	}
	data := make([]byte, 256)
	n, err := s.Execute(ctx, lun, scsi.ReadCapacity16CDB(32), nil, data[:32])
	if err != nil {
		return Unit{}, "", err
	}
	capacity, err := scsi.ParseCapacity(data[:n])
	if err != nil {
		return Unit{}, "", fmt.Errorf("%s: lun %d: %w: %w", s.options.TargetName, lun, block.ErrFailed, err)
	}
	mode, err := optional(s.Execute(ctx, lun, scsi.ModeSense10CDB(scsi.CachingPage, 64), nil, data[:64]))
	if err != nil {
		return Unit{}, "", err
	}
	volatile, readOnly := scsi.WriteCacheEnabled(data[:mode]), scsi.WriteProtected(data[:mode])
	pages := map[byte][]byte{}
	for _, page := range []byte{scsi.PageUnitSerialNumber, scsi.PageDeviceIdentification,
		scsi.PageBlockLimits, scsi.PageBlockProvisioning} {
		n, err := optional(s.Execute(ctx, lun, scsi.VPDCDB(page, vpdBytes), nil, data[:vpdBytes]))
		if err != nil {
			return Unit{}, "", err
		}
		pages[page] = append([]byte(nil), data[:n]...)
	}
	limits := scsi.ParseBlockLimits(pages[scsi.PageBlockLimits])
	unit = Unit{
		LUN: lun,
		Limits: block.Limits{
			SizeBytes:  int64(capacity.Blocks) * capacity.BlockBytes,
			BlockBytes: capacity.BlockBytes,
			MaxBytes:   blocksToBytes(limits.MaxTransfer, capacity.BlockBytes, defaultUnitBytes),
			ReadOnly:   readOnly,
			CanUnmap: capacity.CanUnmap && capacity.ReadsZero && !readOnly &&
				scsi.WriteSameUnmaps(pages[scsi.PageBlockProvisioning]),
			Volatile: volatile,
		},
		MaxZeroBytes: blocksToBytes(limits.MaxWriteSame, capacity.BlockBytes, mostZeroBytes),
	}
	identity = string(pages[scsi.PageUnitSerialNumber]) + string(pages[scsi.PageDeviceIdentification])
	return unit, identity, nil
}

// optional takes away the error of a unit that does not know a command or page: it answers nothing.
func optional(n int, err error) (int, error) {
	if errors.Is(err, block.ErrUnsupported) {
		return 0, nil
	}
	return n, err
}

// blocksToBytes turns a limit in blocks into bytes; none, or more than most, is most.
func blocksToBytes(blocks uint64, blockBytes, most int64) int64 {
	if blocks == 0 || blocks > uint64(math.MaxInt64/blockBytes) {
		return most
	}
	return min(int64(blocks)*blockBytes, most)
}
