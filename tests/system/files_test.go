package system

import (
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"os"
)

// find returns the files with this name below dir.
func find(t *testing.T, dir, name string) []string {
	t.Helper()
	var found []string
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Name() == name && d.Type().IsRegular() {
			found = append(found, path)
		}
		return err
	}))
	return found
}

// listeners returns every TCP address that the nodes of a cluster listen at, from their node.yaml.
func listeners(t *testing.T, c *cluster) []string {
	t.Helper()
	var all []string
	for _, path := range find(t, c.dir, "node.yaml") {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		var node struct {
			Listen map[string]string `yaml:"listen"`
		}
		require.NoError(t, yaml.Unmarshal(text, &node))
		for _, addr := range node.Listen {
			if addr != "" {
				all = append(all, addr)
			}
		}
	}
	return all
}

func contains(text, word string) bool { return strings.Contains(text, word) }
