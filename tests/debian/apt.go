package debian

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// ErrNotHere means that this machine has no way to Debian's packages; what wraps it says what is missing.
var ErrNotHere = errors.New("there is no way to Debian's packages on this machine")

// KernelPrefix begins the name of a kernel's package; its version follows.
const KernelPrefix = "linux-image-"

// Apt is the machine's apt with a state of its own: nothing of the machine's is read but its sources and keys, nothing
// is changed. It needs no root.
type Apt struct{ dir string }

// NewApt returns an apt whose state is a directory, which it makes; the caller removes it. It reads what the mirrors
// have, which takes seconds.
func NewApt(ctx context.Context, dir string) (Apt, error) {
	for _, program := range []string{"apt-get", "apt-cache", "dpkg-deb"} {
		if _, err := exec.LookPath(program); err != nil {
			return Apt{}, fmt.Errorf("%w: %s is not here", ErrNotHere, program)
		}
	}
	for _, below := range []string{"lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(dir, below), 0o755); err != nil {
			return Apt{}, err
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "status"), nil, 0o600); err != nil {
		return Apt{}, err
	}
	a := Apt{dir}
	_, err := a.run(ctx, "apt-get", "update")
	return a, err
}

// run runs one of apt's programs.
func (a Apt) run(ctx context.Context, program string, args ...string) (string, error) {
	options := []string{
		"-q", "-o", "Dir::State=" + a.dir, "-o", "Dir::State::lists=" + filepath.Join(a.dir, "lists"),
		"-o", "Dir::State::status=" + filepath.Join(a.dir, "status"),
		"-o", "Dir::Cache=" + filepath.Join(a.dir, "cache"),
		"-o", "APT::Sandbox::User=root", "-o", "Acquire::Languages=none", "-o", "Acquire::Retries=3",
	}
	return Run(ctx, a.dir, program, append(options, args...)...)
}

// Kernel returns the package of the newest kernel, on which a metapackage depends: its name has the version, which
// changes with every security update.
func (a Apt) Kernel(ctx context.Context, metapackage string) (string, error) {
	text, err := a.run(ctx, "apt-cache", "--no-all-versions", "show", metapackage)
	if err != nil {
		return "", fmt.Errorf("%w: apt's mirrors have no %s: %w", ErrNotHere, metapackage, err)
	}
	return dependency(metapackage, text)
}

// dependency returns the kernel that a metapackage depends on, from what apt-cache shows of it.
func dependency(metapackage, shown string) (string, error) {
	found := regexp.MustCompile(`(?m)^Depends:.*?\b(linux-image-[0-9][^ ,]*)`).FindStringSubmatch(shown)
	if found == nil {
		return "", fmt.Errorf("package %s depends on no kernel: %q", metapackage, shown)
	}
	return found[1], nil
}

// Download returns the file of each package, without those that it needs.
func (a Apt) Download(ctx context.Context, names ...string) ([]string, error) {
	var all []string
	for _, name := range names {
		if _, err := a.run(ctx, "apt-get", "download", name); err != nil {
			return nil, err
		}
		files, err := filepath.Glob(filepath.Join(a.dir, name+"_*.deb"))
		if err != nil || len(files) != 1 {
			return nil, errors.Join(err, fmt.Errorf("apt-get download %s: there are %d files of it", name, len(files)))
		}
		all = append(all, files[0])
	}
	return all, nil
}

// DownloadWhole returns the files of packages and of all that they need, down to the C library.
func (a Apt) DownloadWhole(ctx context.Context, names ...string) ([]string, error) {
	args := append([]string{"--download-only", "--yes", "--no-install-recommends", "install"}, names...)
	if _, err := a.run(ctx, "apt-get", args...); err != nil {
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(a.dir, "cache", "archives", "*.deb"))
	if err == nil && len(files) < len(names) {
		err = fmt.Errorf("apt-get install %s: it has downloaded %d files", strings.Join(names, " "), len(files))
	}
	return files, err
}

// Unpack puts the content of packages below a directory. No script of theirs runs.
func Unpack(ctx context.Context, root string, files ...string) error {
	for _, file := range files {
		if _, err := Run(ctx, "", "dpkg-deb", "--extract", file, root); err != nil {
			return err
		}
	}
	return nil
}

// Find returns the first of some paths below root that is there: Debian moves what was in /bin to /usr/bin.
func Find(root string, paths ...string) (string, error) {
	for _, path := range paths {
		if _, err := os.Stat(filepath.Join(root, path)); err == nil {
			return filepath.Join(root, path), nil
		}
	}
	return "", fmt.Errorf("the packages have none of %s", strings.Join(paths, ", "))
}

// Run runs a program in a directory and returns what it printed; an error has its last words.
func Run(ctx context.Context, dir, program string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "LC_ALL=C")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w: %s", filepath.Base(program), err,
			strings.ReplaceAll(strings.TrimSpace(stderr.String()), "\n", "; "))
	}
	return stdout.String(), nil
}
