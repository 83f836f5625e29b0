//go:build !race

package leg_test

// crashStatesByDefault is how many states of a power cut are tried before each operation.
const crashStatesByDefault = 50
