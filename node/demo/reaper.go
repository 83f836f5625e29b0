package demo

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/holdfast-storage/holdfast/node/devcluster"
)

// dirPrefix begins the name of every demo's directory.
const dirPrefix = "holdfast-demo-"

// The demo's cluster outlives the demo if that is killed: its daemons are in sessions of their own. So
// a reaper, in a session of its own too, holds the read end of a pipe whose only other end is the
// demo's. When that end closes, the demo is gone, however it went, and the reaper takes down what it
// left.

// reaper is the demo's side of it.
type reaper struct {
	process  *exec.Cmd
	lifeline io.Closer
	said     bytes.Buffer
}

// startReaper starts the process that takes the demo's cluster down when this process has ended.
func startReaper(executable, dir string, keep bool) (*reaper, error) {
	if executable == "" {
		executable = "/proc/self/exe"
	}
	r := &reaper{process: exec.Command(executable, "demo", "reap", "--dir", dir, fmt.Sprintf("--keep=%t", keep))}
	r.process.Args[0] = "holdfast"
	r.process.Stderr = &r.said
	r.process.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	lifeline, err := r.process.StdinPipe()
	if err == nil {
		err = r.process.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("start what cleans up if the demo is killed: %w", err)
	}
	r.lifeline = lifeline
	return r, nil
}

// end lets the reaper look for what is left and waits for it.
func (r *reaper) end() error {
	if err := errors.Join(r.lifeline.Close(), r.process.Wait()); err != nil {
		return fmt.Errorf("clean up: %w: %s", err, bytes.TrimSpace(r.said.Bytes()))
	}
	return nil
}

// Reap waits until lifeline ends, which says that the demo in dir is gone, and then ends every process
// of its cluster and removes dir, unless it is to be kept. Nothing left to do is no error.
func Reap(lifeline io.Reader, dir string, keep bool) error {
	if !strings.HasPrefix(filepath.Base(dir), dirPrefix) {
		return fmt.Errorf("%s is no directory of a demo: it is left alone", dir)
	}
	if _, err := io.Copy(io.Discard, lifeline); err != nil {
		return fmt.Errorf("watch the demo: %w", err)
	}
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return errors.Join(takeDown(filepath.Join(dir, clusterDir), keep), removeUnless(keep, dir))
}

// takeDown ends the processes of the cluster in dir, if there is one yet, and removes it unless it is to be kept.
func takeDown(dir string, keep bool) error {
	c, err := devcluster.Open(devcluster.Options{Dir: dir})
	if errors.Is(err, devcluster.ErrNone) {
		return nil
	}
	if err != nil {
		return err
	}
	defer c.Close()
	return c.Down(!keep)
}

func removeUnless(keep bool, dir string) error {
	if keep {
		return nil
	}
	return os.RemoveAll(dir)
}
