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

	"github.com/holdfast-storage/holdfast/domain/proc"
)

// needed is a process beside the main one without which a guest must not go on: who serves its disk, say. Without it
// the guest would see its disk fail, remount it read-only and go on like that, where another start mends all.
type needed struct {
	what string // as in "the storage daemon of volume web1"
	id   proc.ID
}

// watchNeeded begins to watch the processes that a guest needs, if it needs any: it kills the main process when one of
// them has ended, and notes why. What it returns ends that, and waits for its end.
func (p *localProcess) watchNeeded(ctx context.Context) (unwatch func()) {
	if p.guest.needs == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	all, err := p.guest.needs(p.snapshot())
	if err != nil {
		p.endFor(err)
	}
	for _, n := range all {
		watching.Go(func() {
			if err := n.await(ctx); err != nil {
				p.endFor(err)
			}
		})
	}
	return func() {
		cancel()
		watching.Wait()
	}
}

// await waits for the end of a process, and says of it that it has ended; nil if ctx ended before.
func (n needed) await(ctx context.Context) error {
	handle, err := proc.Open(n.id)
	if err == nil {
		defer handle.Close()
		err = handle.Wait(ctx)
	}
	switch {
	case ctx.Err() != nil:
		return nil
	case err != nil && !errors.Is(err, proc.ErrGone):
		return fmt.Errorf("%s cannot be watched: %w", n.what, err)
	}
	return fmt.Errorf("%s has ended", n.what)
}

// endFor kills the main process because of something beside it, unless it has been asked to end: then what it needs may
// go before it.
func (p *localProcess) endFor(why error) {
	p.mu.Lock()
	end := p.asked == "" && !p.record.State.Phase.Ended()
	if end {
		p.because = why.Error()
	}
	p.mu.Unlock()
	if !end {
		return
	}
	p.logger.Error("guest is killed", "domain", p.snapshot().Order.Name, "error", why)
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
			return needed{what, id}, nil
		}
	}
	return needed{}, fmt.Errorf("%s has ended", what)
}
