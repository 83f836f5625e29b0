package disk

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

const (
	smartTimeout  = 20 * time.Second // a drive that spins up, or retries
	smartGrace    = 2 * time.Second  // for a process that was killed to end
	smartBytesMax = 1 << 20
)

// Smartctl asks drives for SMART by the program smartctl. It is safe for use by many goroutines.
type Smartctl struct {
	Program string // "smartctl" if empty

	waitFor func(*exec.Cmd) error // nil is its Wait

	mu   sync.Mutex
	runs map[string]time.Time // since when the process of each drive runs, by the drive's name
}

// Read asks a drive. The error wraps ErrNone if the program is not installed or the device can have no SMART. The
// program and all of its children are killed with ctx, or after 20 s. A process that hangs in the kernel cannot be
// killed and is left to it: Read returns 2 s later at the latest, and the drive is not asked again, which is an error,
// before that process has ended.
func (s *Smartctl) Read(ctx context.Context, d Device) (Smart, error) {
	if !d.Physical {
		return Smart{}, fmt.Errorf("SMART of %s: %w: it is no drive of this machine", d.Name, ErrNone)
	}
	path, err := exec.LookPath(cmp.Or(s.Program, "smartctl"))
	if err != nil {
		return Smart{}, fmt.Errorf("SMART of %s: %w: smartctl is not installed (package smartmontools)", d.Name,
			ErrNone)
	}
	if since, free := s.begin(d); !free {
		return Smart{}, fmt.Errorf("SMART of %s: smartctl does not answer: it was asked at %s and has not ended "+
			"yet, so it is not asked again", d.Name, since.Format(time.DateTime))
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
		s.end(d)
		return Smart{}, fmt.Errorf("SMART of %s: %w", d.Name, err)
	}
	ended := make(chan error, 1)
	go func() {
		err := s.wait(cmd)
		s.end(d)
		ended <- err
	}()
	select {
	case err = <-ended:
	case <-ctx.Done():
		grace := time.NewTimer(smartGrace)
		defer grace.Stop()
		select {
		case err = <-ended:
		case <-grace.C:
			return Smart{}, fmt.Errorf("SMART of %s: smartctl does not answer: it hangs in the kernel, as it does "+
				"when the drive does not answer", d.Name)
		}
	}
	if ctx.Err() != nil {
		return Smart{}, fmt.Errorf("SMART of %s: smartctl does not answer: it was ended after %s", d.Name, smartTimeout)
	}
	// The exit code is a set of bits, most of which are findings of the drive and no failure of the program.
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return Smart{}, fmt.Errorf("SMART of %s: %w", d.Name, err)
	}
	return ParseSmart(out.text.Bytes())
}

// begin notes that a drive is asked. It is not free, and since when not, while it is being asked.
func (s *Smartctl) begin(d Device) (since time.Time, free bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if since, runs := s.runs[d.Name]; runs {
		return since, false
	}
	if s.runs == nil {
		s.runs = map[string]time.Time{}
	}
	s.runs[d.Name] = time.Now()
	return time.Time{}, true
}

func (s *Smartctl) end(d Device) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.runs, d.Name)
}

func (s *Smartctl) wait(cmd *exec.Cmd) error {
	if s.waitFor != nil {
		return s.waitFor(cmd)
	}
	return cmd.Wait()
}

// limited keeps the first bytes of an output.
type limited struct{ text bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	if room := smartBytesMax - l.text.Len(); room > 0 {
		_, _ = l.text.Write(p[:min(room, len(p))]) // it never fails
	}
	return len(p), nil
}
