package metrics

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/VictoriaMetrics/metricsql"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/holdfast-storage/holdfast/node/metrics/metricstest"
)

const packaging = "../../packaging"

// ruleFile is what Prometheus reads of a file of rules.
type ruleFile struct {
	Groups []struct {
		Name  string
		Rules []struct {
			Alert       string
			Expr        string
			For         string `yaml:",omitempty"`
			Labels      map[string]string
			Annotations map[string]string
		}
	}
}

// exported returns the type of every metric that some process of Holdfast exports, by name, from the golden files
// that the tests of its packages hold.
func exported(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("../*/" + metricstest.GoldenFile)
	require.NoError(t, err)
	require.Len(t, files, 6, "coordinator, engine, host, image, storage, and the target's here")
	names := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for line := range strings.Lines(string(text)) {
			words := strings.Fields(line)
			names[words[1]] = words[0]
		}
	}
	return names
}

// check holds that an expression can be parsed, and names only metrics that exist, in forms that their types have.
func check(t *testing.T, names map[string]string, where, expr string) (used []string) {
	t.Helper()
	_, err := metricsql.Parse(expr)
	require.NoError(t, err, "%s: %s", where, expr)
	for _, name := range regexp.MustCompile(`holdfast_[a-z0-9_]+`).FindAllString(expr, -1) {
		of := name
		for _, part := range []string{"_bucket", "_count", "_sum"} {
			if base, ok := strings.CutSuffix(name, part); ok && names[base] == "histogram" {
				of = base
			}
		}
		require.Contains(t, names, of, "%s names a metric that nothing exports", where)
		require.False(t, of == name && names[of] == "histogram", "%s: %s has no samples of that name", where, name)
		if names[of] == "counter" {
			require.Regexp(t, `(rate|increase)\(`+name, expr, "%s: a counter alone says nothing", where)
		}
		used = append(used, of)
	}
	require.NotEmpty(t, used, "%s is about nothing of Holdfast", where)
	return used
}

func TestAlerts_areOfMetricsThatExist(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(packaging, "prometheus", "holdfast.rules.yaml"))
	require.NoError(t, err)
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	var rules ruleFile
	require.NoError(t, decoder.Decode(&rules))
	names, seen := exported(t), map[string]bool{}
	require.NotEmpty(t, rules.Groups)
	for _, g := range rules.Groups {
		require.NotEmpty(t, g.Rules, g.Name)
		for _, r := range g.Rules {
			require.Regexp(t, `^Holdfast[A-Z][A-Za-z]+$`, r.Alert)
			require.False(t, seen[r.Alert], "%s stands twice", r.Alert)
			seen[r.Alert] = true
			check(t, names, "alert "+r.Alert, r.Expr)
			require.Contains(t, []string{"info", "warning", "critical"}, r.Labels["severity"], r.Alert)
			require.NotEmpty(t, r.Annotations["summary"], r.Alert)
			require.NotEmpty(t, r.Annotations["description"], r.Alert)
			if r.For != "" {
				_, err := metricsql.DurationValue(r.For, 0)
				require.NoError(t, err, r.Alert)
			}
		}
	}
}

func TestDashboard_isOfMetricsThatExist(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(packaging, "grafana", "holdfast.json"))
	require.NoError(t, err)
	var board struct {
		Title      string
		UID        string
		Templating struct{ List []struct{ Name, Type string } }
		Panels     []struct {
			ID      int
			Type    string
			Title   string
			GridPos struct{ H, W, X, Y int }
			Targets []struct{ Expr, LegendFormat, RefID string }
		}
	}
	require.NoError(t, json.Unmarshal(text, &board))
	names := exported(t)
	shown, ids := map[string]bool{}, map[int]bool{}
	for _, p := range board.Panels {
		require.False(t, ids[p.ID], "two panels have number %d", p.ID)
		ids[p.ID] = true
		require.NotEmpty(t, p.Title)
		require.LessOrEqual(t, p.GridPos.X+p.GridPos.W, 24, p.Title)
		require.True(t, p.Type == "row" || len(p.Targets) > 0, p.Title)
		for _, q := range p.Targets {
			for _, used := range check(t, names, "panel "+p.Title, strings.ReplaceAll(q.Expr, "$volume", ".*")) {
				shown[used] = true
			}
		}
	}
	require.NotEmpty(t, board.UID)
	// Every role is on the board.
	for _, role := range []string{"coordinator", "engine", "host", "storage", "target"} {
		found := false
		for name := range shown {
			found = found || strings.HasPrefix(name, "holdfast_"+role+"_")
		}
		require.True(t, found, "nothing of the %s is shown", role)
	}
}

// TestScrapeExample_isYAML holds that the example can be read and names the rules that are there.
func TestScrapeExample_isYAML(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(packaging, "prometheus", "prometheus.yaml"))
	require.NoError(t, err)
	var example struct {
		Rules  []string         `yaml:"rule_files"`
		Scrape []map[string]any `yaml:"scrape_configs"`
	}
	require.NoError(t, yaml.Unmarshal(text, &example))
	require.Equal(t, []string{"holdfast.rules.yaml"}, example.Rules)
	require.Len(t, example.Scrape, 1)
}
