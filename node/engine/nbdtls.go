package engine

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/holdfast-storage/holdfast/export/nbd"
	"github.com/holdfast-storage/holdfast/node/identity"
	"github.com/holdfast-storage/holdfast/volume"
)

// nbdTLSFrontend is NBD on a TCP port, for guests on other machines.
type nbdTLSFrontend struct {
	*nbd.Server
	identity    *identity.Identity
	guests      *guests
	host        string // by which guests reach the port; the node's certificate names it
	name, bound string
}

func (p *process) newNBDTLS(s volume.ExportSetting) (*nbdTLSFrontend, error) {
	host, err := guestHost(p.identity.Certificate(), s.Address)
	if err != nil {
		return nil, err
	}
	server, name, bound, err := p.nbdServer()
	if err != nil {
		return nil, err
	}
	return &nbdTLSFrontend{Server: server, identity: p.identity, guests: p.guests, host: host, name: name,
		bound: bound}, nil
}

// Serve implements frontend.
func (f *nbdTLSFrontend) Serve(l net.Listener) error {
	defer f.guests.watch(f.Server)()
	return f.ServeTLS(l, f.identity.GuestTLS(f.guests.admit))
}

// offer implements frontend.
func (f *nbdTLSFrontend) offer(at net.Addr) volume.Offer {
	where := f.host
	if tcp, ok := at.(*net.TCPAddr); ok {
		where = net.JoinHostPort(f.host, strconv.Itoa(tcp.Port))
	}
	o := volume.Offer{Type: string(volume.ExportNBDTLS), URL: nbd.Address{Host: where, Name: f.name}.String()}
	if f.bound != "" {
		o.BoundURL = nbd.Address{Host: where, Name: f.bound}.String()
	}
	return o
}

// guestHost returns the name by which guests reach who listens at an address and shows a certificate. They believe no
// other than one that the certificate names.
func guestHost(cert *x509.Certificate, address string) (string, error) {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return "", fmt.Errorf("address %q: %w", address, err)
	}
	ip := at.Addr().Unmap()
	if !ip.IsUnspecified() {
		if cert.VerifyHostname(ip.String()) != nil {
			return "", fmt.Errorf("the certificate of this node does not name %s, so that no guest would believe it: "+
				"choose one of its addresses (%s), or listen on all of them", ip,
				strings.Join(identity.HostsOf(cert), ", "))
		}
		return ip.String(), nil
	}
	loopback := ""
	for _, own := range cert.IPAddresses {
		own, ok := netip.AddrFromSlice(own)
		own = own.Unmap()
		switch {
		case !ok || ip.Is4() != own.Is4() && ip.Is4():
		case !own.IsLoopback():
			return own.String(), nil
		case loopback == "":
			loopback = own.String()
		}
	}
	// The first two are the node's own name, which need not be known elsewhere, and localhost.
	if len(cert.DNSNames) > 2 {
		return cert.DNSNames[2], nil
	}
	if loopback == "" {
		return "", errors.New("the certificate of this node names no address")
	}
	return loopback, nil
}
