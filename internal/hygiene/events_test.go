package hygiene

import (
	"go/ast"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestEvents_areInTheManual holds that docs/operations.md says of every kind of event what it means, and of none that
// does not exist.
func TestEvents_areInTheManual(t *testing.T) {
	manual, err := os.ReadFile(filepath.Join(repository, "docs/operations.md"))
	require.NoError(t, err)
	_, section, found := strings.Cut(string(manual), "\n## Events\n")
	require.True(t, found, "docs/operations.md has no section Events")
	section, _, _ = strings.Cut(section, "\n## ")
	described := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|").FindAllStringSubmatch(section, -1) {
		described[m[1]] = true
	}
	kinds := eventKinds(t)
	require.Greater(t, len(kinds), 30, "the events were not found in the source")
	for kind, where := range kinds {
		if !described[kind] {
			t.Errorf("%s: the event %s has no row under Events in docs/operations.md: | `%[2]s` | means |", where, kind)
		}
	}
	for kind := range described {
		require.Contains(t, kinds, kind, "docs/operations.md describes an event that does not exist")
	}
}

// eventKinds returns every kind of event that the coordinators record, with a place where one is.
func eventKinds(t *testing.T) map[string]string {
	kinds := map[string]string{}
	for _, s := range sources(t) {
		if dir := filepath.Dir(s.path); s.test() || dir != "raft" && dir != "node/coordinator" {
			continue
		}
		note := func(e ast.Expr) {
			if lit, ok := e.(*ast.BasicLit); ok {
				if kind, err := strconv.Unquote(lit.Value); err == nil && kind != "" {
					kinds[kind] = s.at(e)
				}
			}
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr: // t.event(severity, object, kind, …) and nodeEvent(severity, name, kind, …)
				if f := calledName(n); (f == "event" || f == "nodeEvent") && len(n.Args) > 2 {
					note(n.Args[2])
				}
			case *ast.AssignStmt: // kind, severity := "domain_started", …
				for i, to := range n.Lhs {
					if name, ok := to.(*ast.Ident); ok && name.Name == "kind" && len(n.Lhs) == len(n.Rhs) {
						note(n.Rhs[i])
					}
				}
			case *ast.CompositeLit: // Event{Kind: …}
				if typ, ok := n.Type.(*ast.SelectorExpr); ok && typ.Sel.Name == "Event" || isIdent(n.Type, "Event") {
					for _, e := range n.Elts {
						if field, ok := e.(*ast.KeyValueExpr); ok && isIdent(field.Key, "Kind") {
							note(field.Value)
						}
					}
				}
			}
			return true
		})
	}
	return kinds
}

func calledName(c *ast.CallExpr) string {
	switch f := c.Fun.(type) {
	case *ast.SelectorExpr:
		return f.Sel.Name
	case *ast.Ident:
		return f.Name
	}
	return ""
}

func isIdent(e ast.Expr, name string) bool {
	id, ok := e.(*ast.Ident)
	return ok && id.Name == name
}
