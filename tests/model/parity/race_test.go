//go:build race

package parity_test

// raceDetector: searches take about ten times as long.
const raceDetector = true
