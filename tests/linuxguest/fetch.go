package linuxguest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/holdfast-storage/holdfast/tests/debian"
)

// generation is in the name of what is cached: parts of another make are left alone.
const generation = "linux-guest-3"

// metapackage depends on the newest kernel for virtual machines. ext4 is built into it.
const metapackage = "linux-image-cloud-amd64"

// Parts are what a guest is made of.
type Parts struct{ dir string }

// Kernel returns the file of the kernel.
func (p Parts) Kernel() string { return filepath.Join(p.dir, "vmlinuz") }

func (p Parts) busybox() string { return filepath.Join(p.dir, "busybox") }

// agent is the directory of QEMU's guest agent, with its libraries.
func (p Parts) agent() string { return filepath.Join(p.dir, "agent") }

func (p Parts) modules() string { return filepath.Join(p.dir, "modules") }

// CacheDir returns where the parts are kept if nobody says otherwise.
func CacheDir() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("%w: where they are kept: %w", debian.ErrNotHere, err)
	}
	return filepath.Join(dir, "holdfast"), nil
}

// Cached returns the parts that an earlier Fetch has left in a cache; false if there are none.
func Cached(cache string) (Parts, bool) {
	p := Parts{filepath.Join(cache, generation)}
	_, err := os.Stat(p.dir)
	return p, err == nil
}

// Fetch returns the parts from a cache, where it puts them first if need be: about 30 MB from the mirrors that this
// machine's apt uses. It needs no root, and installs nothing.
func Fetch(ctx context.Context, cache string) (Parts, error) {
	if p, ok := Cached(cache); ok {
		return p, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return Parts{}, fmt.Errorf("parts of the Linux guest: %w", err)
	}
	work, err := os.MkdirTemp(cache, generation+"-new-")
	if err != nil {
		return Parts{}, fmt.Errorf("parts of the Linux guest: %w", err)
	}
	p := Parts{filepath.Join(work, "parts")}
	err = p.make(ctx, work)
	if err == nil {
		err = os.Rename(p.dir, filepath.Join(cache, generation)) // whole, or not there
	}
	err = errors.Join(err, os.RemoveAll(work))
	if p, ok := Cached(cache); ok {
		return p, nil // somebody else may have been faster
	}
	return Parts{}, fmt.Errorf("parts of the Linux guest: %w", err)
}

// make puts the parts together from Debian's packages.
func (p Parts) make(ctx context.Context, work string) error {
	root := filepath.Join(work, "root")
	if err := errors.Join(os.Mkdir(p.dir, 0o755), os.Mkdir(root, 0o755)); err != nil {
		return err
	}
	a, err := debian.NewApt(ctx, filepath.Join(work, "apt"))
	if err != nil {
		return err
	}
	kernel, err := a.Kernel(ctx, metapackage)
	if err != nil {
		return err
	}
	files, err := a.Download(ctx, kernel, "busybox-static")
	if err == nil {
		err = debian.Unpack(ctx, root, files...)
	}
	if err != nil {
		return err
	}
	busybox, err := debian.Find(root, "bin/busybox", "usr/bin/busybox")
	if err != nil {
		return err
	}
	vmlinuz := filepath.Join(root, "boot", "vmlinuz-"+strings.TrimPrefix(kernel, debian.KernelPrefix))
	if err := errors.Join(os.Rename(vmlinuz, p.Kernel()), os.Rename(busybox, p.busybox())); err != nil {
		return err
	}
	if err := debian.Drivers(ctx, root, p.modules(), wanted()...); err != nil {
		return err
	}
	return p.makeAgent(ctx, a, filepath.Join(work, "agent"))
}

// makeAgent takes QEMU's guest agent, and the libraries that it needs, out of their packages.
func (p Parts) makeAgent(ctx context.Context, a debian.Apt, root string) error {
	files, err := a.DownloadWhole(ctx, "qemu-guest-agent")
	if err != nil {
		return err
	}
	if err := os.Mkdir(root, 0o755); err != nil {
		return err
	}
	if err := debian.Unpack(ctx, root, files...); err != nil {
		return err
	}
	return debian.Program(root, "usr/sbin/qemu-ga", p.agent())
}

// wanted are the drivers that the guest needs: of its disk, in QEMU's machines and in Xen's, of the power button, and
// of its agent's channel.
func wanted() []string {
	return []string{"virtio_pci", "virtio_blk", "xen_blkfront", "button", "evdev", "virtio_console"}
}
