//go:build !race

package parity_test

// raceDetector: searches run at full speed.
const raceDetector = false
