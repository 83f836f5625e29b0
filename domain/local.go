package domain

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/holdfast-storage/holdfast/domain/proc"
	"github.com/holdfast-storage/holdfast/volume"
)

// program is what differs between the drivers whose guest is a process of this host.
type program struct {
	word string
	// command returns what to run, and what is added to the environment that guests start from.
	command func(Order) (args []string, env map[string]string, err error)
	// launch has somebody else start the guest in place of a command, with EnvToken in the environment of its one
	// process, which it returns. After an error whatever has the token is killed; with errUnsettled the run is
	// remembered, and whoever has the token later is found and killed by each adoption.
	launch func(context.Context, record) (proc.ID, error)
	// admit refuses a start because of what somebody else has on this host, before anything is made of it.
	admit func(context.Context, Order) error
	// before prepares what the guest's process needs, with the environment that the process will have. After an error
	// end is called.
	before func(ctx context.Context, r record, env []string) error
	// end ends what of a run is no process with EnvToken, once its main process has ended or was killed, and returns
	// when nothing of that is left. It may be called again and again, and by several programs at once. nil: there is
	// nothing but processes.
	end func(context.Context, record) error
	// needs returns the processes beside the main one without which the guest must not go on: it is killed when one of
	// them ends. It is asked when all of them run, before the main one does. nil: there are none.
	needs func(record) ([]needed, error)
	// ask asks a guest to end; nil is SIGTERM to all of its processes. An error: it is not worth waiting for.
	ask func(context.Context, *localProcess) error
	// quit ends a guest that has not heeded that, more gently than SIGKILL, and reports whether it has ended; nil
	// means that there is nothing gentler.
	quit func(context.Context, *localProcess) bool
	// hold has a guest stand still, or go on, and returns once it does; nil is SIGSTOP and SIGCONT to all of its
	// processes. Repeated, it changes nothing.
	hold func(ctx context.Context, p *localProcess, still bool) error
}

// errUnsettled means that it is not known whether somebody else will still start a guest.
var errUnsettled = errors.New("it may still come about")

// localDriver runs guests as processes of this host, each in a session of its own.
type localDriver struct {
	options Options
	program program
}

func newLocal(o Options, p program) *localDriver {
	if o.Env == nil {
		o.Env = os.Environ()
	}
	if o.Ender == nil {
		o.Ender = []string{"/proc/self/exe", "end-guest"} // also when the file was replaced or removed
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &localDriver{options: o, program: p}
}

// LogPath returns the file that takes a guest's output.
func LogPath(dir string) string { return filepath.Join(dir, "guest.log") }

func (d *localDriver) Start(ctx context.Context, o Order) (Process, error) {
	p, err := d.start(ctx, o)
	if err != nil { // a Process that is nil, not one that holds a nil
		return nil, err
	}
	return p, nil
}

func (d *localDriver) start(ctx context.Context, o Order) (*localProcess, error) {
	if err := checkOrder(o); err != nil {
		return nil, err
	}
	run, err := d.runner(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("domain %s: %w", o.Name, err)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("domain %s: %w", o.Name, err)
	}
	r, before, err := d.begin(ctx, o)
	if err != nil {
		return nil, err
	}
	p, err := run(r)
	if errors.Is(err, errUnsettled) {
		return nil, fmt.Errorf("domain %s: start %w", o.Name, err)
	}
	if err != nil {
		err = fmt.Errorf("domain %s: start %w", o.Name, err)
		if left := d.clear(context.WithoutCancel(ctx), r); left != nil { // the next adoption tries again
			return nil, errors.Join(err, left)
		}
		return nil, errors.Join(err, d.unbegin(before, o.Dir))
	}
	return p, nil
}

// begin remembers the run that is about to be started, and returns what was remembered before it.
func (d *localDriver) begin(ctx context.Context, o Order) (r, before record, err error) {
	if d.program.end != nil { // there are kill commands, and one of an earlier run may be late
		release, err := lockRuns(ctx, o.Dir, unix.LOCK_EX)
		if err != nil {
			return record{}, record{}, fmt.Errorf("domain %s: %w", o.Name, err)
		}
		defer release()
	}
	before, err = d.refuseSecond(o)
	if err != nil {
		return record{}, record{}, err
	}
	if d.program.admit != nil {
		if err := d.program.admit(ctx, o); err != nil {
			return record{}, record{}, fmt.Errorf("domain %s: %w", o.Name, err)
		}
	}
	boot, err := proc.BootID()
	if err != nil {
		return record{}, record{}, fmt.Errorf("domain %s: %w", o.Name, err)
	}
	r = record{Driver: d.program.word, Order: o, Token: volume.NewUUID().String(), Boot: boot,
		State: State{Phase: PhaseStarting}}
	if err := r.save(); err != nil {
		return record{}, record{}, fmt.Errorf("domain %s: %w", o.Name, err)
	}
	return r, before, nil
}

// unbegin is what a start leaves behind of which nothing runs: nothing is to be remembered, unless the start before may
// still come about.
func (d *localDriver) unbegin(before record, dir string) error {
	if before.unsettled() {
		return before.save()
	}
	return d.Forget(dir)
}

// runner returns what starts the guest of an order, of which it has found nothing wrong.
func (d *localDriver) runner(ctx context.Context, o Order) (func(record) (*localProcess, error), error) {
	if d.program.launch != nil {
		return func(r record) (*localProcess, error) { return d.delegate(ctx, r) }, nil
	}
	args, env, err := d.program.command(o)
	if err != nil {
		return nil, err
	}
	return func(r record) (*localProcess, error) {
		all := d.environment(r, env)
		if d.program.before != nil {
			if err := d.program.before(ctx, r, all); err != nil {
				return nil, err
			}
		}
		if d.program.needs != nil {
			if r.Needed, err = d.program.needs(r); err != nil {
				return nil, err
			}
		}
		p, err := d.launch(r, args, all)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", args[0], err)
		}
		return p, nil
	}, nil
}

// delegate has somebody else start the guest.
func (d *localDriver) delegate(ctx context.Context, r record) (*localProcess, error) {
	id, err := d.program.launch(ctx, r)
	var p *localProcess
	if err == nil {
		p, err = d.note(r, id, nil)
	}
	if err != nil {
		err = fmt.Errorf("by %s: %w", d.program.word, err)
		if left := r.killLeftovers(); left != nil {
			err = fmt.Errorf("%w: %w", errUnsettled, errors.Join(err, left)) // it is not to be forgotten
		}
		return nil, err
	}
	return p, nil
}

func checkOrder(o Order) error {
	if err := volume.CheckName("domain", o.Name); err != nil {
		return err
	}
	if !filepath.IsAbs(o.Dir) {
		return fmt.Errorf("domain %s: its directory %q is not absolute", o.Name, o.Dir)
	}
	if err := Check(o.definition()); err != nil {
		return Named(o.Name, err)
	}
	return nil
}

// refuseSecond returns ErrRunning if any process of an earlier run is left, else what is remembered of that run: zero
// if nothing is.
func (d *localDriver) refuseSecond(o Order) (record, error) {
	r, err := load(o.Dir, d.program.word)
	if errors.Is(err, ErrNone) {
		return record{}, nil
	}
	if err != nil {
		return record{}, fmt.Errorf("domain %s: %w", o.Name, err)
	}
	left, err := r.leftovers()
	if err != nil {
		return record{}, fmt.Errorf("domain %s: %w", o.Name, err)
	}
	if len(left) > 0 {
		return record{}, fmt.Errorf("domain %s: %s of run %d: %w", o.Name, left[0], r.Order.Run, ErrRunning)
	}
	if d.program.end != nil && !r.State.Phase.Ended() { // who adopts it finds out
		return record{}, fmt.Errorf("domain %s: run %d is not known to have ended: %w", o.Name, r.Order.Run, ErrRunning)
	}
	return r, nil
}

// environment returns that of a guest's processes.
func (d *localDriver) environment(r record, more map[string]string) []string {
	env := append(append([]string{}, d.options.Env...), EnvToken+"="+r.Token)
	for name, value := range more {
		env = append(env, name+"="+value)
	}
	return env
}

// launch starts the process and the goroutine that waits for it.
func (d *localDriver) launch(r record, args, env []string) (*localProcess, error) {
	log, err := os.OpenFile(LogPath(r.Order.Dir), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Env = env
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p, err := d.hold(r, cmd)
	if err != nil {
		_ = cmd.Process.Kill() // it cannot be watched, so it must not run
		_ = cmd.Wait()
		return nil, err
	}
	return p, nil
}

// hold notes the process that was just started. The child keeps its number until
// cmd.Wait, so that it cannot be mistaken here.
func (d *localDriver) hold(r record, cmd *exec.Cmd) (*localProcess, error) {
	id, err := proc.Identify(cmd.Process.Pid)
	if err != nil {
		return nil, err
	}
	return d.note(r, id, cmd)
}

// note remembers which process the guest is and begins to watch it.
func (d *localDriver) note(r record, id proc.ID, cmd *exec.Cmd) (*localProcess, error) {
	handle, err := proc.Open(id)
	if err != nil {
		return nil, err
	}
	r.Proc, r.State = id, State{Phase: PhaseRunning}
	if r.Order.Incoming != 0 {
		r.State.Phase = PhaseReceiving
	}
	if err := r.save(); err != nil {
		handle.Close()
		return nil, err
	}
	d.options.Logger.Info("guest started", "domain", r.Order.Name, "run", r.Order.Run, "pid", id.PID)
	return d.watch(r, handle, cmd), nil
}

func (d *localDriver) Adopt(_ context.Context, dir string) (Process, error) {
	p, err := d.adopt(dir)
	if err != nil {
		return nil, err
	}
	return p, nil
}

func (d *localDriver) adopt(dir string) (*localProcess, error) {
	r, err := load(dir, d.program.word)
	if err != nil {
		return nil, err
	}
	if r.State.Phase.Ended() && !r.unsettled() {
		return d.ended(r), nil
	}
	if boot, err := proc.BootID(); err != nil {
		return nil, fmt.Errorf("domain %s: %w", r.Order.Name, err)
	} else if boot != r.Boot {
		r.State = State{Phase: PhaseKilled, Cause: "the host was restarted"}
		return d.ended(r), r.save()
	}
	if r.unsettled() {
		return d.adoptUnsettled(r)
	}
	handle, err := proc.Open(r.Proc)
	switch {
	case err == nil:
		d.options.Logger.Info("guest adopted", "domain", r.Order.Name, "run", r.Order.Run, "pid", r.Proc.PID)
		return d.watch(r, handle, nil), nil
	case !errors.Is(err, proc.ErrGone):
		return nil, fmt.Errorf("domain %s: %w", r.Order.Name, err)
	}
	return d.watch(r, nil, nil), nil // it ended while no daemon watched: end what it left behind
}

// adoptUnsettled ends whatever there is of a start that was not seen through: what carries the token is that guest,
// without a known main process, so it is ended and may be started again. It is looked for by every adoption until the
// run is forgotten, since whoever starts it for a driver may take his time.
func (d *localDriver) adoptUnsettled(r record) (*localProcess, error) {
	// First the processes: the one that nobody noted may be about to start what the rest ends.
	err := r.killLeftovers()
	if err == nil {
		err = d.clear(context.Background(), r)
	}
	if err != nil {
		return nil, fmt.Errorf("domain %s: %w", r.Order.Name, err)
	}
	r.State = State{Phase: PhaseKilled, Cause: "its start was not seen through"}
	return d.ended(r), r.save()
}

func (d *localDriver) Forget(dir string) error { return forget(dir, d.program.word) }
