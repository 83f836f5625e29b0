package hygiene

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The budgets: what grows past them is split, not the budget raised.
const (
	fileLinesMax     = 600
	testFileLinesMax = 800
	funcLinesMax     = 70
	columnsMax       = 120
)

// source is one parsed Go file of the repository.
type source struct {
	path string // relative to the repository
	text []byte
	fset *token.FileSet
	file *ast.File
}

func (s source) test() bool { return strings.HasSuffix(s.path, "_test.go") }

func (s source) lines(n ast.Node) int {
	return s.fset.Position(n.End()).Line - s.fset.Position(n.Pos()).Line + 1
}

func (s source) at(n ast.Node) string {
	p := s.fset.Position(n.Pos())
	p.Filename = s.path
	return p.String()
}

func TestSource_sizes(t *testing.T) {
	for _, s := range sources(t) {
		lines := bytes.Count(s.text, []byte("\n"))
		limit := fileLinesMax
		if s.test() {
			limit = testFileLinesMax
		}
		if lines > limit {
			t.Errorf("%s has %d lines (at most %d): a file has one reason to change", s.path, lines, limit)
		}
		for i, line := range strings.Split(string(s.text), "\n") {
			if width := len([]rune(strings.ReplaceAll(line, "\t", "    "))); width > columnsMax {
				t.Errorf("%s:%d is %d columns wide (at most %d)", s.path, i+1, width, columnsMax)
			}
		}
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if ok && !s.test() && s.lines(f) > funcLinesMax {
				t.Errorf("%s: %s has %d lines (at most %d)", s.at(f), f.Name.Name, s.lines(f), funcLinesMax)
			}
		}
	}
}

func TestSource_noInitAndNoSleepInTests(t *testing.T) {
	for _, s := range sources(t) {
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if n.Name.Name == "init" && n.Recv == nil {
					t.Errorf("%s: init() hides what happens at start; call it where it belongs", s.at(n))
				}
			case *ast.SelectorExpr:
				x, ok := n.X.(*ast.Ident)
				if ok && s.test() && x.Name == "time" && n.Sel.Name == "Sleep" && !usesSynctest(s) {
					t.Errorf("%s: time.Sleep in a test is slow or flaky; wait for the event", s.at(n))
				}
			}
			return true
		})
	}
}

func usesSynctest(s source) bool {
	for _, i := range s.file.Imports {
		if i.Path.Value == `"testing/synctest"` {
			return true
		}
	}
	return false
}

// TestSource_packageState allows package-level variables only where they do not change: errors,
// checks of an interface, and tables, which nothing in the package assigns to or takes the address
// of. Exported ones could be changed by others, so those are errors only.
func TestSource_packageState(t *testing.T) {
	written := map[string]bool{} // folder and name of what is assigned to or has its address taken
	all := sources(t)
	for _, s := range all {
		ast.Inspect(s.file, func(n ast.Node) bool {
			for _, changed := range changes(n) {
				written[filepath.Dir(s.path)+"."+root(changed)] = true
			}
			return true
		})
	}
	for _, s := range all {
		for _, name := range packageVariables(s) {
			isError := strings.HasPrefix(strings.ToLower(name.Name), "err")
			isTable := !name.IsExported() && !written[filepath.Dir(s.path)+"."+name.Name]
			if name.Name != "_" && !isError && !isTable && !s.test() {
				t.Errorf("%s: package-level variable %s can change: pass it, or make it a constant or a function",
					s.at(name), name.Name)
			}
		}
	}
}

func packageVariables(s source) []*ast.Ident {
	var names []*ast.Ident
	for _, d := range s.file.Decls {
		if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.VAR {
			for _, spec := range g.Specs {
				names = append(names, spec.(*ast.ValueSpec).Names...)
			}
		}
	}
	return names
}

// changes returns the expressions that a statement assigns to or takes the address of.
func changes(n ast.Node) []ast.Expr {
	switch n := n.(type) {
	case *ast.AssignStmt:
		if n.Tok != token.DEFINE {
			return n.Lhs
		}
	case *ast.IncDecStmt:
		return []ast.Expr{n.X}
	case *ast.UnaryExpr:
		if n.Op == token.AND {
			return []ast.Expr{n.X}
		}
	}
	return nil
}

// root returns the name of the variable that an expression is part of, "" if it is none's.
func root(e ast.Expr) string {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x.Name
		case *ast.IndexExpr:
			e = x.X
		case *ast.SelectorExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		default:
			return ""
		}
	}
}

func TestSource_exportedIsDocumented(t *testing.T) {
	documented := map[string]bool{} // package folder -> has a package comment
	for _, s := range sources(t) {
		if s.test() {
			continue
		}
		folder := filepath.Dir(s.path)
		documented[folder] = documented[folder] || s.file.Doc != nil
		for _, d := range s.file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Name.IsExported() && d.Doc == nil && exportedReceiver(d) {
					t.Errorf("%s: %s is exported and not documented", s.at(d), d.Name.Name)
				}
			case *ast.GenDecl:
				undocumentedSpecs(t, s, d)
			}
		}
	}
	for folder, ok := range documented {
		if !ok {
			t.Errorf("package %s has no package comment: what it is for, and what it does not do", folder)
		}
	}
}

func undocumentedSpecs(t *testing.T, s source, d *ast.GenDecl) {
	t.Helper()
	for _, spec := range d.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			if spec.Name.IsExported() && d.Doc == nil && spec.Doc == nil {
				t.Errorf("%s: type %s is exported and not documented", s.at(spec), spec.Name.Name)
			}
		case *ast.ValueSpec:
			for _, name := range spec.Names {
				if name.IsExported() && d.Doc == nil && spec.Doc == nil && spec.Comment == nil {
					t.Errorf("%s: %s is exported and not documented", s.at(spec), name.Name)
				}
			}
		}
	}
}

func exportedReceiver(f *ast.FuncDecl) bool {
	if f.Recv == nil || len(f.Recv.List) == 0 {
		return true
	}
	expr := f.Recv.List[0].Type
	if star, ok := expr.(*ast.StarExpr); ok {
		expr = star.X
	}
	name, ok := expr.(*ast.Ident)
	return !ok || name.IsExported()
}

func sources(t *testing.T) []source {
	t.Helper()
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	var all []source
	require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && path != root) {
			return fs.SkipDir
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, path, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, path)
		all = append(all, source{path: relative, text: text, fset: fset, file: file})
		return err
	}))
	require.NotEmpty(t, all)
	return all
}
