// Package metricstest checks metrics in the tests of the packages that have some. The names of all metrics are
// kept in golden files, against which alert rules and dashboards are held.
package metricstest

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
)

// GoldenFile is where a package keeps what it exports, in its folder.
const GoldenFile = "metrics.golden"

// rewriteVariable, if set, has Golden write the file anew.
const rewriteVariable = "HOLDFAST_REWRITE"

// Golden holds that the metrics of g follow Prometheus's rules, and that their names, types and helps are those
// of GoldenFile. g must have at least one sample of each.
func Golden(t *testing.T, g prometheus.Gatherer) {
	t.Helper()
	problems, err := testutil.GatherAndLint(g)
	require.NoError(t, err)
	require.Empty(t, problems)
	families, err := g.Gather()
	require.NoError(t, err)
	var lines []string
	for _, f := range families {
		if strings.HasPrefix(f.GetName(), "holdfast_") {
			lines = append(lines, strings.ToLower(f.GetType().String())+" "+f.GetName()+" "+f.GetHelp())
		}
	}
	slices.Sort(lines)
	got := strings.Join(lines, "\n") + "\n"
	if os.Getenv(rewriteVariable) != "" {

		require.NoError(t, os.WriteFile(GoldenFile, []byte(got), 0o644))
	}
	want, err := os.ReadFile(GoldenFile)
	require.NoError(t, err)
	require.Equal(t, string(want), got, "%s=1 go test writes it anew; alert rules and dashboards use these names",
		rewriteVariable)
}

// Registry returns a registry of collectors.
func Registry(t *testing.T, all ...prometheus.Collector) *prometheus.Registry {
	t.Helper()
	r := prometheus.NewRegistry()
	for _, c := range all {
		require.NoError(t, r.Register(c))
	}
	return r
}
