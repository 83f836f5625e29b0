package scsi

import (
	"bytes"
	"context"
	"sync"

	"github.com/holdfast-storage/holdfast/block"
)

// sanitizeStepBytes is how much is erased between two looks at the progress.
const sanitizeStepBytes = 1 << 30

// sanitizer keeps sanitize operations of a unit apart.
type sanitizer struct {
	mu       sync.Mutex // held while state changes, not while erasing
	mayLeave bool       // AUSE of the operation that failed: EXIT FAILURE MODE is allowed
}

// The bits of byte 1 of SANITIZE besides the service action.
const (
	bitAUSE        = 0x20
	bitSanitizeZNR = 0x40
)

// sanitizeFieldsWrong reports whether a SANITIZE without parameter list sets what it must not.
func sanitizeFieldsWrong(cdb []byte) bool {
	return cdb[1]&bitSanitizeZNR != 0 || !bytes.Equal(cdb[2:9], make([]byte, 7))
}

// blockErase is SANITIZE with BLOCK ERASE (SBC-3 §5.30): every block is unmapped and that is on
// stable storage before the command ends, so IMMED makes no difference and a restart never finds
// an operation that was called done. Until then other commands end with SANITIZE IN PROGRESS.
func blockErase(d *Disk, ctx context.Context, cmd *Command, res *Response) {
	sense := senseCode(0)
	switch {
	case sanitizeFieldsWrong(cmd.CDB):
		sense = senseInvalidFieldInCDB
	case d.writeProtected():
		sense = senseWriteProtected
	default:
		sense = d.beginSanitize()
	}
	if sense != 0 {
		res.refuse(sense)
		return
	}
	// No task management function ends a sanitize operation.
	err := d.eraseAll(context.WithoutCancel(ctx))
	d.endSanitize(err, cmd.CDB[1]&bitAUSE != 0)
	if err != nil {
		res.refuse(senseSanitizeFailed)
	}
}

func (d *Disk) beginSanitize() senseCode {
	d.sanitizer.mu.Lock()
	defer d.sanitizer.mu.Unlock()
	if d.state.bits.Load()&conditionSanitizing != 0 {
		return senseSanitizing
	}
	d.state.progress.Store(0)
	d.state.set(conditionSanitizing)
	return 0
}

func (d *Disk) endSanitize(err error, mayLeave bool) {
	d.sanitizer.mu.Lock()
	defer d.sanitizer.mu.Unlock()
	if err != nil {
		d.sanitizer.mayLeave = mayLeave
		d.state.set(conditionSanitizeFailed)
	} else {
		d.state.clear(conditionSanitizeFailed)
	}
	d.state.clear(conditionSanitizing)
}

// eraseAll unmaps the whole device after what was under way has ended.
func (d *Disk) eraseAll(ctx context.Context) error {
	all := block.Range{Len: d.limits.SizeBytes}
	return d.atomically(ctx, all, func(device block.Device) error {
		step := int64(sanitizeStepBytes)
		if d.limits.MaxBytes > 0 {
			step = min(step, d.limits.MaxBytes&^(d.blockBytes-1))
		}
		for off := int64(0); off < all.Len; off += step {
			r := block.Range{Off: off, Len: min(step, all.Len-off)}
			if err := device.Zero(ctx, r, block.Unmap); err != nil {
				return err
			}
			done := float64(r.End()) / float64(all.Len)
			d.state.progress.Store(uint32(min(done*65536, 65535)))
		}
		return device.Flush(ctx)
	})
}

// exitFailureMode is SANITIZE with EXIT FAILURE MODE: a unit whose sanitize operation failed serves
// its medium again, if that operation allowed it.
func exitFailureMode(d *Disk, _ context.Context, cmd *Command, res *Response) {
	d.sanitizer.mu.Lock()
	defer d.sanitizer.mu.Unlock()
	failed := d.state.bits.Load()&conditionSanitizeFailed != 0
	if sanitizeFieldsWrong(cmd.CDB) || failed && !d.sanitizer.mayLeave {
		res.refuse(senseInvalidFieldInCDB)
		return
	}
	d.state.clear(conditionSanitizeFailed)
}
