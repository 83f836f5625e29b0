package domain

import (
	"fmt"
	"syscall"
	"time"

	"github.com/holdfast-storage/holdfast/domain/proc"
)

// How long killLeftovers waits for killed processes to vanish, and how often it looks.
const (
	killPatience = 5 * time.Second
	killPause    = 5 * time.Millisecond
)

// killSignal is what no process can heed in any other way than by ending.
const killSignal = syscall.SIGKILL

// leftovers returns the living processes that carry the run's token.
func (r record) leftovers() ([]proc.ID, error) {
	if boot, err := proc.BootID(); err != nil || boot != r.Boot {
		return nil, err // no process outlives its kernel
	}
	return proc.FindEnv(EnvToken, r.Token)
}

// killLeftovers kills every process of the run and returns when none is left. It looks again after
// each round, since a process may have started another while it was being killed. The main process
// must have ended before.
func (r record) killLeftovers() error {
	deadline := time.Now().Add(killPatience)
	for {
		left, err := r.leftovers()
		if err != nil || len(left) == 0 {
			return err
		}
		if err := proc.Signal(left, killSignal); err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s (and %d more) does not end after SIGKILL: "+
				"it waits for a device; see /proc/%d/stack", left[0], len(left)-1, left[0].PID)
		}
		time.Sleep(killPause)
	}
}
