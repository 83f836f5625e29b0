package linuxguest

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

// kernelPrefix begins the name of a kernel's package; its version follows.
const kernelPrefix = "linux-image-"

// apt is the machine's apt with a state of its own: nothing of the machine's is read but its sources and keys, nothing
// is changed.
type apt struct{ dir string }

// run runs one of apt's programs.
func (a apt) run(ctx context.Context, program string, args ...string) (string, error) {
	options := []string{
		"-q", "-o", "Dir::State=" + a.dir, "-o", "Dir::State::lists=" + filepath.Join(a.dir, "lists"),
		"-o", "Dir::State::status=" + filepath.Join(a.dir, "status"),
		"-o", "Dir::Cache=" + filepath.Join(a.dir, "cache"),
		"-o", "APT::Sandbox::User=root", "-o", "Acquire::Languages=none", "-o", "Acquire::Retries=3",
	}
	return run(ctx, a.dir, program, append(options, args...)...)
}

func (a apt) update(ctx context.Context) error {
	for _, dir := range []string{"lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(a.dir, dir), 0o755); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(a.dir, "status"), nil, 0o600); err != nil {
		return err
	}
	_, err := a.run(ctx, "apt-get", "update")
	return err
}

// kernel returns the package of the newest kernel: its name has the version, which changes with every security update.
func (a apt) kernel(ctx context.Context) (string, error) {
	text, err := a.run(ctx, "apt-cache", "--no-all-versions", "show", metapackage)
	if err != nil {
		return "", fmt.Errorf("%w: its kernel is Debian's, and apt's mirrors have none: %w", ErrNotHere, err)
	}
	return dependency(text)
}

// dependency returns the kernel that a metapackage depends on, from what apt-cache shows of it.
func dependency(shown string) (string, error) {
	found := regexp.MustCompile(`(?m)^Depends:.*?\b(linux-image-[0-9][^ ,]*)`).FindStringSubmatch(shown)
	if found == nil {
		return "", fmt.Errorf("package %s depends on no kernel: %q", metapackage, shown)
	}
	return found[1], nil
}

// download returns the file of a package.
func (a apt) download(ctx context.Context, name string) (string, error) {
	if _, err := a.run(ctx, "apt-get", "download", name); err != nil {
		return "", err
	}
	files, err := filepath.Glob(filepath.Join(a.dir, name+"_*.deb"))
	if err != nil || len(files) != 1 {
		return "", errors.Join(err, fmt.Errorf("apt-get download %s: there are %d files of it", name, len(files)))
	}
	return files[0], nil
}

// run runs a program in a directory and returns what it printed; an error has its last words.
func run(ctx context.Context, dir, program string, args ...string) (string, error) {
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
