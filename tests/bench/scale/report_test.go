package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/tests/bench/compare"
)

func TestReport_comparesWithNone(t *testing.T) {
	var r report
	for _, s := range []step{{Idle: 0}, {Idle: 200, OwnCores: 0.1}} {
		s.Jobs = map[string][]compare.Measured{}
		for _, j := range jobs() {
			s.Jobs[j.Name] = []compare.Measured{{IOPS: 10000, P99: 5, CPU: 40 + float64(s.Idle)/10}}
		}
		r.Steps = append(r.Steps, s)
	}
	var out strings.Builder
	r.print(&out)
	require.Contains(t, out.String(), "60.0     50.0    1.25", "ten of the sixty are taken at rest as well")
}

func TestParseSteps(t *testing.T) {
	steps, err := parseSteps("1, 10,50")
	require.NoError(t, err)
	require.Equal(t, []int{1, 10, 50}, steps)
	for _, bad := range []string{"", "0", "5,5", "10,1", "x", "1,"} {
		_, err := parseSteps(bad)
		require.Error(t, err, bad)
	}
}
