package engine

import (
	"context"
	"fmt"
	"net"

	"github.com/holdfast-storage/holdfast/export/nbd"
	"github.com/holdfast-storage/holdfast/volume"
)

// frontend offers the volume to guests by one protocol. What it is asked for goes through the process's meter, which
// counts it and holds it to the volume's limit, and all frontends of a volume share one mirror: a flush by one of them
// covers what was acknowledged by any.
type frontend interface {
	// Serve answers on a listener until the frontend is shut down or closed, and returns nil then. It closes l.
	Serve(l net.Listener) error
	// Shutdown answers what is in flight and ends; what is not answered when ctx ends is not answered any more.
	Shutdown(ctx context.Context) error
	// Close ends at once: when it returns, nothing more is answered. Requests that have reached the mirror are done by
	// it.
	Close() error
	// offer says how guests reach what listens at an address.
	offer(at net.Addr) volume.Offer
}

// frontends makes the frontend of each kind of export. A kind is added here.
func frontends() map[volume.ExportKind]func(*process, volume.ExportSetting) (frontend, error) {
	return map[volume.ExportKind]func(*process, volume.ExportSetting) (frontend, error){
		volume.ExportNBD:    func(p *process, _ volume.ExportSetting) (frontend, error) { return p.newNBD() },
		volume.ExportISCSI:  func(p *process, s volume.ExportSetting) (frontend, error) { return p.newISCSI(s) },
		volume.ExportNBDTLS: func(p *process, s volume.ExportSetting) (frontend, error) { return p.newNBDTLS(s) },
	}
}

// newFrontend makes the frontend of an export.
func (p *process) newFrontend(s volume.ExportSetting) (frontend, error) {
	of := frontends()[s.Kind]
	if of == nil {
		return nil, fmt.Errorf("this engine does not know exports of the kind %q", s.Kind)
	}
	return of(p, s)
}

// nbdFrontend is NBD on the unix socket.
type nbdFrontend struct {
	*nbd.Server
	socket, name, bound string
}

func (p *process) newNBD() (*nbdFrontend, error) {
	server, name, bound, err := p.nbdServer()
	if err != nil {
		return nil, err
	}
	return &nbdFrontend{Server: server, socket: NBDSocket(p.start.RunDir), name: name, bound: bound}, nil
}

// nbdServer makes what serves the volume by NBD, with the names that it has there.
func (p *process) nbdServer() (server *nbd.Server, name, bound string, err error) {
	name, bound = p.start.Ticket.Name, p.boundName()
	server, err = nbd.NewServer(nbd.Options{Queue: p.meter, Limits: p.set.Limits(), Name: name, Alias: bound,
		Plug: &p.bursts, Waits: p.waits, Logger: p.log})
	return server, name, bound, err
}

func (f *nbdFrontend) offer(net.Addr) volume.Offer {
	o := volume.Offer{Type: string(volume.ExportNBD), URL: nbd.Address{Socket: f.socket, Name: f.name}.String()}
	if f.bound != "" {
		o.BoundURL = nbd.Address{Socket: f.socket, Name: f.bound}.String()
	}
	return o
}

// boundName returns the name of the export for guests that connect again by themselves: it is another one, and
// the old one refused, once a guest must not go on with what is there (protocol-flush C, (iii)). It is "" while the
// coordinators do not say when that is: NBD has its other name for guests that do not connect again. iSCSI has none
// beside that of unbroken, which names this attachment then.
func (p *process) boundName() string {
	u := p.authority.unbroken.Load()
	if u == nil || u.IsZero() {
		return ""
	}
	return p.start.Ticket.Name + "@" + u.String()
}
