package system

import (
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
	"golang.org/x/sys/unix"
)

// site is a cluster whose nodes can lose power: what a node keeps (its data directory and its store)
// lies on an ext4 of its own on a loop device, and node.yaml names a boot id that the test writes.
// The mounts are in a mount namespace that ends with its last process, so nothing of them outlives
// the test, however it ends.
type site struct {
	*cluster
	keeper *exec.Cmd // a process that does nothing in the namespace
}

// siteNodes is how many nodes a site has: n1 to n3 coordinate, and n4 and n5 are for guests.
const siteNodes = 5

// nodeDiskBytes is the size of a node's disk; its image is sparse.
const nodeDiskBytes = 3 << 30

// upWithDisks starts a cluster of nodes that can lose power.
func upWithDisks(t *testing.T) *site { t.Helper(); return upSite(t, siteNodes) }

// upSite starts a cluster of so many nodes that can lose power; made are more arguments of dev up.
func upSite(t *testing.T, nodes int, made ...string) *site {
	t.Helper()
	s := enterNamespace(t)
	s.made = made
	s.start(nodes)
	for i := range nodes {
		name := fmt.Sprintf("n%d", i+1)
		s.dev("kill", name)
		s.moveToDisk(name)
	}
	s.start(nodes)
	return s
}

// enterNamespace makes the namespace and a cluster of which nothing exists but the name.
func enterNamespace(t *testing.T) *site {
	t.Helper()
	need(t, "mkfs.ext4", "mount", "umount", "losetup", "nsenter")
	if os.Getuid() != 0 {
		t.Skip("mounting needs root")
	}
	keeper := exec.Command("cat")
	keeper.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	lifeline, err := keeper.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, keeper.Start())
	t.Cleanup(func() { // after the cluster is down: cleanups run in reverse
		_ = lifeline.Close()
		require.NoError(t, keeper.Wait())
	})
	s := &site{cluster: newCluster(t), keeper: keeper}
	s.enter = []string{"nsenter", fmt.Sprintf("--mount=/proc/%d/ns/mnt", keeper.Process.Pid), "--"}
	return s
}

func (s *site) dev(verb, node string) { s.ok("dev", verb, node, "--dir", s.dir) }

// must runs a foreign program in the namespace, which has to succeed.
func (s *site) must(program string, args ...string) string {
	s.t.Helper()
	r := s.foreign(time.Minute, program, args...)
	require.Zerof(s.t, r.code, "%s %q: %s%s", program, args, r.stdout, r.stderr)
	return r.stdout
}

func (s *site) nodePath(node string, parts ...string) string {
	return filepath.Join(append([]string{s.dir, node}, parts...)...)
}

// inside names, for this process, a path as the processes in the namespace see it.
func (s *site) inside(path string) string {
	return fmt.Sprintf("/proc/%d/root%s", s.keeper.Process.Pid, path)
}

// moveToDisk gives a node that is down a disk, with all that it has so far, and a boot id.
func (s *site) moveToDisk(node string) {
	s.t.Helper()
	disk := s.addDisk(node)
	s.must("mv", s.nodePath(node, "data"), s.nodePath(node, "store"), disk)
	s.must("sync", "-f", disk)
	s.newBoot(node)

	path := s.nodePath(node, "node.yaml")
	text, err := os.ReadFile(path)
	require.NoError(s.t, err)
	var config map[string]any
	require.NoError(s.t, yaml.Unmarshal(text, &config))
	config["data_dir"] = filepath.Join(disk, "data")
	config["stores"] = []map[string]string{{"name": "disk0", "path": filepath.Join(disk, "store")}}
	config["boot_id_file"] = s.nodePath(node, "boot_id")
	text, err = yaml.Marshal(config)
	require.NoError(s.t, err)
	require.NoError(s.t, os.WriteFile(path, text, 0o600))
}

// addDisk makes and mounts an empty disk and returns where.
func (s *site) addDisk(node string) string {
	s.t.Helper()
	require.NoError(s.t, os.MkdirAll(s.nodePath(node, "disk"), 0o700))
	image, err := os.Create(s.nodePath(node, "disk.img"))
	require.NoError(s.t, err)
	require.NoError(s.t, image.Truncate(nodeDiskBytes))
	require.NoError(s.t, image.Close())
	s.must("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", image.Name())
	s.mount(node)
	return s.nodePath(node, "disk")
}

func (s *site) mount(node string) {
	s.t.Helper()
	s.must("mount", "-o", "loop", s.nodePath(node, "disk.img"), s.nodePath(node, "disk"))
}

// newBoot changes the node's boot id, as a restart of its operating system does.
func (s *site) newBoot(node string) {
	s.t.Helper()
	require.NoError(s.t, os.WriteFile(s.nodePath(node, "boot_id"), []byte(rand.Text()+"\n"), 0o600))
}

// cutPower takes the power of these nodes away at one moment and gives it back: their processes stop
// and never go on, what the page cache had not written is gone, a new boot replays the journal.
// Nothing is started.
func (s *site) cutPower(nodes ...string) {
	s.t.Helper()
	for _, node := range nodes {
		s.dev("pause", node)
	}
	for _, node := range nodes {
		s.dropCache(node)
	}
	for _, node := range nodes {
		s.dev("kill", node)
		s.must("umount", s.nodePath(node, "disk"))
		s.newBoot(node)
		s.mount(node)
	}
}

// The request that stops an ext4 for good, and its argument that not even the journal in memory is
// written (Linux, fs/ext4/ext4.h).
const (
	ext4IocShutdown          = 0x8004587d
	ext4GoingFlagsNoLogFlush = 2
)

// dropCache makes the node's filesystem forget whatever it had not written, and refuse all else.
func (s *site) dropCache(node string) {
	s.t.Helper()
	f, err := os.Open(s.inside(s.nodePath(node, "disk")))
	require.NoError(s.t, err)
	defer f.Close()
	require.NoError(s.t, unix.IoctlSetPointerInt(int(f.Fd()), ext4IocShutdown, ext4GoingFlagsNoLogFlush),
		"shut down the filesystem of %s", node)
}

// legFile returns a file of the only leg that a node's store holds, as this process can open it.
func (s *site) legFile(node, name string) string {
	s.t.Helper()
	found, err := filepath.Glob(s.inside(s.nodePath(node, "disk", "store", "legs", "*", name)))
	require.NoError(s.t, err)
	require.Lenf(s.t, found, 1, "legs of %s", node)
	return found[0]
}

// sameBytes holds that the legs on these nodes have the same data, byte by byte.
func (s *site) sameBytes(nodes ...string) {
	s.t.Helper()
	for _, node := range nodes[1:] {
		require.Equalf(s.t, hashOf(s.t, s.legFile(nodes[0], "data")), hashOf(s.t, s.legFile(node, "data")),
			"the legs on %s and %s differ", nodes[0], node)
	}
}

// TestSite_aPowerCutDropsWhatWasNotSynced holds the instrument itself to account: a cut that kept the
// page cache would prove nothing.
func TestSite_aPowerCutDropsWhatWasNotSynced(t *testing.T) {
	s := enterNamespace(t)
	disk := s.inside(s.addDisk("n1"))
	synced, lost := filepath.Join(disk, "synced"), filepath.Join(disk, "lost")
	f, err := os.Create(synced)
	require.NoError(t, err)
	_, err = f.Write(make([]byte, 64<<10))
	require.NoError(t, err)
	require.NoError(t, f.Sync())
	_, err = f.WriteAt([]byte("page cache"), 8192)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	require.NoError(t, os.WriteFile(lost, []byte("not even its name"), 0o600))

	s.dropCache("n1")
	s.must("umount", s.nodePath("n1", "disk"))
	s.mount("n1")
	text, err := os.ReadFile(synced)
	require.NoError(t, err)
	require.Equal(t, make([]byte, 64<<10), text)
	require.NoFileExists(t, lost)
}
