package hygiene

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestProtocol_theMatrixNamesWhatExists holds the support matrix of docs/protocol.md against the repository: the
// tests and files that it names are there, and no row of a table has another number of cells than its head.
func TestProtocol_theMatrixNamesWhatExists(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(repository, "docs", "protocol.md"))
	require.NoError(t, err)
	_, matrix, ok := strings.Cut(string(text), "## iSCSI: what of RFC 7143 there is")
	require.True(t, ok)
	tests := regexp.MustCompile("`([a-z/]+\\.(?:Test|Fuzz)\\w+)`").FindAllStringSubmatch(matrix, -1)
	require.NotEmpty(t, tests)
	for _, name := range tests {
		pkg, test, _ := strings.Cut(name[1], ".")
		if !exists(t, name[1]) && !inFiles(t, "\nfunc "+test+"(f *testing.F)", pkg+"/*_test.go") {
			t.Errorf("docs/protocol.md names %s, which does not exist", name[1])
		}
	}
	for _, name := range regexp.MustCompile("`([a-z/]+[\\w*]*\\.go)`").FindAllStringSubmatch(matrix, -1) {
		files, err := filepath.Glob(filepath.Join(repository, name[1]))
		require.NoError(t, err)
		require.NotEmptyf(t, files, "docs/protocol.md names %s", name[1])
	}
	cells := 0
	for _, line := range strings.Split(matrix, "\n") {
		if !strings.HasPrefix(line, "|") {
			cells = 0
			continue
		}
		n := strings.Count(line, "|")
		if cells == 0 {
			cells = n
		}
		require.Equal(t, cells, n, line)
	}
}
