package conformance

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// timeLimit is how long one test may take.
const timeLimit = 15 * time.Second

// tool is libiscsi's test program.
const tool = "iscsi-test-cu"

func TestConformance(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	if _, err := exec.LookPath(tool); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("%s is not installed", tool)
		}
		t.Skipf("%s is not installed; ./scripts/packages installs it", tool)
	}
	tests := listTests(t)
	wrong := documentedAsWrong(t)
	binary := build(t)
	results := make([]map[string]outcome, len(settings()))
	var all sync.WaitGroup
	for i, s := range settings() {
		urls := s.serve(t, binary)
		all.Go(func() { results[i] = s.runAll(t.Context(), tests, urls) })
	}
	all.Wait()
	for i, s := range settings() {
		report(t, s, tests, results[i], wrong)
	}
	compareWithDocument(t, tests, results)
}

// listTests returns the names of all tests of family ALL.
func listTests(t *testing.T) []string {
	t.Helper()
	out, err := exec.Command(tool, "--list").Output()
	require.NoError(t, err)
	var tests []string
	for _, word := range strings.Fields(string(out)) {
		if strings.HasPrefix(word, "ALL.") && strings.Count(word, ".") == 2 {
			tests = append(tests, word)
		}
	}
	require.GreaterOrEqual(t, len(tests), 230, "what the tool lists is not understood")
	return tests
}

func (s setting) runAll(ctx context.Context, tests, urls []string) map[string]outcome {
	outcomes := make(map[string]outcome, len(tests))
	for _, name := range tests {
		outcomes[name] = s.run(ctx, name, urls)
	}
	return outcomes
}

// sendsNoWrite reports whether a test may be told that losing data is fine although the unit is protected: it
// writes nothing, or means to be refused. Without that the tool sends no PERSISTENT RESERVE OUT and no SANITIZE.
func sendsNoWrite(name string) bool {
	return slices.ContainsFunc([]string{"ALL.ReadOnly.", "ALL.Prin", "ALL.Prout", "ALL.Reserve6.",
		"ALL.Sanitize.InvalidServiceAction"}, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

// run runs one test. What it leaves undone when it hangs ends with its connections.
func (s setting) run(ctx context.Context, name string, urls []string) outcome {
	ctx, cancel := context.WithTimeout(ctx, timeLimit)
	defer cancel()
	args := []string{"--allow-sanitize", "-V", "-t", name}
	if !s.readOnly || sendsNoWrite(name) {
		args = append(args, "--dataloss")
	}
	out, err := exec.CommandContext(ctx, tool, append(args, urls...)...).CombinedOutput()
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return outcome{hung, "no end after " + timeLimit.String()}
	}
	got := judge(name, string(out))
	if err != nil && got.verdict != failed {
		return outcome{failed, err.Error()}
	}
	return got
}

// report prints the figures of a setting and fails on what failed or hung.
func report(t *testing.T, s setting, tests []string, outcomes map[string]outcome, wrong map[string]bool) {
	t.Helper()
	count := map[verdict]int{}
	wrongs := 0
	for _, name := range tests {
		got := outcomes[name]
		if wrong[s.name+" "+name] {
			if wrongs++; got.verdict != failed {
				t.Errorf("%s: %s %s: docs/conformance.md says that no target can pass it",
					s.name, name, got.verdict)
			}
			continue
		}
		count[got.verdict]++
		if got.verdict == failed || got.verdict == hung {
			t.Errorf("%s: %s %s: %s", s.name, name, got.verdict, got.reason)
		}
	}
	t.Logf("conformance: %-9s %3d passed, %2d skipped, %d failed, %d hung; %d wrong tests",
		s.name, count[passed], count[skipped], count[failed], count[hung], wrongs)
}

// wrongRow is a row of the table of tests that are wrong: name, settings and reason.
var wrongRow = regexp.MustCompile("(?m)^\\| `(ALL\\.[^`]+)` \\| ([^|]+) \\| ([^|]+) \\|$")

// documentedAsWrong returns setting and name of every test that docs/conformance.md calls wrong.
func documentedAsWrong(t *testing.T) map[string]bool {
	t.Helper()
	text, err := os.ReadFile("../../docs/conformance.md")
	require.NoError(t, err)
	wrong := map[string]bool{}
	for _, row := range wrongRow.FindAllStringSubmatch(string(text), -1) {
		for _, s := range strings.Split(row[2], ", ") {
			wrong[s+" "+row[1]] = true
		}
	}
	return wrong
}

// documentRow is a row of the table of skipped tests: name and reason.
var documentRow = regexp.MustCompile("(?m)^\\| `(ALL\\.[^`]+)` \\| ([^|]+) \\|$")

// compareWithDocument holds docs/conformance.md to what was found.
func compareWithDocument(t *testing.T, tests []string, results []map[string]outcome) {
	t.Helper()
	text, err := os.ReadFile("../../docs/conformance.md")
	require.NoError(t, err)
	var documented []string
	for _, row := range documentRow.FindAllStringSubmatch(string(text), -1) {
		documented = append(documented, row[1])
	}
	everywhere := 0
	for _, name := range tests {
		runs := slices.ContainsFunc(results, func(r map[string]outcome) bool { return r[name].verdict != skipped })
		if !runs {
			everywhere++
		}
		switch listed := slices.Contains(documented, name); {
		case !runs && !listed:
			t.Errorf("%s is skipped in every setting and docs/conformance.md does not say why: %s",
				name, results[0][name].reason)
		case runs && listed:
			t.Errorf("%s is no longer skipped in every setting: strike it from docs/conformance.md", name)
		}
	}
	for _, name := range documented {
		if !slices.Contains(tests, name) {
			t.Errorf("docs/conformance.md names %s, which is no test", name)
		}
	}
	t.Logf("conformance: %d of %d tests skipped in every setting", everywhere, len(tests))
}
