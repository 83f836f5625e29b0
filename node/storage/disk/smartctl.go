package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"syscall"
	"time"
)

const (
	smartTimeout  = 20 * time.Second // a drive that spins up, or retries
	smartBytesMax = 1 << 20
)

// ReadSmart asks a drive by the program smartctl, which program names ("smartctl" if empty). The error wraps
// ErrNone if the program is not installed or the device can have no SMART. The program and all of its children are
// ended with ctx, or after 20 s. A process that hangs in the kernel is left to it: ReadSmart returns anyway.
func ReadSmart(ctx context.Context, d Device, program string) (Smart, error) {
	if !d.Physical {
		return Smart{}, fmt.Errorf("SMART of %s: %w: it is no drive of this machine", d.Name, ErrNone)
	}
	if program == "" {
		program = "smartctl"
	}
	path, err := exec.LookPath(program)
	if err != nil {
		return Smart{}, fmt.Errorf("SMART of %s: %w: smartctl is not installed (package smartmontools)", d.Name,
			ErrNone)
	}
	ctx, cancel := context.WithTimeout(ctx, smartTimeout)
	defer cancel()
	out := &limited{}
	// A sleeping disk is not woken up for this.
	cmd := exec.CommandContext(ctx, path, "--json", "--all", "--nocheck=standby", d.Path())
	cmd.Stdout = out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		return Smart{}, fmt.Errorf("SMART of %s: %w", d.Name, err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	patience := time.NewTimer(smartTimeout + 5*time.Second)
	defer patience.Stop()
	select {
	case err = <-ended:
	case <-patience.C:
		return Smart{}, fmt.Errorf("SMART of %s: smartctl hangs in the kernel: the drive does not answer", d.Name)
	}
	if ctx.Err() != nil {
		return Smart{}, fmt.Errorf("SMART of %s: smartctl had no answer within %s", d.Name, smartTimeout)
	}
	// The exit code is a set of bits, most of which are findings of the drive and no failure of the program.
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return Smart{}, fmt.Errorf("SMART of %s: %w", d.Name, err)
	}
	return ParseSmart(out.text.Bytes())
}

// limited keeps the first bytes of an output.
type limited struct{ text bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	if room := smartBytesMax - l.text.Len(); room > 0 {
		_, _ = l.text.Write(p[:min(room, len(p))]) // it never fails
	}
	return len(p), nil
}
