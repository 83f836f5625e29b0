package domain

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/holdfast-storage/holdfast/domain/proc"
)

// needed is a process beside the main one without which a guest must not go on: who serves its disk, say. Without it
// the guest would see its disk fail, remount it read-only and go on like that, where another start mends all.
type needed struct {
	What string  `json:"what"` // as in "the storage daemon of volume web1"
	ID   proc.ID `json:"id"`
}

// watchNeeded begins to watch the processes that a guest needs, if it needs any: it kills the main process when one of
// them has ended, and notes why. What it returns ends that, and waits for its end.
func (p *localProcess) watchNeeded(ctx context.Context) (unwatch func()) {
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	for _, n := range p.snapshot().Needed {
		watching.Go(func() {
			if p.awaitNeeded(ctx, n) {
				p.endFor(n.What + " has ended")
			}
		})
	}
	return func() {
		cancel()
		watching.Wait()
	}
}

// awaitNeeded waits for the end of a process, and reports false if ctx ended before. That it cannot be watched, for
// want of descriptors say, is no end of it.
func (p *localProcess) awaitNeeded(ctx context.Context, n needed) bool {
	for {
		handle, err := proc.Open(n.ID)
		if err == nil {
			err = handle.Wait(ctx)
			handle.Close()
		}
		switch {
		case ctx.Err() != nil:
			return false
		case err == nil || errors.Is(err, proc.ErrGone):
			return true
		}
		p.logger.Warn("what a guest needs cannot be watched, and is tried again", "domain", p.snapshot().Order.Name,
			"needed", n.What, "error", err)
		select {
		case <-ctx.Done():
			return false
		case <-time.After(leftoverPause):
		}
	}
}

// endFor kills the main process because of something beside it, unless it has been asked to end: then what it needs may
// go before it.
func (p *localProcess) endFor(why string) {
	p.mu.Lock()
	end := p.asked == "" && !p.record.State.Phase.Ended()
	if end {
		p.because = why
	}
	p.mu.Unlock()
	if !end {
		return
	}
	p.logger.Error("guest is killed", "domain", p.snapshot().Order.Name, "cause", why)
	if err := ignoreGone(p.handle.Signal(syscall.SIGKILL)); err != nil {
		p.logger.Error("guest was not killed", "domain", p.snapshot().Order.Name, "error", err)
	}
}

// neededFrom returns the process of a run whose number is in a file that the process wrote itself. An error says that
// it is not there.
func neededFrom(what, file, token string) (needed, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return needed{}, fmt.Errorf("%s is not known: %w", what, err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return needed{}, fmt.Errorf("%s is not known: %s holds %q", what, file, text)
	}
	all, err := proc.FindEnv(EnvToken, token)
	if err != nil {
		return needed{}, fmt.Errorf("%s is not known: %w", what, err)
	}
	for _, id := range all {
		if id.PID == pid { // not another one that has its number by now
			return needed{What: what, ID: id}, nil
		}
	}
	return needed{}, fmt.Errorf("%s has ended, or is not to be found", what)
}
