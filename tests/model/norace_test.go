//go:build !race

package model_test

// raceDetector: searches run at full speed.
const raceDetector = false
