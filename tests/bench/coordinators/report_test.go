package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A start is not said to be one from a snapshot when there is none.
func TestStartedFrom(t *testing.T) {
	for want, have := range map[string]int{"start from the log": 0, "start, 2 of 3 from a snapshot": 2,
		"start from a snapshot": 3} {
		require.Equal(t, want, startedFrom(have, 3))
	}
}
