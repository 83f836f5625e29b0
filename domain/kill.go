package domain

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"

	"github.com/holdfast-storage/holdfast/domain/proc"
)

// killCommand returns a command that ends what is left of a run once its main process is killed; nil when nothing is,
// as its processes are all that there is of it.
func (d *localDriver) killCommand(r record) []string {
	if d.program.end == nil {
		return nil
	}
	return append(append([]string{}, d.options.Ender...), d.program.word, r.Order.Dir, r.Token)
}

// EndRun ends a run of a guest, by whatever it takes, and returns when nothing of it is left. It is what a kill command
// does (see [Process]), in place of a daemon that is dead or does not answer. A run that is over, or another one in its
// place, is no error, and is left alone: the token says which run is meant.
func EndRun(ctx context.Context, driver, dir, token string, o Options) error {
	for _, k := range kinds() {
		if k.Word != driver {
			continue
		}
		if d, ok := k.New(o).(runEnder); ok {
			return d.endRun(ctx, dir, token)
		}
	}
	return fmt.Errorf("driver %q has no guests that are ended by a command", driver)
}

// runEnder is a driver whose runs a kill command can end. Who embeds *localDriver is one; who has it in a field is not,
// and its kill commands would all fail, which shows only when a host is fenced: so a test asks it of every kind.
type runEnder interface {
	endRun(ctx context.Context, dir, token string) error
}

func (d *localDriver) endRun(ctx context.Context, dir, token string) error {
	if r, err := d.meant(dir, token); err != nil || r == nil {
		return err
	}
	release, err := lockRuns(ctx, dir, unix.LOCK_SH)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer release()
	r, err := d.meant(dir, token) // it may have ended since, and the next one begun
	if err != nil || r == nil {
		return err
	}
	if err := r.killMain(ctx); err != nil {
		return err
	}
	return d.clear(ctx, *r)
}

// meant returns the run that a directory remembers with token; nil if it is over, or another one is there.
func (d *localDriver) meant(dir, token string) (*record, error) {
	r, err := load(dir, d.program.word)
	switch {
	case errors.Is(err, ErrNone):
		return nil, nil // forgotten, which nothing is that may still run
	case err != nil:
		return nil, err
	case r.Token != token || r.State.Phase.Ended():
		return nil, nil
	}
	if boot, err := proc.BootID(); err != nil || boot != r.Boot {
		return nil, err
	}
	return &r, nil
}

// killMain kills the main process and returns when it has ended: it is to do nothing more for the guest, such as
// starting it again.
func (r record) killMain(ctx context.Context) error {
	if r.Proc.IsZero() { // nobody noted which it is
		return r.killLeftovers()
	}
	h, err := proc.Open(r.Proc)
	if err != nil {
		return ignoreGone(err)
	}
	defer h.Close()
	if err := h.Signal(killSignal); err != nil {
		return ignoreGone(err)
	}
	return h.Wait(ctx)
}

// clear ends what is left of a run whose main process has ended or was killed.
func (d *localDriver) clear(ctx context.Context, r record) error {
	if d.program.end != nil {
		if err := d.program.end(ctx, r); err != nil {
			return err
		}
	}
	return r.killLeftovers()
}
