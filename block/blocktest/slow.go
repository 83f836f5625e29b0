package blocktest

import (
	"context"
	"time"

	"github.com/holdfast-storage/holdfast/block"
)

// Slow is a device whose requests wait before they reach the one below. It waits on the clock, so
// tests run it under testing/synctest.
type Slow struct {
	block.Device
	delay func(block.Op, block.Range) time.Duration
}

// NewSlow stacks a Slow on a device. The delay of each request is asked of the function, which
// must be safe for use by many goroutines.
func NewSlow(d block.Device, delay func(block.Op, block.Range) time.Duration) *Slow {
	return &Slow{Device: d, delay: delay}
}

// Read waits and reads.
func (s *Slow) Read(ctx context.Context, p []byte, off int64) error {
	if err := s.wait(ctx, block.OpRead, block.Range{Off: off, Len: int64(len(p))}); err != nil {
		return err
	}
	return s.Device.Read(ctx, p, off)
}

// Write waits and writes.
func (s *Slow) Write(ctx context.Context, p []byte, off int64, f block.Flags) error {
	if err := s.wait(ctx, block.OpWrite, block.Range{Off: off, Len: int64(len(p))}); err != nil {
		return err
	}
	return s.Device.Write(ctx, p, off, f)
}

// Zero waits and zeroes.
func (s *Slow) Zero(ctx context.Context, r block.Range, f block.Flags) error {
	if err := s.wait(ctx, block.OpZero, r); err != nil {
		return err
	}
	return s.Device.Zero(ctx, r, f)
}

// Flush waits and flushes.
func (s *Slow) Flush(ctx context.Context) error {
	if err := s.wait(ctx, block.OpFlush, block.Range{}); err != nil {
		return err
	}
	return s.Device.Flush(ctx)
}

func (s *Slow) wait(ctx context.Context, op block.Op, r block.Range) error {
	timer := time.NewTimer(s.delay(op, r))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
