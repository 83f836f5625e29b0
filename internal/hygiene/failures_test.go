package hygiene

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// repository is where the repository lies, seen from this package.
const repository = "../.."

// failureRows is how many rows the failure matrix of protocol §5 has.
const failureRows = 68

// TestFailures_everyRowNamesATestThatExists holds docs/failures.md against the repository: each row of
// the matrix is there, says what has to happen, and names tests, scripts, faults, invariants or rules
// that exist.
func TestFailures_everyRowNamesATestThatExists(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(repository, "docs", "failures.md"))
	require.NoError(t, err)
	named := regexp.MustCompile("`([^`]+)`")
	next := 1
	for _, line := range strings.Split(string(text), "\n") {
		cells := strings.Split(strings.Trim(line, "|"), "|")
		number, err := strconv.Atoi(strings.TrimSpace(cells[0]))
		if !strings.HasPrefix(line, "|") || err != nil {
			continue
		}
		require.Equal(t, next, number, "rows are in order, none is missing")
		next++
		require.Lenf(t, cells, 4, "row %d", number)
		for _, c := range cells {
			require.NotEmptyf(t, strings.TrimSpace(c), "row %d has an empty cell", number)
		}
		proofs := named.FindAllStringSubmatch(cells[3], -1)
		require.NotEmptyf(t, proofs, "row %d names no test", number)
		for _, p := range proofs {
			if !exists(t, p[1]) {
				t.Errorf("row %d names %s, which does not exist", number, p[1])
			}
		}
	}
	require.Equal(t, failureRows+1, next)
}

// TestFailures_theRuleBites shows that what does not exist is not taken for there.
func TestFailures_theRuleBites(t *testing.T) {
	for _, name := range []string{"leg.TestNoSuch", "nowhere.TestX", "leg.TestCore", "raft/testdata/none.txt",
		"tests/sim#I99",
		"tests/sim#noSuchFault", "rule#noSuchRule", "prose"} {
		require.Falsef(t, exists(t, name), name)
	}
}

// exists reports whether what the matrix names is in the repository.
func exists(t *testing.T, name string) bool {
	t.Helper()
	prefix, suffix, isPart := strings.Cut(name, "#")
	switch {
	case isPart && prefix == "rule":
		return inFiles(t, strconv.Quote(suffix), "mirror/rules.go", "leg/rules.go", "raft/rules.go",
			"tests/sim/rules.go")
	case isPart && regexp.MustCompile(`^I\d+$`).MatchString(suffix):
		return inFiles(t, strconv.Quote(suffix), prefix+"/*.go")
	case isPart:
		return inFiles(t, "(*world)."+suffix+"}", prefix+"/faults.go")
	case strings.Contains(name, "/testdata/"):
		_, err := os.Stat(filepath.Join(repository, name))
		return err == nil
	}
	pkg, test, isTest := strings.Cut(name, ".")
	return isTest && inFiles(t, "\nfunc "+test+"(t *testing.T)", pkg+"/*_test.go")
}

// inFiles reports whether a text is in one of the files that the patterns match.
func inFiles(t *testing.T, text string, patterns ...string) bool {
	t.Helper()
	for _, p := range patterns {
		files, err := filepath.Glob(filepath.Join(repository, p))
		require.NoError(t, err)
		for _, f := range files {
			content, err := os.ReadFile(f)
			require.NoError(t, err)
			if strings.Contains(string(content), text) {
				return true
			}
		}
	}
	return false
}
