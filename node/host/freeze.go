package host

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-storage/holdfast/domain"
	"github.com/holdfast-storage/holdfast/domain/qga"
	"github.com/holdfast-storage/holdfast/node/durable"
	"github.com/holdfast-storage/holdfast/node/pause"
	"github.com/holdfast-storage/holdfast/node/peer"
)

// frozenMark is a file in a guest's directory for as long as the guest may be frozen, so that a daemon which takes the
// place of the one that froze it lets it go on.
const frozenMark = "frozen"

// thawRetry is between two attempts to let a guest go on.
const thawRetry = time.Second

// freeze has every guest that uses a source, and has an agent that answers, write everything back and change nothing
// more until thaw, which is always to be called. all reports whether each guest was frozen, of which there was one at
// least.
func (c *cloner) freeze(ctx context.Context) (all bool, thaw func()) {
	guests := c.guests(ctx)
	var doing sync.WaitGroup
	done := make([]bool, len(guests))
	for i, g := range guests {
		doing.Go(func() { done[i] = c.host.freezeGuest(ctx, g) })
	}
	doing.Wait()
	return len(guests) > 0 && !slices.Contains(done, false), func() {
		for i, g := range guests {
			if done[i] {
				doing.Go(func() { c.host.thawGuest(g) })
			}
		}
		doing.Wait()
	}
}

// guests returns the guests of this host that use a source of the group.
func (c *cloner) guests(ctx context.Context) []domain.Process {
	found := make(chan []domain.Process, 1)
	h := c.host
	h.post(func() {
		var all []domain.Process
		for _, g := range h.guests {
			uses := slices.ContainsFunc(g.process.Order().Volumes, func(v domain.Volume) bool {
				return slices.ContainsFunc(c.order.Fills, func(f peer.CloneFill) bool { return f.Source == v.ID })
			})
			if uses && g.process.State().Phase == domain.PhaseRunning {
				all = append(all, g.process)
			}
		}
		found <- all
	})
	select {
	case all := <-found:
		return all
	case <-ctx.Done():
		return nil
	}
}

// freezeGuest freezes one guest, and reports whether it did. One whose answer was not heard may be frozen: it is let go
// at once.
func (h *Host) freezeGuest(ctx context.Context, p domain.Process) bool {
	guest, ok := p.(domain.Freezer)
	if !ok || !guest.HasAgent() || p.State().Paused {
		return false
	}
	o := p.Order()
	err := guest.AskAgent(ctx)
	if err == nil {
		err = durable.WriteFile(filepath.Join(o.Dir, frozenMark), []byte(o.Name+"\n"), 0o600)
	}
	if err != nil {
		h.options.Logger.Warn("guest is not frozen", "domain", o.Name, "error", err)
		return false
	}
	if h.sends(ctx, o.Name) { // from now on no sending begins: send looks at the mark
		h.unmark(o)
		return false
	}
	n, err := guest.Freeze(ctx)
	if err == nil && n > 0 {
		return true
	}
	h.options.Logger.Warn("guest is not frozen", "domain", o.Name, "file_systems", n, "error", err)
	var refused *qga.Error
	if errors.As(err, &refused) { // somebody else may have frozen it
		h.unmark(o)
		return false
	}
	h.thawGuest(p)
	return false
}

// unmark notes that a guest is not frozen by this host, and has the loop look again: it may be sent now.
func (h *Host) unmark(o domain.Order) {
	if err := os.Remove(filepath.Join(o.Dir, frozenMark)); err != nil && !os.IsNotExist(err) {
		h.options.Logger.Error("mark of a frozen guest stays", "domain", o.Name, "error", err)
	}
	h.post(func() {})
}

// marked reports whether a guest may be frozen by this host, or by a daemon before it.
func marked(o domain.Order) bool {
	_, err := os.Stat(filepath.Join(o.Dir, frozenMark))
	return !os.IsNotExist(err)
}

// sends reports whether a guest is being sent to another host; also if that is not known.
func (h *Host) sends(ctx context.Context, name string) bool {
	found := make(chan bool, 1)
	h.post(func() { found <- h.sendings[name] != nil })
	select {
	case is := <-found:
		return is
	case <-ctx.Done():
		return true
	}
}

// thawGuest lets a guest go on. It tries until that is so, or the guest has ended, and also while the host ends.
func (h *Host) thawGuest(p domain.Process) {
	guest, ok := p.(domain.Freezer)
	if !ok {
		return
	}
	o := p.Order()
	for {
		err := guest.Thaw(context.Background())
		if err == nil || p.State().Phase.Ended() {
			h.unmark(o)
			return
		}
		h.options.Logger.Error("guest is not thawed and is tried again", "domain", o.Name, "error", err)
		if !pause.For(h.life, thawRetry) {
			return // the next daemon goes on, by the mark
		}
	}
}

// thawLeft lets guests go on that an earlier daemon froze and did not thaw.
func (h *Host) thawLeft() {
	for _, g := range h.guests {
		if marked(g.process.Order()) {
			h.options.Logger.Warn("guest was left frozen", "domain", g.process.Order().Name)
			h.jobs.Go(func() { h.thawGuest(g.process) })
		}
	}
}
