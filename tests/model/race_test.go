//go:build race

package model_test

// raceDetector: searches take about ten times as long.
const raceDetector = true
