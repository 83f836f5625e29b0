package engine

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/scsi"
	"github.com/holdfast-storage/holdfast/target"
	"github.com/holdfast-storage/holdfast/target/static"
	"github.com/holdfast-storage/holdfast/volume"
)

// The bounds of a volume's iSCSI export. An engine serves one volume to a handful of hosts.
const (
	iscsiConnections = 64
	iscsiLogins      = 16
	iscsiWorkers     = 64       // of one session: so many requests of a guest are under way at once
	iscsiMemory      = 64 << 20 // of data of all connections, beyond what each has
	// iscsiFarewell is for how long a detach waits for initiators that it asked to log out.
	iscsiFarewell = time.Second
)

// iscsiFrontend is iSCSI through our own target: one target, whose LUN 0 is the volume. What the guest is told of its
// disk is what NBD tells: SYNCHRONIZE CACHE is a flush, FUA is honoured, and the write cache that it sees is that of
// the volume's durability.
//
// There are no reservations. Those that guests make would have to hold for whichever engine serves the volume next, on
// whatever host, and a reservation that is silently gone is worse than none.
type iscsiFrontend struct {
	*target.Server
	name string
}

func (p *process) newISCSI(s volume.ExportSetting) (*iscsiFrontend, error) {
	ticket := &p.start.Ticket
	disk, err := scsi.New(block.Blocking(p.meter, p.set.Limits(), nil), scsi.Options{
		ProductID: "VOLUME", Serial: ticket.Volume.String(), NAA: scsi.LocalNAA(ticket.Volume.UUID[:]),
		Volume: true,
	})
	if err != nil {
		return nil, err
	}
	f := &iscsiFrontend{name: volume.ExportTarget(ticket.Volume, p.unbroken())}
	served := static.Target{Name: f.name, LUNs: map[uint64]scsi.LogicalUnit{0: disk}}
	if s.Secret != "" {
		served.Credentials = target.Credentials{User: ticket.Name, Secret: string(s.Secret)}
	}
	admission, err := static.NewAdmission(served)
	if err != nil {
		return nil, err
	}
	f.Server, err = target.New(target.Options{Admission: admission, Logger: p.log, Waits: p.waits,
		MaxConnections: iscsiConnections, MaxLogins: iscsiLogins, Workers: iscsiWorkers, MemoryBytes: iscsiMemory,
		Farewell: iscsiFarewell})
	return f, err
}

// unbroken returns the attachment that names what a guest may go on with. While the coordinators do not say, it is
// this one: then nobody goes on by himself after it. It is for exports that have no other name, since initiators log in
// again by whatever name they know; boundName is for those that have one, and offer none for that long.
func (p *process) unbroken() volume.AttachID {
	if u := p.authority.unbroken.Load(); u != nil && !u.IsZero() {
		return *u
	}
	return p.start.Ticket.AttachID
}

// Serve answers until the frontend is shut down or closed, and none of its commands runs any more.
func (f *iscsiFrontend) Serve(l net.Listener) error {
	err := f.Server.Serve(l)
	if err != nil {
		err = errors.Join(err, f.Close())
	}
	f.Wait()
	return err
}

// offer says how initiators reach the volume. A socket for all addresses is offered by the host's name.
func (f *iscsiFrontend) offer(at net.Addr) volume.Offer {
	portal := at.String()
	if tcp, ok := at.(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		if name, err := os.Hostname(); err == nil {
			portal = net.JoinHostPort(name, strconv.Itoa(tcp.Port))
		}
	}
	url := fmt.Sprintf("iscsi://%s/%s/0", portal, f.name)
	return volume.Offer{Type: string(volume.ExportISCSI), URL: url, BoundURL: url}
}
