package leg

import (
	"context"
	"fmt"
	"time"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/volume"
)

// CheckResult is what a check of health found.
type CheckResult struct {
	ReadTime  time.Duration // that one block of data took, zero if there is no data yet
	UsedBytes int64         // of the store's space
}

// Check really reads the label, the head of the journal, and one block of data with its checksum, another one each
// time. It does not pass the gate, since it shows nothing to anybody. An error says what cannot be read; it fails
// nothing for good. It blocks for the disk, for ever if that hangs.
func (l *Leg) Check() (CheckResult, error) {
	var result CheckResult
	if err := l.checkLabel(); err != nil {
		return result, fmt.Errorf("leg %s: %w", l.id, err)
	}
	if l.staged != nil {
		if err := l.staged.CheckHead(); err != nil {
			return result, fmt.Errorf("leg %s: %w", l.id, err)
		}
	}
	l.mu.Lock()
	l.probes++
	probe := l.probes
	l.mu.Unlock()
	off, err := l.probeOffset(probe)
	if err == nil && off >= 0 {
		start := time.Now()
		err = l.probe(off)
		result.ReadTime = time.Since(start)
	}
	if err == nil {
		result.UsedBytes, err = l.data.AllocatedBytes()
	}
	result.UsedBytes += l.fixed.Layout.JournalBytes(l.fixed.SizeBytes)
	if err != nil {
		return result, fmt.Errorf("leg %s: %w", l.id, err)
	}
	return result, nil
}

// probe reads the block at off from the medium and holds it against its checksum. A power cut may
// have torn a block of a marked region: that says nothing of the disk, and reconciling mends it.
func (l *Leg) probe(off int64) error {
	matches, err := l.data.Probe(context.Background(), off/volume.BlockBytes)
	if err != nil || matches {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.core.MayBeTorn(block.Range{Off: off, Len: volume.BlockBytes}) {
		return nil
	}
	return badBlock(off / volume.BlockBytes)
}

// checkLabel reads the slot that counts. A write of the label turns to the other slot; if two
// happened meanwhile, what was read may be torn and proves nothing, so it is read again.
func (l *Leg) checkLabel() error {
	for {
		l.mu.Lock()
		slot, want := l.slot, l.core.Durable().SlotSeq
		l.mu.Unlock()
		label, err := l.labels.readSlot(slot)
		l.mu.Lock()
		now := l.core.Durable().SlotSeq
		l.mu.Unlock()
		switch {
		case now != want:
			continue
		case err != nil:
			return err
		case label.SlotSeq < want:
			return fmt.Errorf("slot %d of the label holds sequence %d, want %d", slot, label.SlotSeq, want)
		}
		return nil
	}
}

// probeOffset picks the n-th block to read: blocks far apart, of those that hold data. It returns -1
// if none does.
func (l *Leg) probeOffset(n int64) (int64, error) {
	blocks := l.limits.SizeBytes / volume.BlockBytes
	// A large odd step visits distant blocks one after the other.
	start := (n * 2654435761 % blocks) * volume.BlockBytes
	for _, from := range []int64{start, 0} {
		run, err := l.data.data.NextData(from)
		if err != nil {
			return -1, err
		}
		if !run.Empty() {
			return run.Off &^ (volume.BlockBytes - 1), nil
		}
	}
	return -1, nil
}
