package throttle

import (
	"time"

	"github.com/holdfast-storage/holdfast/block"
)

// Limit is how much may go through.
type Limit struct {
	IOPS      int64         // requests a second; zero is no limit
	Bandwidth int64         // bytes a second; zero is no limit
	Burst     time.Duration // for how long either may be saved up while less is used
}

// None reports whether nothing is limited.
func (l Limit) None() bool { return l.IOPS <= 0 && l.Bandwidth <= 0 }

// core decides what goes and what waits. Times are of one clock that never goes back.
//
// Invariant: without a limit nothing is due later than now, so nobody waits for long.
type core struct {
	limit    Limit
	requests bucket
	bytes    bucket
	waiting  fifo
}

// set changes the limit, for those that wait too.
func (c *core) set(now time.Duration, l Limit) {
	l.IOPS, l.Bandwidth, l.Burst = max(l.IOPS, 0), max(l.Bandwidth, 0), max(l.Burst, 0)
	c.requests.change(now, uint64(l.IOPS), c.limit.Burst, l.Burst)
	c.bytes.change(now, uint64(l.Bandwidth), c.limit.Burst, l.Burst)
	c.limit = l
}

// due returns from when on the next request may go.
func (c *core) due() time.Duration {
	return max(c.requests.due(c.limit.Burst), c.bytes.due(c.limit.Burst))
}

// arrive takes a request up. It reports whether the request goes at once; else it waits behind the others.
func (c *core) arrive(now time.Duration, r *block.Request) bool {
	if c.waiting.len() > 0 || c.due() > now {
		c.waiting.push(waiter{r, now})
		return false
	}
	c.take(now, r)
	return true
}

// next returns a request that has waited for long enough, and for how long; ok is false if there is none.
func (c *core) next(now time.Duration) (r *block.Request, waited time.Duration, ok bool) {
	if c.waiting.len() == 0 || c.due() > now {
		return nil, 0, false
	}
	w := c.waiting.pop()
	c.take(now, w.request)
	return w.request, now - w.since, true
}

func (c *core) take(now time.Duration, r *block.Request) {
	c.requests.take(now, 1)
	c.bytes.take(now, bytesOf(r))
}

// counts reports whether an operation is limited at all.
func counts(op block.Op) bool { return op == block.OpRead || op.Changes() }

// bytesOf returns how many bytes a request counts for.
func bytesOf(r *block.Request) uint64 {
	if r.Op == block.OpZero && r.Flags&block.Unmap != 0 {
		return 0
	}
	return uint64(max(r.Range.Len, 0)) // what is malformed is refused behind the throttle
}
