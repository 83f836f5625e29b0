//go:build race

package leg_test

// crashStatesByDefault is few, since the race detector makes each state many times as dear; the states are for
// the run without it.
const crashStatesByDefault = 3
