package blocktest

import (
	"context"
	"fmt"
	"sync"

	"github.com/holdfast-storage/holdfast/block"
)

// Fault says which requests fail and how. It is armed on a Faulty device.
type Fault struct {
	Op    block.Op    // of the requests that count; zero is any
	Range block.Range // only requests that overlap it count; empty is anywhere, and for flushes
	Nth   int         // fail the Nth request that counts, from 1; zero fails every one
	Err   error       // what the request returns
	After bool        // do the request first and fail it then: the lost answer
}

// Faulty is a device that fails requests on order and otherwise does what the one below does.
type Faulty struct {
	block.Device

	mu   sync.Mutex
	arms []*Arm
}

// NewFaulty stacks a Faulty on a device, with no fault armed.
func NewFaulty(d block.Device) *Faulty { return &Faulty{Device: d} }

// Arm adds a fault. The Arm switches it and counts: a test that arms a fault asserts afterwards
// that it struck.
func (f *Faulty) Arm(fault Fault) *Arm {
	a := &Arm{fault: fault, on: true}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.arms = append(f.arms, a)
	return a
}

// Read fails or reads.
func (f *Faulty) Read(ctx context.Context, p []byte, off int64) error {
	r := block.Range{Off: off, Len: int64(len(p))}
	return f.do(block.OpRead, r, func() error { return f.Device.Read(ctx, p, off) })
}

// Write fails or writes.
func (f *Faulty) Write(ctx context.Context, p []byte, off int64, flags block.Flags) error {
	r := block.Range{Off: off, Len: int64(len(p))}
	return f.do(block.OpWrite, r, func() error { return f.Device.Write(ctx, p, off, flags) })
}

// Zero fails or zeroes.
func (f *Faulty) Zero(ctx context.Context, r block.Range, flags block.Flags) error {
	return f.do(block.OpZero, r, func() error { return f.Device.Zero(ctx, r, flags) })
}

// Flush fails or flushes.
func (f *Faulty) Flush(ctx context.Context) error {
	return f.do(block.OpFlush, block.Range{}, func() error { return f.Device.Flush(ctx) })
}

func (f *Faulty) do(op block.Op, r block.Range, below func() error) error {
	fault := f.strike(op, r)
	if fault == nil {
		return below()
	}
	if fault.After {
		if err := below(); err != nil {
			return err
		}
	}
	return fmt.Errorf("%s %s: injected: %w", op, r, fault.Err)
}

func (f *Faulty) strike(op block.Op, r block.Range) *Fault {
	f.mu.Lock()
	arms := f.arms
	f.mu.Unlock()
	for _, a := range arms {
		if a.strikes(op, r) {
			return &a.fault
		}
	}
	return nil
}

// Arm is one armed fault: a switch and its counters.
type Arm struct {
	fault Fault

	mu     sync.Mutex
	on     bool
	seen   int
	struck int
}

// Switch turns the fault on or off; it does not reset the count of requests.
func (a *Arm) Switch(on bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.on = on
}

// Struck returns how many requests the fault has failed.
func (a *Arm) Struck() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.struck
}

func (a *Arm) strikes(op block.Op, r block.Range) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	counts := a.on && (a.fault.Op == 0 || a.fault.Op == op) &&
		(a.fault.Range.Empty() || op == block.OpFlush || a.fault.Range.Overlaps(r))
	if !counts {
		return false
	}
	a.seen++
	if a.fault.Nth != 0 && a.seen != a.fault.Nth {
		return false
	}
	a.struck++
	return true
}
