package block

import "context"

// Blocking makes a Device from a queue: each call submits one request and waits for it.
// Close calls closeFunc, which may be nil.
func Blocking(q Queue, l Limits, closeFunc func() error) Device {
	return &blocking{queue: q, limits: l, closeFunc: closeFunc}
}

type blocking struct {
	queue     Queue
	limits    Limits
	closeFunc func() error
}

func (b *blocking) Read(ctx context.Context, p []byte, off int64) error {
	// The queue keeps writing into its buffer if ctx ends first, so the caller's slice is not lent.
	if ctx.Done() == nil {
		return b.do(ctx, &Request{Op: OpRead, Range: Range{off, int64(len(p))}, Data: p})
	}
	own := make([]byte, len(p))
	err := b.do(ctx, &Request{Op: OpRead, Range: Range{off, int64(len(p))}, Data: own})
	if err == nil {
		copy(p, own)
	}
	return err
}

func (b *blocking) Write(ctx context.Context, p []byte, off int64, f Flags) error {
	if ctx.Done() != nil {
		p = append([]byte(nil), p...)
	}
	return b.do(ctx, &Request{Op: OpWrite, Flags: f, Range: Range{off, int64(len(p))}, Data: p})
}

func (b *blocking) Zero(ctx context.Context, r Range, f Flags) error {
	return b.do(ctx, &Request{Op: OpZero, Flags: f, Range: r})
}

func (b *blocking) Flush(ctx context.Context) error {
	return b.do(ctx, &Request{Op: OpFlush})
}

func (b *blocking) Limits() Limits { return b.limits }

func (b *blocking) Close() error {
	if b.closeFunc == nil {
		return nil
	}
	return b.closeFunc()
}

func (b *blocking) do(ctx context.Context, r *Request) error {
	if err := b.limits.Check(r.Op, r.Range, r.Flags); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	done := make(chan error, 1)
	r.Complete = func(_ *Request, err error) { done <- err }
	b.queue.Submit(r)
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
