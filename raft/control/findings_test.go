package control

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/raft"
)

// TestFindingKinds_areWhole holds the table against the source, the tests and the manual. To add a kind: a row in
// FindingKinds, a script or test that provokes it, and a row under "Findings" in docs/operations.md.
func TestFindingKinds_areWhole(t *testing.T) {
	manual, err := os.ReadFile("../../docs/operations.md")
	require.NoError(t, err)
	provoked := testTexts(t, "testdata/*", "*_test.go", "../../node/coordinator/*_test.go",
		"../../cmd/holdfast/*_test.go")
	rows := map[string]string{} // severities, by kind
	row := regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| (info|warning|error) \\| [^|]+ \\| [^|]+ \\|$")
	for _, m := range row.FindAllStringSubmatch(string(manual), -1) {
		rows[m[1]] = m[2]
	}
	known := map[string]bool{}
	for _, k := range FindingKinds() {
		require.False(t, known[k.Kind], "%s stands twice in the table", k.Kind)
		known[k.Kind] = true
		require.Contains(t, []string{raft.SeverityInfo, raft.SeverityWarning, raft.SeverityError}, k.Severity, k.Kind)
		require.NotEmpty(t, k.Means, k.Kind)
		require.Equal(t, k.Severity, rows[k.Kind],
			"docs/operations.md has no row `kind` | severity | means | what to do for %s", k.Kind)
		require.True(t, strings.Contains(provoked, " "+k.Kind+": ") || strings.Contains(provoked, `"`+k.Kind+`"`),
			"no test provokes the finding %s", k.Kind)
	}
	for kind := range rows {
		require.True(t, known[kind], "docs/operations.md describes the finding %s, which does not exist", kind)
	}
	for _, kind := range kindsInSource(t) {
		if prefix, isPrefix := strings.CutSuffix(kind, "*"); isPrefix {
			for _, status := range prefixes()[prefix] {
				require.True(t, known[prefix+status], "%s%s is not in FindingKinds", prefix, status)
			}
			require.NotEmpty(t, prefixes()[prefix], "kinds that begin with %s are not spelled out", prefix)
			continue
		}
		require.True(t, known[kind], "the finding %s is not in FindingKinds", kind)
	}
}

// prefixes spells out the kinds that are put together from two parts.
func prefixes() map[string][]string {
	return map[string][]string{"volume_": {"degraded", "at_risk", "down"}, "leg_": {"stale", "rebuilding"}}
}

// kindsInSource returns every text that the package's source gives to a field Kind; the beginning of one
// that is put together ends with a star.
func kindsInSource(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	var kinds []string
	note := func(e ast.Expr) {
		suffix := ""
		if sum, ok := e.(*ast.BinaryExpr); ok {
			e, suffix = sum.X, "*"
		}
		lit, ok := e.(*ast.BasicLit)
		require.True(t, ok, "a kind that is neither a text nor begins with one")
		kind, err := strconv.Unquote(lit.Value)
		require.NoError(t, err)
		kinds = append(kinds, kind+suffix)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		ast.Inspect(parsed, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CompositeLit:
				if !isFinding(n) {
					return true
				}
				for _, e := range n.Elts {
					if field, ok := e.(*ast.KeyValueExpr); ok && field.Key.(*ast.Ident).Name == "Kind" {
						note(field.Value)
					}
				}
			case *ast.AssignStmt:
				for i, to := range n.Lhs {
					if sel, ok := to.(*ast.SelectorExpr); ok && sel.Sel.Name == "Kind" && len(n.Lhs) == len(n.Rhs) {
						note(n.Rhs[i])
					}
				}
			}
			return true
		})
	}
	require.Greater(t, len(kinds), 20, "the source was not found")
	return kinds
}

// isFinding reports whether a literal is a Finding, or an element of a list of them.
func isFinding(c *ast.CompositeLit) bool {
	if c.Type == nil {
		for _, e := range c.Elts {
			if field, ok := e.(*ast.KeyValueExpr); ok {
				if name, ok := field.Key.(*ast.Ident); ok && name.Name == "Severity" {
					return true
				}
			}
		}
		return false
	}
	name, ok := c.Type.(*ast.Ident)
	return ok && name.Name == "Finding"
}

func testTexts(t *testing.T, patterns ...string) string {
	t.Helper()
	var all strings.Builder
	for _, p := range patterns {
		files, err := filepath.Glob(p)
		require.NoError(t, err)
		for _, f := range files {
			text, err := os.ReadFile(f)
			require.NoError(t, err)
			all.Write(text)
		}
	}
	return all.String()
}
