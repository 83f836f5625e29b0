package linuxguest

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/holdfast-storage/holdfast/tests/debian"
)

// guest holds the scripts of the guest: of its initial RAM disk, and of its root.
//
//go:embed guest
var guest embed.FS

// CommandLine is what the guest's kernel is told.
const CommandLine = "console=ttyS0 quiet panic=-1 mitigations=off"

// Memory is as much as the guest needs, in bytes.
const Memory = 192 << 20

// Initrd makes the initial RAM disk in a file.
func (p Parts) Initrd(ctx context.Context, file string) (err error) {
	tree, err := p.tree("guest/initrd")
	defer func() { err = errors.Join(err, os.RemoveAll(tree)) }()
	if err != nil {
		return fmt.Errorf("initial RAM disk of the Linux guest: %w", err)
	}
	if err := os.CopyFS(filepath.Join(tree, "modules"), os.DirFS(p.modules())); err != nil {
		return fmt.Errorf("initial RAM disk of the Linux guest: %w", err)
	}
	if err := debian.RAMDisk(ctx, p.busybox(), tree, file); err != nil {
		return fmt.Errorf("initial RAM disk of the Linux guest: %w", err)
	}
	return nil
}

// Root makes an ext4 file system of that many bytes in a file: the guest's root, at number zero.
func (p Parts) Root(ctx context.Context, file string, size int64) (err error) {
	tree, err := p.tree("guest/root")
	defer func() { err = errors.Join(err, os.RemoveAll(tree)) }()
	if err == nil {
		err = p.link(ctx, filepath.Join(tree, "bin"))
	}
	if err == nil {
		err = os.CopyFS(filepath.Join(tree, "lib", "agent"), os.DirFS(p.agent()))
	}
	for _, dir := range []string{"dev", "proc", "run", "sys", "tmp", "var/churn"} {
		err = errors.Join(err, os.MkdirAll(filepath.Join(tree, dir), 0o755))
	}
	if err == nil {
		_, err = debian.Run(ctx, "", "mke2fs", "-q", "-t", "ext4", "-L", "guest", "-E", "root_owner=0:0", "-d", tree,
			file, fmt.Sprintf("%dk", size>>10))
	}
	if err != nil {
		return fmt.Errorf("root of the Linux guest: %w", err)
	}
	return nil
}

// tree returns a new directory with busybox and the scripts of a folder, which can be executed.
func (p Parts) tree(folder string) (string, error) {
	tree, err := os.MkdirTemp("", "holdfast-guest-")
	if err != nil {
		return "", err
	}
	scripts, err := fs.Sub(guest, folder)
	if err == nil {
		err = os.CopyFS(tree, scripts)
	}
	if err == nil {
		err = filepath.WalkDir(tree, func(path string, _ fs.DirEntry, err error) error {
			return errors.Join(err, os.Chmod(path, 0o755)) // embedded files can only be read
		})
	}
	if err == nil {
		err = os.MkdirAll(filepath.Join(tree, "bin"), 0o755)
	}
	var program []byte
	if err == nil {
		program, err = os.ReadFile(p.busybox())
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(tree, "bin", "busybox"), program, 0o755)
	}
	return tree, err
}

// link gives busybox all of its names in a directory.
func (p Parts) link(ctx context.Context, dir string) error {
	list, err := debian.Run(ctx, "", p.busybox(), "--list")
	if err != nil {
		return err
	}
	for _, name := range strings.Fields(list) {
		if name == "busybox" {
			continue
		}
		if err := os.Symlink("busybox", filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}
