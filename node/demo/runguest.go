package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"
)

// guestBatch is how many records the guest writes between two flushes.
const guestBatch = 8

// GuestPause is the pause between two batches that gives some load, but does not fill the volume before
// the demo ends.
const GuestPause = 5 * time.Millisecond

// GuestOptions configure RunGuest.
type GuestOptions struct {
	URL   string // of the export
	Epoch string // of the grant, in decimal
	Log   string // file to append to
	Pause time.Duration
}

// RunGuest is the program of the demo's domU: it connects to its disk and writes until ctx ends.
func RunGuest(ctx context.Context, o GuestOptions) (err error) {
	epoch, err := strconv.ParseUint(o.Epoch, 10, 64)
	if err != nil {
		return fmt.Errorf("epoch %q: %w", o.Epoch, err)
	}
	log, err := os.OpenFile(o.Log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	d, err := openExport(ctx, o.URL)
	if err != nil {
		return fmt.Errorf("open the disk: %w", err)
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	g := Guest{Device: d, Epoch: epoch, Log: log, Batch: guestBatch, Pause: o.Pause}
	return g.Run(ctx)
}
