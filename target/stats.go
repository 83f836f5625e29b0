package target

import (
	"math/bits"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/holdfast-storage/holdfast/iscsi"
	"github.com/holdfast-storage/holdfast/scsi"
)

// Direction says which way the data of commands goes.
type Direction int

// The directions.
const (
	NoData Direction = iota
	Reads
	Writes
	Directions
)

// String returns none, read or write.
func (d Direction) String() string { return [Directions]string{"none", "read", "write"}[d] }

const (
	// latencyBuckets are 16 µs, 32 µs … 16.8 s, and one for what takes longer.
	latencyBuckets   = 22
	firstLatencyBits = 14 // 2^14 ns is the first bound
)

// LatencyBounds returns the upper bounds of the buckets of Histogram, ascending, without the last one, which
// has none.
func LatencyBounds() []time.Duration {
	var bounds []time.Duration
	for i := range latencyBuckets - 1 {
		bounds = append(bounds, time.Duration(1)<<(firstLatencyBits+i))
	}
	return bounds
}

// Histogram counts commands by how long they took, from the arrival of their first PDU to their reply. It is
// the caller's.
type Histogram struct {
	Buckets [latencyBuckets]uint64 // how many took at most the bound and more than the one before
	Count   uint64
	Sum     time.Duration
}

// DirectionStats are the commands of one direction.
type DirectionStats struct {
	Bytes   uint64 // of data that was moved
	Latency Histogram
}

// LUNStats are the commands of one session to one logical unit since the session began.
type LUNStats struct {
	LUN        uint64 // its number
	Directions [Directions]DirectionStats
	Checks     uint64 // ended with CHECK CONDITION other than UNIT ATTENTION
	Conflicts  uint64 // ended with RESERVATION CONFLICT
	Busy       uint64 // ended with BUSY
	Aborted    uint64 // were aborted by a task management function
}

// SessionStats are a session and what it did since it began.
type SessionStats struct {
	Target, Initiator string
	ISID              iscsi.ISID
	TSIH              uint16
	Discovery         bool
	Digests           iscsi.Digests // in use
	Local, Remote     net.Addr
	Since             time.Time
	LUNs              []LUNStats // ascending
}

// ServerStats are what a Server occupies and serves.
type ServerStats struct {
	Connections int   // open
	Logins      int   // of them, those that have not logged in
	MemoryFree  int64 // bytes left of Options.MemoryBytes
	Sessions    []SessionStats
}

// counters count the commands of one session to one unit. They are only added to.
type counters struct {
	number     uint64
	directions [Directions]struct {
		bytes   atomic.Uint64
		nanos   atomic.Uint64
		buckets [latencyBuckets]atomic.Uint64
	}
	checks, conflicts, busy, aborted atomic.Uint64
}

// count counts a task that has ended.
func (n *counters) count(t *task, answered bool) {
	took := time.Since(t.arrived)
	direction := NoData
	bytes := int64(0)
	switch {
	case t.Read:
		direction, bytes = Reads, min(t.response.InLen, t.inNeed)
	case t.Write:
		direction = Writes
		if t.response.Status == scsi.Good {
			bytes = t.outNeed
		}
	}
	if !answered {
		if t.aborted {
			n.aborted.Add(1)
		}
		return
	}
	d := &n.directions[direction]
	d.bytes.Add(uint64(bytes))
	d.nanos.Add(uint64(took))
	d.buckets[latencyBucket(took)].Add(1)
	switch t.response.Status {
	case scsi.CheckCondition:
		if t.response.Sense.Key != scsi.UnitAttention {
			n.checks.Add(1)
		}
	case scsi.ReservationConflict:
		n.conflicts.Add(1)
	case scsi.Busy:
		n.busy.Add(1)
	}
}

// latencyBucket returns the bucket of a duration: the first whose bound it does not exceed.
func latencyBucket(d time.Duration) int {
	above := bits.Len64(uint64(max(d-1, 0)) >> firstLatencyBits)
	return min(above, latencyBuckets-1)
}

func (n *counters) stats() LUNStats {
	s := LUNStats{LUN: n.number, Checks: n.checks.Load(), Conflicts: n.conflicts.Load(), Busy: n.busy.Load(),
		Aborted: n.aborted.Load()}
	for i := range n.directions {
		from, to := &n.directions[i], &s.Directions[i]
		to.Bytes, to.Latency.Sum = from.bytes.Load(), time.Duration(from.nanos.Load())
		for b := range from.buckets {
			to.Latency.Buckets[b] = from.buckets[b].Load()
			to.Latency.Count += to.Latency.Buckets[b]
		}
	}
	return s
}

// Stats returns what the server serves at the moment. The answer is the caller's.
func (s *Server) Stats() ServerStats {
	s.mu.Lock()
	stats := ServerStats{Connections: len(s.conns), Logins: len(s.logins), MemoryFree: s.memory.free.Load()}
	var open []*conn
	for c := range s.conns {
		if c.serves() {
			open = append(open, c)
		}
	}
	s.mu.Unlock()
	for _, c := range open {
		stats.Sessions = append(stats.Sessions, c.stats())
	}
	slices.SortFunc(stats.Sessions, func(a, b SessionStats) int {
		if n := strings.Compare(a.Target+"\x00"+a.Initiator, b.Target+"\x00"+b.Initiator); n != 0 {
			return n
		}
		return int(a.TSIH) - int(b.TSIH)
	})
	return stats
}

// serves reports whether the connection has a session that has not ended: one that has may still be among the
// server's connections when that of the same nexus which replaced it is too.
func (c *conn) serves() bool {
	if !c.inSession.Load() {
		return false
	}
	select {
	case <-c.session.ended:
		return false
	default:
		return true
	}
}

func (c *conn) stats() SessionStats {
	s := c.session
	stats := SessionStats{Target: s.key.target, Initiator: s.key.initiator, ISID: s.key.isid, TSIH: s.tsih,
		Discovery: s.discovery, Digests: s.params.Digests, Local: c.raw.LocalAddr(), Remote: c.raw.RemoteAddr(),
		Since: s.since}
	for _, n := range s.units.counters {
		stats.LUNs = append(stats.LUNs, n.stats())
	}
	return stats
}
