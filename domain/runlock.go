package domain

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// runLockPause is how long whoever waits for the lock of a directory's runs waits between two tries.
const runLockPause = 20 * time.Millisecond

// lockRuns takes the lock by which a kill command and the next start of the same domain keep out of each other's way:
// what ends a run looks for its guest by what the next run has in common with it, so one that is late would find that.
// A start has it alone (unix.LOCK_EX) from when it sees that nothing of a run is left until its own is remembered; kill
// commands share it (unix.LOCK_SH). The kernel releases it with the process that has it.
func lockRuns(ctx context.Context, dir string, how int) (release func(), err error) {
	held, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	for {
		err := unix.Flock(int(held.Fd()), how|unix.LOCK_NB)
		if err == nil {
			return func() { _ = held.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			_ = held.Close()
			return nil, fmt.Errorf("lock %s: %w", dir, err)
		}
		select {
		case <-time.After(runLockPause):
		case <-ctx.Done():
			_ = held.Close()
			return nil, fmt.Errorf("lock %s: an earlier run is still being ended: %w", dir, ctx.Err())
		}
	}
}
