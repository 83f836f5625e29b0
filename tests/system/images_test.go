package system

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// imageView is the part of `image show` that the tests read.
type imageView struct {
	Versions []struct {
		Version, Copies, Wanted int
		Holders                 []struct {
			Node string
			Has  bool
		}
	}
}

// bootingGuest is a guest that writes down which image it was started with, and that it goes on.
type bootingGuest struct {
	*cluster
	log string
}

// image makes a file that says who it is, and is long enough to take a moment.
func (g bootingGuest) image(word string) string {
	file := filepath.Join(g.t.TempDir(), word)
	text := append([]byte(word+"\n"), bytes.Repeat([]byte(word), 2<<20)...)
	require.NoError(g.t, os.WriteFile(file, text, 0o600))
	return file
}

// booted returns the images that the guest was started with, in order.
func (g bootingGuest) booted() []string {
	text, err := os.ReadFile(g.log)
	if os.IsNotExist(err) {
		return nil
	}
	require.NoError(g.t, err)
	return strings.Fields(string(text))
}

func (g bootingGuest) boots(word string, times int) {
	g.t.Helper()
	g.eventually(time.Minute, fmt.Sprintf("start %d, with %s", times, word), func() bool {
		return len(g.booted()) >= times
	})
	require.Equal(g.t, word, g.booted()[times-1])
	require.Len(g.t, g.booted(), times)
}

// copies waits until the newest version of the image is where it should be.
func (g bootingGuest) copies(nodes ...string) {
	g.t.Helper()
	g.eventually(time.Minute, "the image is on "+strings.Join(nodes, ", "), func() bool {
		var i imageView
		g.object(&i, "image", "show", "root")
		newest := i.Versions[len(i.Versions)-1]
		has := ""
		for _, h := range newest.Holders {
			if h.Has {
				has += h.Node + " "
			}
		}
		for _, n := range nodes {
			if !strings.Contains(has, n+" ") {
				return false
			}
		}
		return newest.Copies >= newest.Wanted
	})
}

func (g bootingGuest) files(node string) string { return filepath.Join(g.dir, node, "data", "images") }

// TestImages_aGuestBootsFromThemWhereverItStarts: an image is sent once and is where a guest needs it, also on a host
// that lost what it had. The guest stays with the version that it is pinned to, and goes back with one command.
func TestImages_aGuestBootsFromThemWhereverItStarts(t *testing.T) {
	c := up(t, 5)
	g := bootingGuest{c, filepath.Join(t.TempDir(), "boots")}
	one, two := g.image("one"), g.image("two")

	g.interruptedUploadLeavesNothing()
	require.Contains(t, c.ok("image", "add", "root", one, "--comment", "first"), "root@1")
	require.Contains(t, c.ok("image", "add", "root", one), "root@1", "the same content is the same version")
	spec := filepath.Join(t.TempDir(), "guest.yaml")
	require.NoError(t, os.WriteFile(spec, []byte("name: guest\ndriver: exec\nvolumes: [{name: disk}]\n"+
		"hosts: [n4, n5]\nboot: {root_image: image:root}\n"+
		"exec: {command: [/bin/sh, -c, 'head -n 1 \"$HOLDFAST_BOOT_ROOT_IMAGE\" >> "+g.log+
		" && exec sleep 1000']}\n"), 0o600))
	c.ok("volume", "create", "disk", "--size", "64M", "--layout", "mirror=2", "--legs-on", "n1,n2")
	c.ok("domain", "define", "-f", spec)
	require.Contains(t, c.ok("domain", "show", "guest", "-o", "yaml"), "image:root@1")
	g.copies("n4", "n5")
	c.ok("domain", "start", "guest")
	g.boots("one", 1)

	require.Contains(t, c.ok("image", "add", "root", two), "root@2")
	g.copies()
	require.Contains(t, c.ok("domain", "pin", "guest", "root@2"), "at its next start: it runs on n4 with root@1")
	g.copies("n4", "n5")
	g.boots("one", 1) // nothing moved by itself

	// The other host is wiped, and then the guest's own dies: the guest starts as soon as the image is back.
	c.ok("dev", "kill", "n5", "--dir", c.dir)
	require.NoError(t, os.RemoveAll(g.files("n5")))
	c.ok("dev", "kill", "n4", "--dir", c.dir)
	c.ok("dev", "start", "n5", "--dir", c.dir)
	g.boots("two", 2)

	require.Contains(t, c.ok("domain", "rollback", "guest"), "root@1")
	r := c.run(time.Minute, "image", "delete", "root")
	require.Equal(t, 1, r.code)
	require.Contains(t, r.stderr, "domain guest")
	c.ok("domain", "stop", "guest")
	c.ok("domain", "start", "guest")
	g.boots("one", 3)
}

// interruptedUploadLeavesNothing ends an upload in its middle, as with Ctrl-C.
func (g bootingGuest) interruptedUploadLeavesNothing() {
	g.t.Helper()
	uploads := func() []string {
		found, err := filepath.Glob(filepath.Join(g.files("n*"), "upload-*"))
		require.NoError(g.t, err)
		return found
	}
	cmd := exec.Command(os.Getenv(binaryEnv), "image", "add", "root", "-")
	cmd.Env = append(os.Environ(), g.env...)
	pipe, err := cmd.StdinPipe()
	require.NoError(g.t, err)
	require.NoError(g.t, cmd.Start())
	_, err = pipe.Write(make([]byte, 1<<20))
	require.NoError(g.t, err)
	g.eventually(time.Minute, "the upload has begun", func() bool { return len(uploads()) == 1 })
	require.NoError(g.t, cmd.Process.Signal(syscall.SIGINT))
	require.NoError(g.t, pipe.Close())
	require.Error(g.t, cmd.Wait())
	g.eventually(time.Minute, "nothing is left of it", func() bool { return len(uploads()) == 0 })
	require.NotContains(g.t, g.ok("image", "list"), "root")
}
