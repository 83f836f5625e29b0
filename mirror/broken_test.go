package mirror

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
)

// TestEveryBrokenRuleIsFound breaks one safety rule after the other: tests that do not notice prove
// nothing about the rule. The scripts look first, because they are fast; then the simulation.
func TestEveryBrokenRuleIsFound(t *testing.T) {
	for _, name := range RuleNames() {
		t.Run(name, func(t *testing.T) {
			rule, _ := RuleByName(name)
			if script := firstDifference(t, rule); script != "" {
				t.Logf("found by %s", script)
				return
			}
			for seed := uint64(1); seed <= 1000; seed++ {
				if why := simulate(seed, rule); why != "" {
					t.Logf("found by seed %d: %s", seed, why)
					return
				}
				if why := simulateSet(seed, rule); why != "" {
					t.Logf("found by seed %d of a set of parity: %s", seed, why)
					return
				}
			}
			t.Fatal("neither a script nor 1000 seeds of the simulation noticed")
		})
	}
}

// firstDifference returns the first script whose output changes when the rule is broken.
func firstDifference(t *testing.T, rule Rules) string {
	paths, err := filepath.Glob("testdata/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	for _, path := range paths {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Empty(t, replay(t, string(text), 0), "%s without a broken rule", path)
		if replay(t, string(text), rule) != "" {
			return path
		}
	}
	return ""
}

// replay runs a script and returns the directive whose outcome is not the one that is written there.
func replay(t *testing.T, text string, rule Rules) string {
	s := &script{broken: rule}
	directive := ""
	for part := range strings.SplitSeq(text, "\n\n") {
		head, want, ok := strings.Cut(part, "\n----\n")
		require.True(t, ok, part)
		lines := strings.Split(head, "\n")
		directive = lines[len(lines)-1]
		cmd, args, err := datadriven.ParseLine(directive)
		require.NoError(t, err)
		out, err := s.run(&datadriven.TestData{Cmd: cmd, CmdArgs: args})
		if err != nil || strings.TrimSpace(out) != strings.TrimSpace(want) {
			return directive
		}
	}
	return ""
}
