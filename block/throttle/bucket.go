package throttle

import (
	"math"
	"math/bits"
	"time"
)

// forever is later than every time that is asked about: a debt that no request of a real device makes.
const forever = time.Duration(math.MaxInt64 / 4)

// bucket is a token bucket. It is kept as the time at which all that was taken is paid for, so that nothing needs to
// be done while time goes by, and in whole nanoseconds with the rest of their division, so that nothing is gained or
// lost however often it is taken from.
type bucket struct {
	rate uint64        // of what is counted, a second; zero counts nothing
	paid time.Duration // when all that was taken is paid for
	rest uint64        // what paid was rounded down by, in parts of a nanosecond: rest/rate
}

// due returns from when on the next request may go: when less is owed than may be saved up.
func (b *bucket) due(burst time.Duration) time.Duration {
	if b.rate == 0 {
		return -forever
	}
	return b.paid - burst
}

// take takes a cost out.
func (b *bucket) take(now time.Duration, cost uint64) {
	if b.rate == 0 {
		return
	}
	if b.paid < now {
		b.paid, b.rest = now, 0 // as much is saved as may be
	}
	hi, lo := bits.Mul64(cost, uint64(time.Second))
	lo, carry := bits.Add64(lo, b.rest, 0)
	hi += carry
	if hi >= b.rate {
		b.paid, b.rest = forever, 0
		return
	}
	quotient, rest := bits.Div64(hi, lo, b.rate)
	b.paid += time.Duration(min(quotient, uint64(forever)))
	b.paid, b.rest = min(b.paid, forever), rest
}

// change sets another rate and burst. What was saved up stays, as far as it may be now. What is owed is less time at a
// higher rate, and no more at a lower one. A bucket that counted nothing is full.
func (b *bucket) change(now time.Duration, rate uint64, before, after time.Duration) {
	saved := after
	if b.rate != 0 && rate != 0 {
		old := before - max(b.paid-now, 0)
		saved = time.Duration(min(float64(old)*float64(b.rate)/float64(rate), float64(after)))
		if old < 0 {
			saved = max(saved, old)
		}
	}
	*b = bucket{rate: rate, paid: now + after - saved}
}
