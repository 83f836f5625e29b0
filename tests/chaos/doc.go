// Package chaos is what the chaos test is made of, apart from the cluster itself (tests/system): a schedule of faults
// that follows from a seed, a writer that keeps books on what it was answered, and the judgement of these books.
//
//	Plan       the faults of a run: what, when, to whom; the same seed gives the same list
//	Writer     reads, writes and flushes blocks of one volume; every value is written once. Each call is in a file
//	           before it is made, so that a writer that is killed has said what it was about
//	History    what all writers of one volume wrote down, one after the other
//	Judge      finds an order of a history's operations that a disk with a write cache could have had (porcupine),
//	           or says which block has none
//
// Times are of CLOCK_MONOTONIC, which all processes of a machine share; no writer's clock is another's.
//
// The simulation (tests/sim) judges in the same way what it has in memory; it knows more, such as when a leg lost
// what, and sees one process. This package judges by what guests and events tell.
package chaos
