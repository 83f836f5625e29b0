package mirror

import (
	"math/bits"
	"time"
)

// pace says how many extents may be copied at once beside the guest. The guest's own latency is the limit, and no
// rate in bytes: a disk or network that has room is used, one that has not is left to the guest.
//
// What the guest's reads and writes take while nothing is copied is the base. What they take beside copies is
// looked at in windows: up to twice the base one extent more is copied at once, above that half as many. When even
// one at once keeps the guest above twice the base, the copy rests between extents, longer and longer, up to paceGap
// from one beginning to the next: so a copy comes to its end, at 10 MiB/s with extents of 256 KiB if the disks
// give that much. When that is too much as well the guest does something else than when the base was taken, and the
// base follows it slowly.
//
// It decides when a copy begins, and never which: nothing of what is safe rests on it. It has no clock and
// allocates nothing.
type pace struct {
	depth  int           // beside the guest; zero before the first decision
	rests  int           // 0 to paceRests, how long it rests between extents; above zero the depth is one
	begun  time.Duration // when the latest extent began
	base   time.Duration // the guest's high latency without copies; zero = not known
	guest  time.Duration // when the guest was last answered; zero = never
	quiet  latencies     // since the base was last looked at, without copies
	beside latencies     // since the depth was last decided, beside copies
}

// How latencies are judged. A window is at least paceLeast requests, and as many more as come within
// paceWindow; the base gives a quarter to each new window.
const (
	paceLeast  = 50
	paceWindow = 250 * time.Millisecond
	paceFactor = 2
	paceIdle   = 100 * time.Millisecond // the guest has nothing to do if it was not answered for so long
	paceFloor  = 500 * time.Microsecond // what a base is at least: less is the noise of the machine
	paceGap    = 25 * time.Millisecond  // between the beginnings of two extents at most
	paceRests  = 3                      // steps of rest, each twice as long as the one before
)

// answered takes a read or write of the guest that began at a time, beside copies or not. most is the highest depth.
func (p *pace) answered(now, began time.Duration, isBeside bool, most int) {
	p.guest = max(now, 1)
	if !isBeside {
		p.quiet.add(now, now-began)
		if p.quiet.isFull(now) {
			p.learn(p.quiet.high())
			p.quiet = latencies{}
		}
		return
	}
	p.beside.add(now, now-began)
	if p.beside.isFull(now) {
		p.decide(p.beside.high(), most)
		p.beside = latencies{}
	}
}

// learn takes a window without copies into the base.
func (p *pace) learn(high time.Duration) {
	high = max(high, paceFloor)
	if p.base == 0 {
		p.base = high
		return
	}
	p.base = max(paceFloor, p.base+(high-p.base)/4)
}

// decide takes a window beside copies.
func (p *pace) decide(high time.Duration, most int) {
	if p.base == 0 {
		return
	}
	now := p.share(most)
	switch well := high <= paceFactor*p.base; {
	case well && p.rests > 0:
		p.rests--
	case well:
		p.depth = min(now+1, most)
	case now > 1:
		p.depth = now / 2
	case p.rests < paceRests:
		p.depth, p.rests = 1, p.rests+1
	default:
		p.depth = 1
		p.learn(high)
	}
}

// began takes the beginning of an extent.
func (p *pace) began(now time.Duration) { p.begun = now }

// due returns when the next extent may begin, now or a time before it for at once.
func (p *pace) due(now time.Duration, isAsked bool) time.Duration {
	if p.rests == 0 || p.isLeft(now, isAsked) {
		return now
	}
	return p.begun + paceGap>>(paceRests-p.rests)
}

// isLeft reports whether the guest has nothing to do.
func (p *pace) isLeft(now time.Duration, isAsked bool) bool {
	return !isAsked && (p.guest == 0 || now-p.guest >= paceIdle)
}

// limit returns how many extents may be copied at once, 1 to most.
func (p *pace) limit(now time.Duration, isAsked bool, most int) int {
	if p.isLeft(now, isAsked) {
		return most
	}
	return p.share(most)
}

// share returns the depth beside the guest: half of what is allowed before anything is known.
func (p *pace) share(most int) int {
	if p.depth == 0 {
		return max(1, most/2)
	}
	return max(1, min(p.depth, most))
}

// latencies count requests by what they took, in steps of an eighth to a quarter.
type latencies struct {
	counts [latencySteps]uint16
	n      int
	since  time.Duration // of the first
}

// latencySteps reach from a microsecond to more than an hour.
const latencySteps = 4 * 32

func (l *latencies) add(now, took time.Duration) {
	if l.n == 0 {
		l.since = now
	}
	l.n++
	l.counts[latencyStep(took)]++
}

// isFull reports whether enough was counted to judge by. So that no count overflows, a window has an end.
func (l *latencies) isFull(now time.Duration) bool {
	return l.n >= paceLeast && now-l.since >= paceWindow || l.n >= 1<<15
}

// high returns what 99 of 100 requests did not exceed; of fewer than 200 the two longest do not count, as
// one hiccup says nothing.
func (l *latencies) high() time.Duration {
	left := max(2, l.n/100)
	for i := latencySteps - 1; i > 0; i-- {
		if left -= int(l.counts[i]); left < 0 {
			return latencyOf(i)
		}
	}
	return latencyOf(0)
}

// latencyStep returns the step of a latency: its highest bit, and the two below it.
func latencyStep(d time.Duration) int {
	us := uint64(max(d, 0)/time.Microsecond) + 4
	high := bits.Len64(us) - 3
	return min(4*high+int(us>>high&3), latencySteps-1)
}

// latencyOf returns the longest latency of a step.
func latencyOf(step int) time.Duration {
	high, low := step/4, uint64(step%4)
	return time.Duration((4+low+1)<<high-1-4) * time.Microsecond
}
