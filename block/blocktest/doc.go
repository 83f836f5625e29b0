// Package blocktest proves block devices and breaks them on purpose.
//
// [Run] is the suite that every block.Device of the product passes: file, memory, volume, remote
// LUN. [Faulty], [Slow] and [Crash] are devices that stack on another one and fail requests, delay
// them, or lose what was not flushed. What they do is decided by their arms, counters and a random
// number generator that the test gives, so that a run can be repeated.
package blocktest
