package system

import (
	"crypto/sha256"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// treeBytesMin is how much real data the test wants to see moved.
const treeBytesMin = 200 << 20

// TestFilesystem_survivesFailoverAndReplacement copies a real ext4 filesystem with a real tree of
// files (Go's own installation) into a mirrored volume, fails over in the middle of a second copy,
// replaces a storage node that lost its disk, and looks at every file.
func TestFilesystem_survivesFailoverAndReplacement(t *testing.T) {
	need(t, "qemu-img", "mke2fs", "e2fsck", "debugfs")
	tree := goTree(t)
	want := hashTree(t, tree)
	image := filepath.Join(t.TempDir(), "ext4.img")
	makeFilesystem(t, tree, image)

	c := up(t, 4)
	c.ok("volume", "create", "root", "--size", "768M", "--layout", "mirror=2", "--legs-on", "n2,n3")
	first := c.attach("root", "n1")
	convert := []string{"convert", "-n", "-f", "raw", "-O", "raw", "-m", "8", "-W"}
	r := run(t, 3*time.Minute, nil, "qemu-img", append(convert, image, first)...)
	require.Zero(t, r.code, r.stderr)

	t.Log("fail over in the middle of a second copy")
	second := exec.Command("qemu-img", append(convert, "-r", "64M", image, first)...) // so slow that it is caught
	require.NoError(t, second.Start())
	ended := make(chan error, 1)
	go func() { ended <- second.Wait() }()
	select {
	case err := <-ended:
		t.Fatalf("the second copy ended before it could be interrupted: %v", err)
	case <-time.After(700 * time.Millisecond):
	}
	taken := c.attach("root", "n4", "--takeover")
	_ = second.Process.Kill() // it may have ended already: its export is gone
	<-ended
	require.NotEqual(t, first, taken)

	t.Log("replace a storage node that lost its disk")
	c.ok("dev", "kill", "n2", "--dir", c.dir)
	c.ok("dev", "wipe", "n2", "--dir", c.dir)
	c.ok("dev", "add", "n5", "--dir", c.dir)
	c.ok("node", "replace", "n2", "n5")
	require.ElementsMatch(t, []string{"n3", "n5"}, c.volume("root").inSync())

	t.Log("look at every file, read from each leg alone")
	for _, dead := range []string{"n3", "n5"} {
		checkFilesystem(t, taken, want)
		c.ok("dev", "kill", dead, "--dir", c.dir)
		checkFilesystem(t, taken, want)
		c.ok("dev", "start", dead, "--dir", c.dir)
		c.waitInSync("root", 2)
	}
}

// goTree returns a directory with at least treeBytesMin of real files.
func goTree(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "env", "GOROOT").Output()
	require.NoError(t, err)
	root := filepath.Clean(string(out[:len(out)-1]))
	require.DirExists(t, root, runtime.Version())
	return root
}

// hashTree returns the SHA-256 of every regular file below dir.
func hashTree(t *testing.T, dir string) map[string][sha256.Size]byte {
	t.Helper()
	hashes := map[string][sha256.Size]byte{}
	total := int64(0)
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		h := sha256.New()
		n, err := io.Copy(h, f)
		if err != nil {
			return err
		}
		total += n
		relative, err := filepath.Rel(dir, path)
		hashes[relative] = [sha256.Size]byte(h.Sum(nil))
		return err
	}))
	require.GreaterOrEqual(t, total, int64(treeBytesMin), "the tree is too small to mean anything")
	return hashes
}

func makeFilesystem(t *testing.T, tree, image string) {
	t.Helper()
	r := run(t, 3*time.Minute, nil, "mke2fs", "-q", "-t", "ext4", "-d", tree, image, "768M")
	require.Zero(t, r.code, r.stderr)
}

// checkFilesystem reads the volume back and looks at the filesystem and every file in it.
func checkFilesystem(t *testing.T, url string, want map[string][sha256.Size]byte) {
	t.Helper()
	dir := t.TempDir()
	image, files := filepath.Join(dir, "back.img"), filepath.Join(dir, "files")
	r := run(t, 3*time.Minute, nil, "qemu-img", "convert", "-f", "raw", "-O", "raw", url, image)
	require.Zero(t, r.code, r.stderr)
	r = run(t, time.Minute, nil, "e2fsck", "-fn", image)
	require.Zerof(t, r.code, "e2fsck: %s%s", r.stdout, r.stderr)
	require.NoError(t, os.Mkdir(files, 0o755))
	r = run(t, 3*time.Minute, nil, "debugfs", "-R", "rdump / "+files, image)
	require.Zero(t, r.code, r.stderr)
	require.NoError(t, os.RemoveAll(filepath.Join(files, "lost+found")))
	got := hashTree(t, files)
	require.Equal(t, len(want), len(got))
	for path, hash := range want {
		require.Equalf(t, hash, got[path], "%s differs", path)
	}
	require.NoError(t, os.RemoveAll(dir))
}
