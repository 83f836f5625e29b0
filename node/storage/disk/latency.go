package disk

import (
	"slices"
	"time"
)

const (
	recentReads = 15   // of which the median is what the disk does now
	usualWeight = 0.01 // of a recent median in the disk's past
	usualAfter  = 60   // reads before its past says anything
)

// Latency follows how long check reads of one disk take: what it does now beside what it usually did. One slow
// read says nothing; the median of several does. The zero value is ready. It is not safe for concurrent use.
type Latency struct {
	recent []time.Duration
	next   int
	seen   int
	usual  float64 // nanoseconds
}

// Note takes in one read.
func (l *Latency) Note(took time.Duration) {
	if took <= 0 {
		return
	}
	if len(l.recent) < recentReads {
		l.recent = append(l.recent, took)
	} else {
		l.recent[l.next] = took
		l.next = (l.next + 1) % recentReads
	}
	l.seen++
	now := float64(l.Now())
	switch {
	case l.seen <= recentReads:
		l.usual = now
	case now < 4*l.usual: // what is far off is not taken for the new usual within minutes
		l.usual += usualWeight * (now - l.usual)
	default:
		l.usual += usualWeight / 20 * (now - l.usual)
	}
}

// Now returns the median of the last reads, zero if there was none.
func (l *Latency) Now() time.Duration {
	if len(l.recent) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(l.recent))
	return sorted[len(sorted)/2]
}

// Usual returns what the disk's reads took before, zero while too few were seen.
func (l *Latency) Usual() time.Duration {
	if l.seen < usualAfter {
		return 0
	}
	return time.Duration(l.usual)
}
