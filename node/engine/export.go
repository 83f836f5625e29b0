package engine

import (
	"context"
	"fmt"

	"github.com/holdfast-storage/holdfast/export/nbd"
	"github.com/holdfast-storage/holdfast/node/peer"
)

// export is the volume's NBD export. A maintenance attachment has none. Only the goroutine of
// process.serve uses it.
type export struct {
	process *process
	server  *nbd.Server
	failed  chan error // nil until it is open
}

// open opens the export; the mirror serves already.
func (x *export) open() error {
	p := x.process
	if p.start.Ticket.Maintenance {
		p.opened(nil)
		return nil
	}
	name := p.start.Ticket.Name
	bound := p.boundName()
	server, err := nbd.NewServer(nbd.Options{Queue: p.meter, Limits: p.set.Limits(), Name: name, Alias: bound,
		Plug: &p.bursts, Waits: p.waits, Logger: p.log})
	if err != nil {
		return err
	}
	socket := NBDSocket(p.start.RunDir)
	listener, err := p.start.exportListener()
	if err != nil {
		return fmt.Errorf("export of volume %s: %w", name, err)
	}
	x.server, x.failed = server, make(chan error, 1)
	p.running.Go(func() {
		if err := server.Serve(listener); err != nil {
			x.failed <- err
		}
	})
	address := nbd.Address{Socket: socket, Name: name}
	offer := peer.Export{Type: "nbd", URL: address.String()}
	if bound != "" {
		offer.BoundURL = nbd.Address{Socket: socket, Name: bound}.String()
	}
	p.opened([]peer.Export{offer})
	p.log.Info("export open", "url", address.String())
	return nil
}

// boundName returns the name of the export for guests that connect again by themselves: it is another one, and
// the old one refused, once a guest must not go on with what is there (protocol-flush C, (iii)). It is "" while the
// coordinators do not say when that is.
func (p *process) boundName() string {
	u := p.authority.unbroken.Load()
	if u == nil || u.IsZero() {
		return ""
	}
	return p.start.Ticket.Name + "@" + u.String()
}

// drain answers what is in flight and closes the connections.
func (x *export) drain() {
	if x.server == nil {
		return
	}
	ctx, cancel := context.WithTimeout(x.process.life, shutdownTime)
	defer cancel()
	if err := x.server.Shutdown(ctx); err != nil {
		x.process.log.Warn("export closed with requests in flight", "error", err)
	}
}

// close drops the connections at once: nothing more is answered on them.
func (x *export) close() {
	if x.server != nil {
		_ = x.server.Close() // it always succeeds
	}
}
