package host

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/holdfast-storage/holdfast/domain"
)

// A domain may be defined anew with another driver, so its directory may hold the records of several. At most one
// of them is of a guest that runs.

// remembered returns every guest that a domain's directory remembers, running ones first.
func (h *Host) remembered(ctx context.Context, name string) ([]hosted, error) {
	var running, ended []hosted
	for _, word := range slices.Sorted(maps.Keys(h.options.Drivers)) {
		driver := h.options.Drivers[word]
		process, err := driver.Adopt(ctx, DomainDir(h.options.RunDir, name))
		switch {
		case errors.Is(err, domain.ErrNone):
		case err != nil:
			for _, g := range running {
				g.process.Release() // nobody is to follow it
			}
			return nil, fmt.Errorf("adopt domain %s: %w", name, err)
		case process.State().Phase.Ended():
			ended = append(ended, hosted{driver, process})
		default:
			running = append(running, hosted{driver, process})
		}
	}
	return append(running, ended...), nil
}

// discoverPause is how long guests that cannot be found are left alone before they are looked for again.
const discoverPause = 5 * time.Second

// discoverGuests finds the guests that an earlier daemon started, and returns false if the host ends before that. As
// long as it is not known of one whether it runs, the host does nothing, since no engine may start beside it: engines
// and guests that are there go on, and so do the other roles of the node.
func (h *Host) discoverGuests() bool {
	said := "" // what was logged last: what stays is not said again
	for {
		err := h.tryGuests()
		if err == nil {
			return true
		}
		if err.Error() != said {
			said = err.Error()
			h.options.Logger.Error("this host does nothing before it knows which guests run on it", "error", err)
		}
		again := time.After(discoverPause)
		for waiting := true; waiting; {
			select {
			case <-h.life.Done():
				return false
			case <-again:
				waiting = false
			case f := <-h.events: // nobody is to wait for this
				f()
			}
		}
	}
}

// tryGuests watches every guest that can be found, and returns why some cannot.
func (h *Host) tryGuests() error {
	names, err := entries(DomainDir(h.options.RunDir, ""))
	errs := []error{err}
	for _, name := range names {
		if h.guests[name].process != nil {
			continue // it was found before
		}
		found, err := h.remembered(h.life, name)
		if err == nil && len(found) > 0 {
			h.watch(name, found[0])
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// startGuest starts a guest, unless one of the domain runs already, under whatever driver: that one is followed
// instead, for the core to see and end it. What other drivers remember of ended guests is forgotten.
func (h *Host) startGuest(ctx context.Context, a action) error {
	driver := h.options.Drivers[a.order.Driver]
	if driver == nil {
		return fmt.Errorf("domain %s: the driver %q is unknown on this host: it has %v", a.name, a.order.Driver,
			slices.Sorted(maps.Keys(h.options.Drivers)))
	}
	return h.startBy(ctx, a, driver, driver.Start)
}

// startBy starts a guest by one of a driver's ways to do so.
func (h *Host) startBy(ctx context.Context, a action, driver domain.Driver,
	start func(context.Context, domain.Order) (domain.Process, error)) error {
	earlier, err := h.remembered(ctx, a.name)
	if err != nil {
		return err
	}
	if len(earlier) > 0 && !earlier[0].process.State().Phase.Ended() {
		h.post(func() { h.watch(a.name, earlier[0]) })
		return nil
	}
	if err := h.sound(a); err != nil {
		return err
	}
	for _, g := range earlier {
		if err := g.driver.Forget(a.order.Dir); err != nil {
			return err
		}
	}
	process, err := start(ctx, *a.order)
	if err != nil {
		return err
	}
	h.post(func() { h.watch(a.name, hosted{driver, process}) })
	return nil
}

// forgetGuest forgets an ended guest, under every driver.
func (h *Host) forgetGuest(a action) error {
	for _, word := range slices.Sorted(maps.Keys(h.options.Drivers)) {
		if err := h.options.Drivers[word].Forget(DomainDir(h.options.RunDir, a.name)); err != nil {
			return err
		}
	}
	h.post(func() {
		delete(h.guests, a.name)
		delete(h.unsent, a.name)
		h.core.guestForgotten(a.name)
	})
	return nil
}
