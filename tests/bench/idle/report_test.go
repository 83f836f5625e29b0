package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReport_printsWhatIsInTheMiddle(t *testing.T) {
	r := report{Volumes: 3, Engines: []taken{{AnonymousMiB: 9, CPUPerMinute: 0.01},
		{AnonymousMiB: 11, CPUPerMinute: 0.03}, {AnonymousMiB: 10, CPUPerMinute: 0.02}},
		Daemons: []taken{{Name: "h1", WakeUpsPerSec: 7}}, DaemonsAlone: []taken{{Name: "h1", WakeUpsPerSec: 5}}}
	var out strings.Builder
	r.print(&out)
	require.Contains(t, out.String(), "10.0 (9.0–11.0)")
	require.Contains(t, out.String(), "20 (10–30)")
	require.Contains(t, out.String(), "7.0\n")
	require.Contains(t, out.String(), "5.0\n")
}
