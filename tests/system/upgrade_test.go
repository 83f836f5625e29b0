package system

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// previousRelease is the commit of the release before this one, from whose nodes a cluster is upgraded.
const previousRelease = "3599c6e"

// previous builds the previous release from the repository's history, and skips the test where that is not
// there: a shallow clone, or an unpacked archive.
func previous(t *testing.T) string {
	t.Helper()
	need(t, "git", "tar")
	top, err := exec.Command("git", "rev-parse", "--show-toplevel").Output()
	if err != nil {
		t.Skipf("the previous release cannot be built: this is no clone of the repository (%v)", err)
	}
	repository := strings.TrimSpace(string(top))
	if exec.Command("git", "-C", repository, "cat-file", "-e", previousRelease+"^{commit}").Run() != nil {
		t.Skipf("the previous release cannot be built: commit %s is not in this clone (git fetch --unshallow)",
			previousRelease)
	}
	dir := t.TempDir()
	r := run(t, time.Minute, nil, "sh", "-c", fmt.Sprintf("git -C '%s' archive %s | tar -x -C '%s'",
		repository, previousRelease, dir))
	require.Zero(t, r.code, r.stderr)
	binary := filepath.Join(os.Getenv(rootEnv), "holdfast-previous")
	build := exec.Command("go", "build", "-o", binary, "./cmd/holdfast")
	build.Dir = dir
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
	return binary
}

// by runs a command of one of the two releases, which must succeed.
func (c *cluster) by(release string, args ...string) {
	c.t.Helper()
	r := c.foreign(2*time.Minute, release, args...)
	require.Zerof(c.t, r.code, "%s %s: exit %d\n%s", release, strings.Join(args, " "), r.code, r.stderr)
}

// restart ends the daemon of a node and starts that of a release on the same files.
func (c *cluster) restart(node, release string) {
	c.t.Helper()
	c.by(release, "dev", "stop", node, "--dir", c.dir)
	c.by(release, "dev", "start", node, "--dir", c.dir)
}

// versionView is the part of `cluster status` that the test reads.
type versionView struct {
	Version     int
	NextVersion int      `json:"next_version"`
	WaitsFor    []string `json:"version_waits_for"`
	Leader      string
}

func (c *cluster) version() versionView {
	c.t.Helper()
	var v versionView
	c.object(&v, "cluster", "status")
	return v
}

// events returns how many events of a kind the cluster keeps.
func (c *cluster) events(kind string) int {
	c.t.Helper()
	n := 0
	for line := range strings.Lines(c.ok("events", "-o", "json")) {
		var e struct{ Kind string }
		if json.Unmarshal([]byte(line), &e) == nil && e.Kind == kind {
			n++
		}
	}
	return n
}

// TestUpgrade_rollingUnderLoad: a cluster of the previous release is upgraded node by node while its volume is
// written. The engine of the old release is adopted by the new daemon and goes on; nothing fails over. Until
// the cluster version is raised the old release can be put back, afterwards it is refused with the reason.
func TestUpgrade_rollingUnderLoad(t *testing.T) {
	need(t, "qemu-io")
	old, new := previous(t), os.Getenv(binaryEnv)
	c := newCluster(t)
	r := c.foreign(2*time.Minute, old, "dev", "up", "--dir", c.dir, "--nodes", "3")
	require.Zero(t, r.code, r.stderr)
	_, api, _ := strings.Cut(strings.TrimSpace(r.stdout), "HOLDFAST_API=")
	c.env = []string{"HOLDFAST_API=" + strings.Trim(api, `"'`)}
	c.by(old, "volume", "create", "web1", "--size", "64M", "--layout", "mirror=2", "--legs-on", "n1,n2")
	url := c.attach("web1", "n3")
	before := c.volume("web1")
	w := newWriter(t, url)
	slowest := time.Duration(0)
	restart := func(node, release string) {
		began := time.Now()
		c.restart(node, release)
		slowest = max(slowest, time.Since(began))
	}

	t.Log("every node but one, with versions mixed")
	restart("n1", new)
	c.waitInSync("web1", 2)
	restart("n3", new) // the host: its daemon finds an engine of the old release
	v := c.volume("web1")
	require.NotNil(t, v.Attachment)
	require.Equal(t, before.Attachment.EnginePID, v.Attachment.EnginePID, "the engine is adopted, not replaced")
	require.Equal(t, before.Epoch, v.Epoch)
	w.progress("in a cluster of both releases")
	c.eventually(time.Minute, "the leader is a node of the new release", func() bool {
		if l := c.leader(); l == "n2" {
			restart("n2", old) // the leader leaves, and another one of its release may not be elected
			return false
		}
		return c.leader() != ""
	})
	c.eventually(time.Minute, "the old coordinator stands against the new version", func() bool {
		s := c.version()
		return s.Version == 1 && fmt.Sprint(s.WaitsFor) == "[n2]"
	})
	refused := c.run(time.Minute, "cluster", "upgrade")
	require.Equal(t, 1, refused.code)
	require.Contains(t, refused.stderr, "n2")
	c.ok("volume", "create", "mixed", "--size", "16M", "--layout", "mirror=2")

	t.Log("the old release is put back, and taken away again")
	restart("n3", old)
	require.Equal(t, before.Attachment.EnginePID, c.volume("web1").Attachment.EnginePID)
	w.progress("after the host went back")
	restart("n3", new)
	restart("n2", new)
	c.waitInSync("web1", 2)
	require.Equal(t, 1, c.version().Version, "the way back stays open for a while")

	t.Log("the engine is handed over")
	w.stop()
	c.ok("volume", "detach", "web1")
	url = c.attach("web1", "n3")
	require.NotEqual(t, before.Attachment.EnginePID, c.volume("web1").Attachment.EnginePID)
	w.verify(url)
	kinds := []string{"takeover", "domain_moved"}
	if slowest < time.Second { // a machine that is so busy that a restart takes longer has nodes that are silent
		kinds = append(kinds, "node_silent")
	}
	for _, kind := range kinds {
		require.Zero(t, c.events(kind), "nothing is failed over by an upgrade: %s\n%s", kind, c.ok("events"))
	}

	t.Log("the version is raised, and the old release does not start any more")
	c.eventually(time.Minute, "every coordinator understands the new version", func() bool {
		return c.version().NextVersion == 2
	})
	c.ok("cluster", "upgrade")
	require.Equal(t, 2, c.version().Version)
	follower := "n1"
	if c.leader() == follower {
		follower = "n2"
	}
	c.by(new, "dev", "stop", follower, "--dir", c.dir)
	start := c.foreign(time.Minute, old, "dev", "start", follower, "--dir", c.dir)
	require.NotZero(t, start.code, "the previous release reads no log of version 2")
	log, err := os.ReadFile(filepath.Join(c.dir, follower, "daemon.log"))
	require.NoError(t, err)
	require.Contains(t, string(log)+start.stderr, "written by a newer version", "it says why")
	c.by(new, "dev", "start", follower, "--dir", c.dir)
	c.waitInSync("web1", 2)
	w.verify(url)
}

// writer writes numbered blocks to a volume, one after the other, until it is stopped.
type writer struct {
	t     *testing.T
	cmd   *exec.Cmd
	log   string
	ended chan error
}

const writerBlocks = 512 // of 64 KiB, over and over

// newWriter starts to write: block after block gets the pattern of its turn, with a flush after each.
func newWriter(t *testing.T, url string) *writer {
	t.Helper()
	w := &writer{t: t, log: filepath.Join(t.TempDir(), "written"), ended: make(chan error, 1)}
	script := fmt.Sprintf(`i=0; while [ ! -e "$0.stop" ]; do
		b=$((i %% %d)); p=$((i / %d %% 250 + 1))
		echo "$b $p" >>"$0.try"
		qemu-io -f raw -c "write -P $p $((b * 64))k 64k" -c flush "$1" >/dev/null || exit 1
		echo "$b $p" >>"$0"; i=$((i + 1))
	done`, writerBlocks, writerBlocks)
	w.cmd = exec.Command("sh", "-c", script, w.log, url)
	require.NoError(t, w.cmd.Start())
	go func() { w.ended <- w.cmd.Wait() }()
	t.Cleanup(func() {
		_ = os.WriteFile(w.log+".stop", nil, 0o600)
		_ = w.cmd.Process.Kill()
	})
	w.progress("at the beginning")
	return w
}

// written returns what was acknowledged: the pattern of each block.
func (w *writer) written() (blocks map[int]int, writes int) {
	text, err := os.ReadFile(w.log)
	if err != nil {
		return nil, 0
	}
	blocks = map[int]int{}
	for line := range strings.Lines(string(text)) {
		var block, pattern int
		if _, err := fmt.Sscanf(line, "%d %d", &block, &pattern); err == nil {
			blocks[block] = pattern
			writes++
		}
	}
	return blocks, writes
}

// progress waits until some more writes were acknowledged.
func (w *writer) progress(when string) {
	w.t.Helper()
	_, before := w.written()
	require.Eventually(w.t, func() bool {
		_, now := w.written()
		return now >= before+5
	}, time.Minute, 50*time.Millisecond, "the writer is held up "+when)
}

// stop ends the writer, which must not have failed.
func (w *writer) stop() {
	w.t.Helper()
	require.NoError(w.t, os.WriteFile(w.log+".stop", nil, 0o600))
	select {
	case err := <-w.ended:
		require.NoError(w.t, err, "a write failed during the upgrade")
	case <-time.After(time.Minute):
		w.t.Fatal("the writer does not end")
	}
}

// verify reads back all that was acknowledged.
func (w *writer) verify(url string) {
	w.t.Helper()
	blocks, _ := w.written()
	require.NotEmpty(w.t, blocks)
	var reads []string
	for block, pattern := range blocks {
		reads = append(reads, fmt.Sprintf("read -P %d %dk 64k", pattern, block*64))
	}
	qemuIO(w.t, url, reads...)
}
