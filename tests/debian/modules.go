package debian

import (
	"bytes"
	"context"
	"debug/elf"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Drivers moves the wanted drivers of the kernel below root to dir, which it makes, with those that they need. Their
// names are numbered in the order in which they are to be loaded. One that the kernel has built in is left out.
func Drivers(ctx context.Context, root, dir string, wanted ...string) error {
	files, builtin, err := listModules(root)
	if err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	c := collector{files: files, builtin: builtin, dir: dir}
	for _, name := range wanted {
		if err := c.take(ctx, ModuleName(name)); err != nil {
			return err
		}
	}
	return nil
}

// listModules finds the modules below root by their names, and the names of those that the kernel has built in.
func listModules(root string) (files map[string]string, builtin []string, err error) {
	files = map[string]string{}
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.Name() == "modules.builtin":
			text, err := os.ReadFile(path)
			for _, line := range strings.Fields(string(text)) {
				builtin = append(builtin, ModuleName(line))
			}
			return err
		case d.Type().IsRegular() && strings.Contains(d.Name(), ".ko"):
			files[ModuleName(path)] = path
		}
		return nil
	})
	return files, builtin, err
}

// ModuleName returns the name of a module's file: the kernel takes hyphens for underscores.
func ModuleName(path string) string {
	name, _, _ := strings.Cut(filepath.Base(path), ".ko")
	return strings.ReplaceAll(name, "-", "_")
}

type collector struct {
	files   map[string]string
	builtin []string
	dir     string
	taken   []string
}

// take copies a module after those that it needs.
func (c *collector) take(ctx context.Context, name string) error {
	if slices.Contains(c.builtin, name) || slices.Contains(c.taken, name) {
		return nil
	}
	path := c.files[name]
	if path == "" {
		return fmt.Errorf("the kernel has no driver %s", name)
	}
	if strings.HasSuffix(path, ".xz") {
		if _, err := Run(ctx, "", "xz", "--decompress", path); err != nil {
			return err
		}
		path = strings.TrimSuffix(path, ".xz")
	}
	needs, err := Needs(path)
	if err != nil {
		return fmt.Errorf("driver %s: %w", name, err)
	}
	for _, other := range needs {
		if err := c.take(ctx, other); err != nil {
			return err
		}
	}
	c.taken = append(c.taken, name)
	return os.Rename(path, filepath.Join(c.dir, fmt.Sprintf("%02d-%s.ko", len(c.taken), name)))
}

// Needs returns the names of the modules that one needs, as it says itself.
func Needs(path string) ([]string, error) {
	f, err := elf.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	section := f.Section(".modinfo")
	if section == nil {
		return nil, fmt.Errorf("%s says nothing of itself: it is no module", path)
	}
	text, err := section.Data()
	if err != nil {
		return nil, err
	}
	var names []string
	for _, field := range bytes.Split(text, []byte{0}) {
		if list, ok := strings.CutPrefix(string(field), "depends="); ok && list != "" {
			for name := range strings.SplitSeq(list, ",") {
				names = append(names, ModuleName(name))
			}
		}
	}
	return names, nil
}
