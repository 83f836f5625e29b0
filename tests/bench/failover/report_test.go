package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPercentile_ofFewAndMany(t *testing.T) {
	require.InDelta(t, 7, percentile([]float64{7}, 99), 0)
	all := make([]float64, 200)
	for i := range all {
		all[len(all)-1-i] = float64(i + 1)
	}
	require.InDelta(t, 100, percentile(all, 50), 0)
	require.InDelta(t, 198, percentile(all, 99), 0)
	require.InDelta(t, 200, percentile(all, 100), 0)
	require.InDelta(t, 200, all[0], 0, "it leaves the order alone")
}

func TestReport_hasARowForEachStageThatWasReached(t *testing.T) {
	r := newReport("abc", 2)
	r.add("host paused", sample{"decided": 2, "first_read": 0.2})
	r.add("host paused", sample{"decided": 3})
	var out strings.Builder
	r.print(&out)
	require.Contains(t, out.String(), "| host paused | decided | 2 | 2.000 | 3.000 | 3.000 |\n")
	require.Contains(t, out.String(), "| host paused | first_read | 1 | 0.200 | 0.200 | 0.200 |\n")
	require.NotContains(t, out.String(), "serving")
	require.Contains(t, out.String(), "host paused: 0 faults, 2 samples, 0 failed\n")
}

func TestReport_countsAndNamesWhatFailed(t *testing.T) {
	r := newReport("abc", 5)
	r.fault("host paused")
	r.failed("host paused", 5, errors.New("no leader"))
	r.fault("host paused")
	r.add("host paused", sample{"decided": 2})
	r.failed("host paused", 1, errors.New("it waits"))
	require.Equal(t, 6, r.failures())
	var out strings.Builder
	r.print(&out)
	require.Contains(t, out.String(), "host paused: 2 faults, 1 samples, 6 failed\n  no leader\n  it waits\n")
	file := filepath.Join(t.TempDir(), "r.json")
	require.NoError(t, r.write(file))
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Contains(t, string(text), `"failed": 6`)
}
