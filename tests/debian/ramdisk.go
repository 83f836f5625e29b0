package debian

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// RAMDisk makes an initial RAM disk of a tree in a file, by a busybox that runs here.
func RAMDisk(ctx context.Context, busybox, tree, file string) (err error) {
	var names []string
	err = filepath.WalkDir(tree, func(path string, _ fs.DirEntry, err error) error {
		name, failed := filepath.Rel(tree, path)
		names = append(names, name)
		return errors.Join(err, failed)
	})
	if err != nil {
		return err
	}
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	pack := exec.CommandContext(ctx, busybox, "cpio", "-o", "-H", "newc")
	pack.Dir, pack.Stdin, pack.Stdout = tree, strings.NewReader(strings.Join(names, "\n")+"\n"), out
	if err := pack.Run(); err != nil {
		return fmt.Errorf("busybox cpio: %w", err)
	}
	return nil
}
