package strictyaml

import (
	"testing"

	"github.com/stretchr/testify/require"
)

type shelf struct {
	Name  string   `yaml:"name"`
	Depth *int     `yaml:"depth,omitempty"`
	Open  bool     `yaml:"open,omitempty"`
	Books []book   `yaml:"books,omitempty"`
	Tags  []string `yaml:"tags,omitempty"`
}

type book struct {
	Title string `yaml:"title"`
}

func TestFill(t *testing.T) {
	top, err := Read("f", []byte("name: a\ndepth: 3\nopen: true\nbooks: [{title: x}, {title: 7}]\ntags: &t [p]\n"))
	require.NoError(t, err)
	var s shelf
	require.NoError(t, Fill(&s, top))
	depth := 3
	require.Equal(t, shelf{"a", &depth, true, []book{{"x"}, {"7"}}, []string{"p"}}, s)
}

func TestFill_faultsHaveAPlace(t *testing.T) {
	for _, c := range [][2]string{
		{"", "f: it says nothing"},
		{"# only a comment", "f: it says nothing"},
		{"a: 1\n---\nb: 1", "f: holds more than one document"},
		{"name: [", "f: line 1"},
		{"[a]", "f: line 1, column 1: want fields with names"},
		{"name: a\ncolour: blue", "f: line 2, column 1: the field colour is unknown"},
		{"name: a\nname: b", "f: line 2, column 1: the field name is given twice"},
		{"name:", "f: line 1, column 6: the field has no value"},
		{"depth: x", "f: line 1, column 8: want a whole number"},
		{"open: 3", "f: line 1, column 7: want true or false"},
		{"name: {}", "f: line 1, column 7: want a text"},
		{"tags: a", "f: line 1, column 7: want a list"},
		{"books: [{title: a}, {titel: b}]", "f: line 1, column 22: the field titel is unknown"},
	} {
		top, err := Read("f", []byte(c[0]))
		if err == nil {
			var s shelf
			err = Fill(&s, top)
			require.Error(t, err, c[0])
			err = Placed("f", top, "", err)
		}
		require.ErrorContains(t, err, c[1], c[0])
	}
}

func TestLocate(t *testing.T) {
	top, err := Read("f", []byte("name: a\nbooks: [{title: x}, {title: y}]\n"))
	require.NoError(t, err)
	for path, column := range map[string]int{"books[1].title": 29, "books[1].pages": 21, "books[7]": 8, "": 1} {
		require.Equal(t, column, Locate(top, path).Column, path)
	}
}
