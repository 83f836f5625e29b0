package devcluster

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/holdfast-storage/holdfast/node/config"
)

// nodesMax is how many nodes a local cluster may ever have had; it bounds the run directories' length.
const nodesMax = 99

// runDir returns the run directory of the node with this index: inside the cluster's directory if
// sockets fit there, else under base, whose name is made from the directory's.
func runDir(dir, node string, index int) (run, base string, err error) {
	if run = filepath.Join(dir, node, "run"); len(run) <= config.RunDirMax {
		return run, "", nil
	}
	for _, base := range runBases(dir) {
		if run = filepath.Join(base, strconv.Itoa(index)); len(run) <= config.RunDirMax {
			return run, base, nil
		}
	}
	return "", "", fmt.Errorf("no directory is short enough for sockets: %s has more than %d bytes: "+
		"set TMPDIR to /tmp", run, config.RunDirMax)
}

// runBases returns the directories outside a cluster's own that may hold its run directories.
func runBases(dir string) []string {
	name := baseName(dir)
	return []string{filepath.Join(os.TempDir(), name), filepath.Join("/tmp", name)}
}

// memoryRoot is where Linux has files in memory.
const memoryRoot = "/dev/shm"

// memoryBase returns the directory in memory for the nodes' memory_dir, empty if this system has none: a cluster's own
// directory is on a disk, mostly, where that of a real node is below /run.
func memoryBase(dir string) string {
	if info, err := os.Stat(memoryRoot); err != nil || !info.IsDir() {
		return ""
	}
	return filepath.Join(memoryRoot, baseName(dir))
}

func baseName(dir string) string {
	sum := sha256.Sum256([]byte(dir))
	return "hf-" + hex.EncodeToString(sum[:4])
}

// makeBase makes the directory outside the cluster's, and refuses one that somebody else made.
func makeBase(base string) error {
	if base == "" {
		return nil
	}
	err := os.Mkdir(base, 0o700)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("run directory: %w", err)
	}
	info, err := os.Lstat(base)
	if err != nil {
		return fmt.Errorf("run directory: %w", err)
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.IsDir() || int(owner.Uid) != os.Getuid() {
		return fmt.Errorf("run directory %s belongs to somebody else: remove it, or use another --dir", base)
	}
	return nil
}
