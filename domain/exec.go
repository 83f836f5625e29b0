package domain

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/holdfast-storage/holdfast/domain/proc"
	"github.com/holdfast-storage/holdfast/volume"
)

// DriverExec is the name of the exec driver in definitions.
const DriverExec = "exec"

// ExecOptions configures the exec driver.
type ExecOptions struct {
	Env    []string     // the environment that guests start from; nil is the daemon's own
	Logger *slog.Logger // nil discards
}

// NewExec returns the driver that runs a guest as a command on the host, in a session of its own,
// with the URLs of its volumes in its environment (see [VolumeVariable]) and its output in the file
// guest.log of the order's directory. The guest ends when its main process ends: what that leaves
// behind is killed.
func NewExec(o ExecOptions) Driver {
	if o.Env == nil {
		o.Env = os.Environ()
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &execDriver{options: o}
}

type execDriver struct{ options ExecOptions }

// LogPath returns the file that takes a guest's output.
func LogPath(dir string) string { return filepath.Join(dir, "guest.log") }

func (d *execDriver) Start(ctx context.Context, o Order) (Process, error) {
	vars, err := checkOrder(o)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("domain %s: %w", o.Name, err)
	}
	if err := refuseSecond(o); err != nil {
		return nil, err
	}
	boot, err := proc.BootID()
	if err != nil {
		return nil, fmt.Errorf("domain %s: %w", o.Name, err)
	}
	r := record{Order: o, Token: volume.NewUUID().String(), Boot: boot, State: State{Phase: PhaseStarting}}
	if err := r.save(); err != nil {
		return nil, fmt.Errorf("domain %s: %w", o.Name, err)
	}
	p, err := d.launch(r, vars)
	if err != nil {
		// Nothing runs, so nothing is to be remembered.
		return nil, errors.Join(fmt.Errorf("domain %s: start %q: %w", o.Name, o.Command[0], err),
			d.Forget(o.Dir))
	}
	return p, nil
}

func checkOrder(o Order) (map[string]string, error) {
	if err := volume.CheckName("domain", o.Name); err != nil {
		return nil, err
	}
	if len(o.Command) == 0 || o.Command[0] == "" {
		return nil, fmt.Errorf("domain %s: its definition names no command: "+
			"want exec: {command: [program, argument …]}", o.Name)
	}
	if !filepath.IsAbs(o.Dir) {
		return nil, fmt.Errorf("domain %s: its directory %q is not absolute", o.Name, o.Dir)
	}
	return variables(o)
}

// refuseSecond returns ErrRunning if any process of an earlier run is left.
func refuseSecond(o Order) error {
	r, err := load(o.Dir)
	if errors.Is(err, ErrNone) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("domain %s: %w", o.Name, err)
	}
	left, err := r.leftovers()
	if err != nil {
		return fmt.Errorf("domain %s: %w", o.Name, err)
	}
	if len(left) > 0 {
		return fmt.Errorf("domain %s: %s of run %d: %w", o.Name, left[0], r.Order.Run, ErrRunning)
	}
	return nil
}

// launch starts the process and the goroutine that waits for it.
func (d *execDriver) launch(r record, vars map[string]string) (*execProcess, error) {
	log, err := os.OpenFile(LogPath(r.Order.Dir), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	args := make([]string, len(r.Order.Command))
	for i, a := range r.Order.Command {
		args[i] = expand(a, vars)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Env = append(append([]string{}, d.options.Env...), EnvToken+"="+r.Token)
	for name, value := range vars {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
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

// hold notes which process the guest is and begins to watch it. The child keeps its number until
// cmd.Wait, so that it cannot be mistaken here.
func (d *execDriver) hold(r record, cmd *exec.Cmd) (*execProcess, error) {
	id, err := proc.Identify(cmd.Process.Pid)
	if err != nil {
		return nil, err
	}
	handle, err := proc.Open(id)
	if err != nil {
		return nil, err
	}
	r.Proc, r.State = id, State{Phase: PhaseRunning}
	if err := r.save(); err != nil {
		handle.Close()
		return nil, err
	}
	d.options.Logger.Info("guest started", "domain", r.Order.Name, "run", r.Order.Run, "pid", id.PID)
	return d.watch(r, handle, cmd), nil
}

func (d *execDriver) Adopt(_ context.Context, dir string) (Process, error) {
	r, err := load(dir)
	if err != nil {
		return nil, err
	}
	if r.State.Phase.Ended() {
		return d.ended(r), nil
	}
	if boot, err := proc.BootID(); err != nil {
		return nil, fmt.Errorf("domain %s: %w", r.Order.Name, err)
	} else if boot != r.Boot {
		r.State = State{Phase: PhaseKilled, Cause: "the host was restarted"}
		return d.ended(r), r.save()
	}
	if r.Proc.IsZero() {
		return d.adoptUnnoted(r)
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

// adoptUnnoted settles a start that the daemon did not live to note: whatever carries the token is
// that guest, without a known main process, so it is ended and may be started again.
func (d *execDriver) adoptUnnoted(r record) (Process, error) {
	if err := r.killLeftovers(); err != nil {
		return nil, fmt.Errorf("domain %s: %w", r.Order.Name, err)
	}
	r.State = State{Phase: PhaseKilled, Cause: "the daemon ended while it started the guest"}
	return d.ended(r), r.save()
}

func (d *execDriver) Forget(dir string) error {
	if err := os.Remove(recordPath(dir)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("domain record: %w", err)
	}
	return nil
}
