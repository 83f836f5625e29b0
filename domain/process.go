package domain

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/holdfast-storage/holdfast/domain/proc"
)

// leftoverPause is how long a guest's end waits before it looks again for what could not be killed.
const leftoverPause = time.Second

// localProcess is one run of a guest that is a process of this host. One goroutine waits for its end, from launch or
// adoption until done is closed or Release is called.
type localProcess struct {
	handle *proc.Handle // nil when the main process ended before it was adopted
	child  *exec.Cmd    // nil when it is not this process's child
	done   chan struct{}
	guest  program // what it is
	driver *localDriver
	logger *slog.Logger

	release context.CancelFunc // ends the watch without ending the guest
	watcher chan struct{}      // closed when the watching goroutine has returned

	mu      sync.Mutex // protects what follows; never held across I/O
	record  record
	because string // why it was killed, if its end says nothing of that
	asked   Phase  // what Stop is making of it: PhaseStopped or PhaseKilled; empty before
}

// watch returns a process whose end is waited for.
func (d *localDriver) watch(r record, h *proc.Handle, child *exec.Cmd) *localProcess {
	ctx, cancel := context.WithCancel(context.Background())
	p := &localProcess{
		handle: h, child: child, done: make(chan struct{}), guest: d.program, driver: d, logger: d.options.Logger,
		record: r, release: cancel, watcher: make(chan struct{}),
	}
	go func() {
		defer close(p.watcher)
		p.awaitEnd(ctx)
	}()
	return p
}

// ended returns the process of a run of which nothing is left.
func (d *localDriver) ended(r record) *localProcess {
	p := &localProcess{
		done: make(chan struct{}), guest: d.program, driver: d, logger: d.options.Logger, record: r,
		release: func() {}, watcher: make(chan struct{}),
	}
	close(p.watcher)
	close(p.done)
	return p
}

func (p *localProcess) snapshot() record {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.record
}

func (p *localProcess) Order() Order { return p.snapshot().Order }

func (p *localProcess) ID() proc.ID { return p.snapshot().Proc }

func (p *localProcess) KillCommand() []string { return p.driver.killCommand(p.snapshot()) }

func (p *localProcess) State() State { return p.snapshot().State }

func (p *localProcess) Done() <-chan struct{} { return p.done }

func (p *localProcess) Release() {
	p.release()
	<-p.watcher
}

// awaitEnd waits for the main process, ends what it left behind, reaps it and notes how it ended.
// Reaping comes last: until then the kernel gives its number, and that of its group, to nobody.
func (p *localProcess) awaitEnd(ctx context.Context) {
	if p.handle != nil {
		defer p.handle.Close()
		unwatch := p.watchNeeded(ctx)
		err := p.handle.Wait(ctx)
		unwatch() // what ends from now on ends with the guest
		if ctx.Err() != nil {
			return
		} else if err != nil {
			p.logger.Error("guest cannot be watched, so it is killed", "domain", p.snapshot().Order.Name,
				"error", err)
			_ = p.handle.Signal(syscall.SIGKILL)
		}
	}
	p.endGroup()
	for {
		err := p.driver.clear(ctx, p.snapshot())
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			break
		}
		// A process that cannot be killed (blocked in the kernel) keeps the guest from having ended.
		p.logger.Error("guest has ended but left something", "domain", p.snapshot().Order.Name, "error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(leftoverPause):
		}
	}
	cause := "unknown: it was not this daemon's child"
	if p.child != nil {
		_ = p.child.Wait() // how it ended stands in ProcessState, whatever Wait makes of it
		cause = p.child.ProcessState.String()
	}
	p.noteEnd(cause)
	close(p.done)
}

// endGroup kills the process group while its leader's number is still the leader's.
func (p *localProcess) endGroup() {
	if p.child != nil {
		_ = syscall.Kill(-p.child.Process.Pid, syscall.SIGKILL) // ESRCH: nobody is left in it
	}
}

func (p *localProcess) noteEnd(cause string) {
	p.mu.Lock()
	phase := PhaseExited
	switch {
	case p.asked != "":
		phase = p.asked
	case p.because != "":
		phase = PhaseKilled // with its disk: it is started anew, whatever it is that restarts it otherwise
	case p.record.State.Phase == PhaseReceiving:
		phase = PhaseKilled // it never ran here, so this was no end of its own
	}
	if p.because != "" {
		cause = p.because
	}
	p.record.State = State{Phase: phase, Cause: cause}
	r := p.record
	p.mu.Unlock()
	if err := r.save(); err != nil {
		p.logger.Error("guest's end is not recorded", "domain", r.Order.Name, "error", err)
	}
	p.logger.Info("guest ended", "domain", r.Order.Name, "run", r.Order.Run, "phase", phase, "cause", cause)
}

func (p *localProcess) Stop(ctx context.Context, grace time.Duration) error {
	if grace > 0 && p.ask(PhaseStopped) {
		err := p.askToEnd(ctx)
		if err != nil {
			p.logger.Warn("guest cannot be asked to end", "domain", p.snapshot().Order.Name, "error", err)
		} else if p.within(ctx, grace) {
			return nil
		}
		if ctx.Err() != nil { // its grace is not over: whoever asks again goes on
			return fmt.Errorf("domain %s: not ended yet: %w", p.snapshot().Order.Name, ctx.Err())
		}
	}
	if p.ask(PhaseKilled) {
		if grace > 0 && p.guest.quit != nil {
			if p.guest.quit(ctx, p) {
				return nil
			}
		}
		p.kill()
	}
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("domain %s: not ended yet: %w", p.snapshot().Order.Name, ctx.Err())
	}
}

// askToEnd asks the guest to end by itself.
func (p *localProcess) askToEnd(ctx context.Context) error {
	if p.guest.ask != nil {
		return p.guest.ask(ctx, p)
	}
	if p.State().Paused {
		return errors.New("it is paused, and cannot notice")
	}
	p.signalGuest(syscall.SIGTERM)
	return nil
}

// ask notes what the guest's end will have been; false when it has ended already.
func (p *localProcess) ask(end Phase) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.record.State.Phase.Ended() {
		return false
	}
	p.asked, p.record.State.Phase = end, PhaseStopping
	return true
}

// within waits for the end, at most for grace.
func (p *localProcess) within(ctx context.Context, grace time.Duration) bool {
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.done:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

// kill kills every process of the guest once; where more than processes is to be ended, the main one: what is ended
// then may need the others.
func (p *localProcess) kill() {
	if p.guest.end == nil {
		p.signalGuest(killSignal)
		return
	}
	if p.handle == nil {
		return
	}
	if err := ignoreGone(p.handle.Signal(killSignal)); err != nil {
		p.logger.Warn("guest was not killed", "domain", p.snapshot().Order.Name, "error", err)
	}
}

// signalGuest signals every process of the guest once.
func (p *localProcess) signalGuest(sig syscall.Signal) {
	r := p.snapshot()
	all, err := r.leftovers()
	if p.handle != nil && !slices.Contains(all, r.Proc) { // it may have overwritten its environment
		err = errors.Join(err, ignoreGone(p.handle.Signal(sig)))
	}
	err = errors.Join(err, proc.Signal(all, sig))
	if err != nil {
		p.logger.Warn("guest was not signalled everywhere", "domain", r.Order.Name, "error", err)
	}
}

func ignoreGone(err error) error {
	if errors.Is(err, proc.ErrGone) || errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}
