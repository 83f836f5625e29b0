package domain

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/holdfast-storage/holdfast/domain/libvirtd"
	"github.com/holdfast-storage/holdfast/domain/proc"
)

// A Pauser is a guest that can be made to stand still, with its memory, and to go on from there. All drivers have
// such.
type Pauser interface {
	// Pause has the guest stand still. It is remembered once it does, in State.Paused: a daemon that dies before asks
	// again, which changes nothing. It blocks until the guest stands still, or its driver has not managed that in the
	// time that it has. A guest that is on its way to another host is refused. A guest that is paused is ended like any
	// other, and at once: it cannot notice that it is asked to.
	Pause(ctx context.Context) error
	// Unpause has it go on. Of a guest that runs it changes nothing.
	Unpause(ctx context.Context) error
}

// How long a guest may take to stand still, or to go on.
const (
	holdPatience = 5 * time.Second
	holdLook     = 5 * time.Millisecond // between two looks whether it does
)

// Pause is that of Pauser.
func (p *localProcess) Pause(ctx context.Context) error { return p.hold(ctx, true) }

// Unpause is that of Pauser.
func (p *localProcess) Unpause(ctx context.Context) error { return p.hold(ctx, false) }

// hold has the guest stand still, or go on, and remembers which it does.
func (p *localProcess) hold(ctx context.Context, still bool) error {
	do := p.guest.hold
	if do == nil {
		do = holdProcesses
	}
	if phase := p.State().Phase; phase != PhaseRunning { // one that is taken in is not to run before it has moved
		return fmt.Errorf("domain %s: its guest is %s: one that runs can be paused", p.Order().Name, phase)
	}
	if err := do(ctx, p, still); err != nil {
		return fmt.Errorf("domain %s: %s: %w", p.Order().Name, map[bool]string{true: "pause", false: "resume"}[still],
			err)
	}
	err := p.remember(func(r *record) { r.State.Paused = still && !r.State.Phase.Ended() })
	if err != nil {
		return fmt.Errorf("domain %s: %w", p.Order().Name, err)
	}
	p.logger.Info("guest is held or let go", "domain", p.Order().Name, "run", p.Order().Run, "paused", still)
	return nil
}

// holdProcesses stops all processes of a guest, or has them go on. It looks again until every one of them does: one
// that was not stopped yet may have started another.
func holdProcesses(ctx context.Context, p *localProcess, still bool) error {
	ctx, cancel := context.WithTimeout(ctx, holdPatience)
	defer cancel()
	sig := syscall.SIGSTOP
	if !still {
		sig = syscall.SIGCONT
	}
	look := time.NewTicker(holdLook)
	defer look.Stop()
	for {
		p.signalGuest(sig)
		other, err := p.otherThan(still)
		if err != nil || other.IsZero() {
			return err
		}
		select {
		case <-look.C:
		case <-p.done:
			return errors.New("it has ended")
		case <-ctx.Done():
			return fmt.Errorf("%s does not heed %s: %w", other, sig, ctx.Err())
		}
	}
}

// otherThan returns a process of the guest that is not stopped, or with still unset one that is; zero if there is none.
func (p *localProcess) otherThan(still bool) (proc.ID, error) {
	r := p.snapshot()
	all, err := r.leftovers()
	if err != nil {
		return proc.ID{}, err
	}
	for _, id := range append(all, r.Proc) { // the main one may have overwritten its environment
		if id.Alive() && id.Stopped() != still && !(still && id.Blocked()) {
			return id, nil
		}
	}
	return proc.ID{}, nil
}

// qemuHold has the machine of a QEMU stand still, which flushes what it wrote, or go on. One whose state is sent or
// taken in is left alone: whether it runs is for those who move it to say.
func qemuHold(ctx context.Context, p *localProcess, still bool) error {
	q := &qemuProcess{p}
	state, err := q.runState(ctx)
	switch {
	case err != nil:
		return err
	case state == qemuRunning && still:
		return q.do(ctx, "stop", nil, nil)
	case (state == qemuPaused || state == qemuIOError) && !still:
		return q.do(ctx, "cont", nil, nil)
	case state == qemuRunning, state == qemuPaused, state == qemuIOError:
		return nil
	}
	return fmt.Errorf("QEMU says that it is %s", state)
}

// libvirtHold has libvirt do it, for which what is so already is no error.
func libvirtHold(ctx context.Context, p *localProcess, still bool) error {
	if still {
		return libvirtCall(ctx, p, libvirtd.Daemon.Suspend)
	}
	return libvirtCall(ctx, p, libvirtd.Daemon.Resume)
}

// hold has the domain stand still, or go on. Xen counts how often it was told to stand still: so one that is held is
// not told again, and is let go until it runs. One that xl is still making is listed as paused, too: that alone is not
// taken for an answer.
func (h xenHost) hold(ctx context.Context, p *localProcess, still bool) error {
	x, err := h.guest(p.Order())
	if err != nil {
		return err
	}
	word := map[bool]string{true: "pause", false: "unpause"}[still]
	for told := 0; ; told++ {
		own, err := x.own(ctx)
		switch {
		case err != nil:
			return err
		case len(own) == 0:
			return errors.New("there is no domain of its UUID")
		case own[0].paused() == still && (told > 0 || !still || p.State().Paused):
			return nil
		case told == xlTold:
			return fmt.Errorf("told to %s %d times, xl lists it as %s", word, told, own[0].state)
		}
		if _, err := x.call(ctx, xlAnswer, word, own[0].id); err != nil {
			return err
		}
	}
}
