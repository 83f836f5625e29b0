package domain

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/holdfast-storage/holdfast/domain/guest"
	"github.com/holdfast-storage/holdfast/domain/qmp"
)

// DriverQEMU is the name of the qemu driver in definitions.
const DriverQEMU = "qemu"

func qemuKind() Kind {
	return Kind{
		Word: DriverQEMU,
		Check: func(d guest.Definition) error {
			if _, err := qemuSettingsOf(d); err != nil {
				return err
			}
			_, err := diskOrder(d)
			return err
		},
		New: NewQEMU,
	}
}

// NewQEMU returns the driver that runs a guest as a QEMU process of this host. Its disks are the exports of its
// volumes, its first serial line is at ConsoleSocket and kept in ConsoleLog, and QEMU's own words are in the file
// guest.log. It is asked to end by the power button, then told to quit, then killed.
//
// The process is what holds the grant, not the guest in it: a guest that is paused, or whose clock stands still, is
// killed like any other. No timer of the guest decides anything.
func NewQEMU(o Options) Driver {
	return &qemuDriver{newLocal(o, program{word: DriverQEMU, command: qemuCommand, ask: powerDown, quit: quit,
		hold: qemuHold})}
}

// ConsoleSocket returns the path of the socket at which a guest's first serial line is, for one user at a time.
func ConsoleSocket(dir string) string { return filepath.Join(dir, "console.sock") }

// ConsoleLog returns the file that takes what a guest writes to its first serial line.
func ConsoleLog(dir string) string { return filepath.Join(dir, "console.log") }

func qmpSocket(dir string) string { return filepath.Join(dir, "qmp.sock") }

// How long QEMU may take.
const (
	qemuAnswer = 5 * time.Second       // to answer one command
	qemuQuit   = 3 * time.Second       // to end when it is told to quit
	qemuLook   = 20 * time.Millisecond // between two looks whether it answers
	qemuWords  = 2000                  // bytes of its last words that an error repeats
)

type qemuDriver struct{ *localDriver }

// qemuProcess is one run of a QEMU guest.
type qemuProcess struct{ *localProcess }

func (d *qemuDriver) Start(ctx context.Context, o Order) (Process, error) {
	said := sizeOf(LogPath(o.Dir))
	p, err := d.start(ctx, o)
	if err != nil {
		return nil, err
	}
	if err := awaitQEMU(ctx, p); err != nil {
		err = fmt.Errorf("domain %s: QEMU does not start: %w%s", o.Name, err, lastWords(LogPath(o.Dir), said))
		if stopped := stopNow(ctx, p); stopped != nil {
			return nil, errors.Join(err, stopped)
		}
		return nil, errors.Join(err, d.Forget(o.Dir)) // nothing runs, so nothing is to be remembered
	}
	return &qemuProcess{p}, nil
}

// stopNow kills a guest and waits for its end also when ctx is over, which may be why it is killed.
func stopNow(ctx context.Context, p *localProcess) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), qemuQuit)
	defer cancel()
	return p.Stop(ctx, 0)
}

// awaitQEMU returns once QEMU answers.
func awaitQEMU(ctx context.Context, p *localProcess) error {
	look := time.NewTicker(qemuLook)
	defer look.Stop()
	for {
		err := call(ctx, p, "query-status")
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("it ended: %s", p.State().Cause)
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-look.C:
		}
	}
}

func (d *qemuDriver) Adopt(_ context.Context, dir string) (Process, error) {
	p, err := d.adopt(dir)
	if err != nil {
		return nil, err
	}
	return &qemuProcess{p}, nil
}

// call has the QEMU of a run execute one command without arguments.
func call(ctx context.Context, p *localProcess, command string) error {
	ctx, cancel := context.WithTimeout(ctx, qemuAnswer)
	defer cancel()
	return qmp.Call(ctx, qmpSocket(p.Order().Dir), command, nil, nil)
}

// powerDown presses the guest's power button. A guest that does not run cannot notice.
func powerDown(ctx context.Context, p *localProcess) error {
	ctx, cancel := context.WithTimeout(ctx, qemuAnswer)
	defer cancel()
	var now struct {
		Status string `json:"status"`
	}
	if err := qmp.Call(ctx, qmpSocket(p.Order().Dir), "query-status", nil, &now); err != nil {
		return err
	}
	if now.Status != "running" {
		return fmt.Errorf("it does not run: QEMU says that it is %s", now.Status)
	}
	return qmp.Call(ctx, qmpSocket(p.Order().Dir), "system_powerdown", nil, nil)
}

// quit has QEMU end in order: what it was told to flush it flushes. It reports whether QEMU has ended. One whose guest
// was sent elsewhere is not asked: it has nothing left to flush, and would wait for disks that are no longer its own.
func quit(ctx context.Context, p *localProcess) bool {
	if state, err := (&qemuProcess{p}).runState(ctx); err == nil && state == qemuPostMigrate {
		return false
	}
	if err := call(ctx, p, "quit"); err != nil {
		p.logger.Warn("QEMU does not quit, so it is killed", "domain", p.Order().Name, "error", err)
		return false
	}
	return p.within(ctx, qemuQuit)
}

func sizeOf(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0 // there is none yet
	}
	return info.Size()
}

// lastWords returns the end of what was written to a log from an offset on, for an error.
func lastWords(path string, from int64) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	from = max(from, sizeOf(path)-qemuWords)
	text, err := io.ReadAll(io.NewSectionReader(f, from, qemuWords))
	if words := strings.TrimSpace(string(text)); err == nil && words != "" {
		return ": " + strings.ReplaceAll(words, "\n", "; ")
	}
	return ""
}
