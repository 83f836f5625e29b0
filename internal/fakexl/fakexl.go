// Package fakexl is a scripted stand-in for Xen's xl, and for QEMU's storage daemon beside it, for tests of what drives
// them. It knows domains as files, behaves as xl 4.17 was seen to, and holds every call against what xl takes: what it
// does not know it refuses, and remembers that it did.
package fakexl

import (
	_ "embed"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

//go:embed xl
var xlScript string

//go:embed storage-daemon
var storageDaemonScript string

// Xen is one fake host, or one of several.
type Xen struct {
	// XL and StorageDaemon are programs. They do what they are called for on the host of HOLDFAST_RUN_DIR.
	XL, StorageDaemon string
	t                 *testing.T
	root              string
	dir               string // of the host
}

// New returns the host of who has no HOLDFAST_RUN_DIR, without domains. What runs on it ends with the test's process at
// the latest.
func New(t *testing.T) *Xen {
	t.Helper()
	dir := t.TempDir()
	x := &Xen{t: t, root: dir, XL: filepath.Join(dir, "xl"), StorageDaemon: filepath.Join(dir, "storage-daemon")}
	for path, text := range map[string]string{x.XL: xlScript, x.StorageDaemon: storageDaemonScript} {
		text = strings.NewReplacer("@DIR@", dir, "@TEST@", fmt.Sprint(os.Getpid())).Replace(text)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o700))
	}
	t.Cleanup(func() {
		refused, err := os.ReadFile(filepath.Join(dir, "refused"))
		require.ErrorIs(t, err, fs.ErrNotExist, "calls that xl does not know: %s", refused)
	})
	return x.Host("")
}

// Host returns the host of a daemon that has this run directory.
func (x *Xen) Host(runDir string) *Xen {
	x.t.Helper()
	host := *x
	host.dir = filepath.Join(x.root, "hosts", strings.ReplaceAll(runDir, "/", "_"))
	require.NoError(x.t, os.MkdirAll(filepath.Join(host.dir, "domains"), 0o700))
	return &host
}

// Domains returns what runs, each as "NAME UUID STATE".
func (x *Xen) Domains() []string {
	x.t.Helper()
	files, err := filepath.Glob(filepath.Join(x.dir, "domains", "*"))
	require.NoError(x.t, err)
	var all []string
	for _, f := range files {
		if text, err := os.ReadFile(f); err == nil { // it may have ended in between
			all = append(all, strings.TrimSpace(string(text)))
		}
	}
	return all
}

// Put makes a domain, as somebody does by hand.
func (x *Xen) Put(id int, name, uuid, state string) {
	x.t.Helper()
	x.write(filepath.Join("domains", fmt.Sprint(id)), name+" "+uuid+" "+state+"\n")
}

// Calls returns every call of a verb, in order, without those of other verbs.
func (x *Xen) Calls(verb string) []string {
	x.t.Helper()
	var all []string
	for line := range strings.Lines(x.read("calls")) {
		if line = strings.TrimSpace(line); line == verb || strings.HasPrefix(line, verb+" ") {
			all = append(all, line)
		}
	}
	return all
}

// Set makes a switch true from now on: "deaf", guests heed no shutdown; "stuck", nothing can be destroyed; "mute", xl
// lists nothing; "broken", no domain can be made.
func (x *Xen) Set(name string) { x.write(name, "") }

// Unset makes it false again.
func (x *Xen) Unset(name string) {
	x.t.Helper()
	require.NoError(x.t, os.Remove(filepath.Join(x.dir, name)))
}

func (x *Xen) read(name string) string {
	x.t.Helper()
	text, err := os.ReadFile(filepath.Join(x.dir, name))
	if os.IsNotExist(err) {
		return ""
	}
	require.NoError(x.t, err)
	return string(text)
}

func (x *Xen) write(name, text string) {
	x.t.Helper()
	require.NoError(x.t, os.WriteFile(filepath.Join(x.dir, name), []byte(text), 0o600))
}
