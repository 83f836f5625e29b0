package linuxguest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// ErrNotHere means that this machine cannot make the guest; what wraps it says what is missing.
var ErrNotHere = errors.New("the Linux guest cannot be made on this machine")

// generation is in the name of what is cached: parts of another make are left alone.
const generation = "linux-guest-1"

// metapackage depends on the newest kernel for virtual machines. ext4 is built into it.
const metapackage = "linux-image-cloud-amd64"

// Parts are what a guest is made of.
type Parts struct{ dir string }

// Kernel returns the file of the kernel.
func (p Parts) Kernel() string { return filepath.Join(p.dir, "vmlinuz") }

func (p Parts) busybox() string { return filepath.Join(p.dir, "busybox") }

func (p Parts) modules() string { return filepath.Join(p.dir, "modules") }

// CacheDir returns where the parts are kept if nobody says otherwise.
func CacheDir() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("%w: where it is kept: %w", ErrNotHere, err)
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
	for _, program := range []string{"apt-get", "apt-cache", "dpkg-deb"} {
		if _, err := exec.LookPath(program); err != nil {
			return Parts{}, fmt.Errorf("%w: its kernel is Debian's, and %s is not here", ErrNotHere, program)
		}
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
	a := apt{dir: filepath.Join(work, "apt")}
	if err := a.update(ctx); err != nil {
		return err
	}
	kernel, err := a.kernel(ctx)
	if err != nil {
		return err
	}
	for _, name := range []string{kernel, "busybox-static"} {
		file, err := a.download(ctx, name)
		if err != nil {
			return err
		}
		if _, err := run(ctx, "", "dpkg-deb", "--extract", file, root); err != nil {
			return err
		}
	}
	version := kernel[len(kernelPrefix):]
	for from, to := range map[string]string{
		filepath.Join(root, "boot", "vmlinuz-"+version): p.Kernel(),
		busyboxIn(root): p.busybox(),
	} {
		if err := os.Rename(from, to); err != nil {
			return err
		}
	}
	return collectModules(ctx, root, p.modules())
}

// busyboxIn returns where the package has it: /bin became a link to /usr/bin.
func busyboxIn(root string) string {
	for _, dir := range []string{"bin", "usr/bin"} {
		path := filepath.Join(root, dir, "busybox")
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return filepath.Join(root, "bin", "busybox")
}
