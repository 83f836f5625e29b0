package xen

import (
	"compress/gzip"
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/holdfast-storage/holdfast/tests/debian"
)

// scripts are those of a Xen host: of its initial RAM disk, and of its root.
//
//go:embed dom0
var scripts embed.FS

// generation is in the name of what is cached: an image of another make is left alone. The scripts are not in it.
const generation = "xen-host-1"

// Packages of a Xen host: Xen and its tools, its QEMU, which serves disks of the kind qdisk, the storage daemon, which
// makes an export a file, and as much of a system as they need.
func packages() []string {
	return []string{"xen-hypervisor-4.17-amd64", "xen-utils-4.17", "xenstore-utils", "qemu-system-xen",
		"qemu-system-common", "busybox-static", "iproute2", "dash"}
}

// kernelOf depends on the newest kernel that can be a dom0; that for virtual machines cannot.
const kernelOf = "linux-image-amd64"

// drivers are what a Xen host needs of its kernel: disk, network, Xen's devices, and FUSE for the storage daemon.
func drivers() []string {
	return []string{"nvme", "crc32c_generic", "ext4", "virtio_pci", "virtio_net", "virtio_rng", "xen_evtchn",
		"xen_gntdev", "xen_gntalloc", "xen_privcmd", "xenfs", "fuse"}
}

// Image is what a Xen host boots from.
type Image struct{ dir string }

func (i Image) hypervisor() string { return filepath.Join(i.dir, "xen") }
func (i Image) kernel() string     { return filepath.Join(i.dir, "vmlinuz") }
func (i Image) modules() string    { return filepath.Join(i.dir, "modules") }
func (i Image) busybox() string    { return filepath.Join(i.dir, "busybox") }
func (i Image) root() string       { return filepath.Join(i.dir, "root.ext4") }

// FetchImage returns the image from a cache, where it puts it first if need be: about 130 MB from the mirrors that this
// machine's apt uses. Nothing is installed. It may block for minutes. Errors wrap debian.ErrNotHere where Debian's
// packages cannot be had.
func FetchImage(ctx context.Context, cache string) (Image, error) {
	whole := Image{filepath.Join(cache, generation)}
	if _, err := os.Stat(whole.dir); err == nil {
		return whole, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return Image{}, fmt.Errorf("image of a Xen host: %w", err)
	}
	work, err := os.MkdirTemp(cache, generation+"-new-")
	if err != nil {
		return Image{}, fmt.Errorf("image of a Xen host: %w", err)
	}
	made := Image{filepath.Join(work, "image")}
	err = made.make(ctx, work)
	if err == nil {
		err = os.Rename(made.dir, whole.dir) // whole, or not there
	}
	if err = errors.Join(err, os.RemoveAll(work)); err != nil {
		return Image{}, fmt.Errorf("image of a Xen host: %w", err)
	}
	return whole, nil
}

// make puts the image together from Debian's packages.
func (i Image) make(ctx context.Context, work string) error {
	if err := os.Mkdir(i.dir, 0o755); err != nil {
		return err
	}
	a, err := debian.NewApt(ctx, filepath.Join(work, "apt"))
	if err != nil {
		return err
	}
	if err := i.makeKernel(ctx, a, filepath.Join(work, "kernel")); err != nil {
		return err
	}
	root := filepath.Join(work, "root")
	files, err := a.DownloadWhole(ctx, packages()...)
	if err == nil {
		err = debian.Unpack(ctx, root, files...)
	}
	if err != nil {
		return err
	}
	busybox, err := debian.Find(root, "bin/busybox", "usr/bin/busybox")
	if err == nil {
		err = errors.Join(copyFile(busybox, i.busybox()),
			gunzip(filepath.Join(root, "boot", "xen-4.17-amd64.gz"), i.hypervisor()), prune(root))
	}
	if err != nil {
		return err
	}
	_, err = debian.Run(ctx, "", "mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-E", "root_owner=0:0",
		"-d", root, i.root(), "800m")
	return err
}

// makeKernel takes the kernel and its drivers out of their package.
func (i Image) makeKernel(ctx context.Context, a debian.Apt, root string) error {
	name, err := a.Kernel(ctx, kernelOf)
	if err != nil {
		return err
	}
	files, err := a.Download(ctx, name)
	if err == nil {
		err = debian.Unpack(ctx, root, files...)
	}
	if err != nil {
		return err
	}
	version := strings.TrimPrefix(name, debian.KernelPrefix)
	if err := os.Rename(filepath.Join(root, "boot", "vmlinuz-"+version), i.kernel()); err != nil {
		return err
	}
	return debian.Drivers(ctx, root, i.modules(), drivers()...)
}

// prune takes out of a root what no Xen host here needs, and makes what the packages' scripts would have made.
func prune(root string) error {
	var failed []error
	for _, dir := range []string{"boot", "usr/share/doc", "usr/share/man", "usr/share/locale", "usr/lib/debug",
		"usr/share/perl", "usr/lib/python3"} {
		failed = append(failed, os.RemoveAll(filepath.Join(root, dir)))
	}
	for _, dir := range []string{"dev", "node", "proc", "run", "sys", "tmp", "var/log/xen"} {
		failed = append(failed, os.MkdirAll(filepath.Join(root, dir), 0o755))
	}
	sh := filepath.Join(root, "bin", "sh")
	if _, err := os.Lstat(sh); err != nil {
		failed = append(failed, os.Symlink("dash", sh))
	}
	return errors.Join(failed...)
}

func copyFile(from, to string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, text, 0o755)
}

func gunzip(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	text, err := gzip.NewReader(in)
	if err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	_, err = io.Copy(out, text)
	return err
}

// ramDisk makes the initial RAM disk of the hosts in a file. It has the scripts of the root too: what is cached is not
// changed.
func (i Image) ramDisk(ctx context.Context, file string) error {
	tree := file + "-tree"
	err := errors.Join(os.MkdirAll(filepath.Join(tree, "bin"), 0o755),
		script("dom0/init", filepath.Join(tree, "init")),
		script("dom0/dom0", filepath.Join(tree, "dom0")),
		os.CopyFS(filepath.Join(tree, "modules"), os.DirFS(i.modules())),
		copyFile(i.busybox(), filepath.Join(tree, "bin", "busybox")))
	if err == nil {
		err = debian.RAMDisk(ctx, i.busybox(), tree, file)
	}
	if err = errors.Join(err, os.RemoveAll(tree)); err != nil {
		return fmt.Errorf("initial RAM disk of a Xen host: %w", err)
	}
	return nil
}

// script writes an embedded script to a file that can be executed.
func script(name, file string) error {
	text, err := scripts.ReadFile(name)
	if err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o755)
}
