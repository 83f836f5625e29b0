package netio

import (
	"runtime"
	"sync/atomic"
	"time"
)

const (
	// waitTime is how long a reader waits in the kernel itself before it goes to the runtime's poller. It is shorter
	// than the time after which the runtime takes the processor of a thread in a system call (10 ms).
	waitTime = 2 * time.Millisecond
	// yieldTime is how often a goroutine that waits so lets the runtime schedule it anew. The runtime takes a
	// goroutine that was not scheduled for 10 ms for one that runs all the time, and takes its processor at every
	// look, which it then has each 20 µs.
	yieldTime = 3 * time.Millisecond
	// spareProcessors is how many of the runtime's processors (GOMAXPROCS) are never given to readers that wait.
	spareProcessors = 2
	// writersMax is how many writers wait for room in the kernel at once, each on a thread of its own. More of them,
	// whose peers all do not read, look from time to time.
	writersMax = 64
)

// Waits bounds how many readers and writers of a process wait in the kernel at once. Such a reader keeps its
// processor: its thread goes on as soon as data comes. With the runtime's poller another thread hears of the data
// first, and each time that all threads had become idle the runtime's monitor is woken, too: three or four wake-ups
// for one.
//
// A nil Waits lets nobody wait so. It is safe for use by many goroutines.
type Waits struct {
	waiting atomic.Int32 // readers
	room    int32
	writing atomic.Int32 // writers that wait for room
}

// NewWaits returns a bound for this process: all processors that the runtime has now but for spareProcessors.
func NewWaits() *Waits { return &Waits{room: int32(runtime.GOMAXPROCS(0) - spareProcessors)} }

func (w *Waits) enter() bool {
	if w.waiting.Add(1) <= w.room {
		return true
	}
	w.waiting.Add(-1)
	return false
}

func (w *Waits) leave() { w.waiting.Add(-1) }

// enterWrite and leaveWrite are the same for a writer.
func (w *Waits) enterWrite() bool {
	if w.writing.Add(1) <= writersMax {
		return true
	}
	w.writing.Add(-1)
	return false
}

func (w *Waits) leaveWrite() { w.writing.Add(-1) }
