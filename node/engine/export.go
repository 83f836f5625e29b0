package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-storage/holdfast/volume"
)

// exportPause is how long an export that does not open is left alone before it is tried again.
const exportPause = time.Second

// exports are the ways by which guests reach the volume: NBD on its unix socket, without which there is no
// attachment, and what else is set for the volume. A maintenance attachment has none.
//
// Invariant: one of the others that cannot open, or fails, is told and tried again, and ends nothing else.
type exports struct {
	process *process
	sockets exportSockets
	failed  chan error // of the unix socket

	mu     sync.Mutex // protects what follows
	opened []frontend
	ended  bool // nothing is opened any more
}

func newExports(p *process) *exports {
	return &exports{process: p, sockets: p.start.sockets(), failed: make(chan error, 1)}
}

// open opens the exports; the mirror serves already. It returns what is wrong with the one that has to be.
func (x *exports) open() error {
	p := x.process
	if p.start.Ticket.Maintenance {
		p.opened()
		return nil
	}
	main := volume.ExportSetting{Kind: volume.ExportNBD}
	f, l, err := x.start(main)
	if err != nil {
		return fmt.Errorf("export of volume %s: %w", p.start.Ticket.Name, err)
	}
	p.running.Go(func() {
		if err := f.Serve(l); err != nil {
			x.failed <- err
		}
	})
	for _, s := range p.start.Ticket.Exports {
		f, l, err := x.start(s)
		p.running.Go(func() { x.keepOpen(s, f, l, err) })
	}
	p.opened()
	return nil
}

// start makes a frontend and its listener, and tells that it is there.
func (x *exports) start(s volume.ExportSetting) (frontend, net.Listener, error) {
	f, err := x.process.newFrontend(s)
	if err != nil {
		return nil, nil, err
	}
	l, err := x.sockets.listen(s)
	if err != nil {
		return nil, nil, err
	}
	if !x.add(f) {
		return nil, nil, errors.Join(net.ErrClosed, l.Close())
	}
	offer := f.offer(l.Addr())
	x.process.offered(offer)
	x.process.log.Info("export open", "kind", string(s.Kind), "url", offer.URL)
	return f, l, nil
}

// add takes a frontend in, unless all are closed by now.
func (x *exports) add(f frontend) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.ended {
		x.opened = append(x.opened, f)
	}
	return !x.ended
}

// keepOpen serves an export that is not the main one until the end, and opens it again when that fails.
func (x *exports) keepOpen(s volume.ExportSetting, f frontend, l net.Listener, err error) {
	p := x.process
	for {
		if err == nil {
			err = f.Serve(l)
			if err == nil {
				return
			}
			x.remove(f)
		}
		if x.isEnded() {
			return
		}
		if p.faulty(s, err) {
			p.log.Warn("export does not open and is tried again", "kind", string(s.Kind), "address", s.Address,
				"error", err)
		}
		if !p.sleep(exportPause) {
			return
		}
		f, l, err = x.start(s)
	}
}

// remove ends a frontend that failed: it may have connections left.
func (x *exports) remove(f frontend) {
	x.mu.Lock()
	x.opened = slices.DeleteFunc(x.opened, func(o frontend) bool { return o == f })
	x.mu.Unlock()
	_ = f.Close() // it failed already, and that is told
}

func (x *exports) isEnded() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.ended
}

// end keeps any more from being opened and returns those that are.
func (x *exports) end() []frontend {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.ended = true
	return slices.Clone(x.opened)
}

// drain answers what is in flight on all exports and closes the connections.
func (x *exports) drain() {
	ctx, cancel := context.WithTimeout(x.process.life, shutdownTime)
	defer cancel()
	var draining sync.WaitGroup
	for _, f := range x.end() {
		draining.Go(func() {
			if err := f.Shutdown(ctx); err != nil {
				x.process.log.Warn("export closed with requests in flight", "error", err)
			}
		})
	}
	draining.Wait()
}

// close drops the connections at once: nothing more is answered on them.
func (x *exports) close() {
	for _, f := range x.end() {
		_ = f.Close() // it always succeeds
	}
	x.sockets.close()
}

// opened records that the exports answer.
func (p *process) opened() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.serving = true
}

// offered records an export that answers. That of NBD is the first, whenever the others open.
func (p *process) offered(o volume.Offer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	// Both slices may be on their way to somebody: they are replaced and never changed.
	offers := slices.DeleteFunc(slices.Clone(p.offers), func(old volume.Offer) bool { return old.Type == o.Type })
	p.offers = append(offers, o)
	slices.SortStableFunc(p.offers[min(1, len(p.offers)):], func(a, b volume.Offer) int {
		return cmp.Compare(a.Type, b.Type)
	})
	p.faults = slices.DeleteFunc(slices.Clone(p.faults), func(f volume.ExportFault) bool {
		return string(f.Kind) == o.Type
	})
}

// faulty records that an export does not answer, and reports whether that is news.
func (p *process) faulty(s volume.ExportSetting, err error) bool {
	fault := volume.ExportFault{Kind: s.Kind, Address: s.Address, Error: err.Error()}
	p.mu.Lock()
	defer p.mu.Unlock()
	if slices.Contains(p.faults, fault) {
		return false
	}
	p.offers = slices.DeleteFunc(slices.Clone(p.offers), func(o volume.Offer) bool { return o.Type == string(s.Kind) })
	faults := slices.DeleteFunc(slices.Clone(p.faults), func(f volume.ExportFault) bool { return f.Kind == s.Kind })
	p.faults = append(faults, fault)
	return true
}
