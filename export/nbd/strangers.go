package nbd

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"time"
)

// complaintPause is how often clients that did not show who they are get into the log: anybody may be one.
const complaintPause = time.Second

// ServeTLS is Serve for a listener that others than the host can reach. Before anything else a client has to begin
// TLS (NBD_OPT_STARTTLS), and to get through a handshake by c, which is to demand and verify a certificate.
// c.VerifyConnection is asked again by Recheck.
func (s *Server) ServeTLS(l net.Listener, c *tls.Config) error {
	if c == nil || c.ClientAuth != tls.RequireAndVerifyClientCert || c.VerifyConnection == nil {
		return errors.Join(fmt.Errorf("NBD export %s: TLS that lets anybody in", s.o.Name), l.Close())
	}
	c = c.Clone()
	c.SessionTicketsDisabled = true // each connection shows anew who it is
	c.DynamicRecordSizingDisabled = true
	return s.serve(l, c)
}

// Recheck ends every connection whose client the VerifyConnection of its listener does not accept any more. Its
// requests in flight are done by the queue, but not answered.
func (s *Server) Recheck() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if c.secured == nil {
			continue // it is asked when it gets that far
		}
		if err := c.demand.VerifyConnection(c.secured.state); err != nil {
			c.log().Warn("NBD connection ended", "cause", err)
			c.abort()
		}
	}
}

// welcome takes up a connection whose client is not known; mu is held.
func (s *Server) welcome(c *conn) {
	s.strangers = append(s.strangers, c)
	if len(s.strangers) > s.o.Strangers {
		tooMany := s.oneTooMany()
		tooMany.abort()
		s.forget(tooMany)
	}
}

// oneTooMany returns the oldest stranger of the origin that has the most of them: whoever floods the port ends his own,
// and not the guests that come from elsewhere meanwhile. mu is held.
func (s *Server) oneTooMany() *conn {
	count := make(map[netip.Prefix]int, len(s.strangers))
	for _, c := range s.strangers {
		count[origin(c.socket.RemoteAddr())]++
	}
	most := s.strangers[0]
	for _, c := range s.strangers {
		if count[origin(c.socket.RemoteAddr())] > count[origin(most.socket.RemoteAddr())] {
			most = c
		}
	}
	return most
}

// originBits is how much of an IPv6 address one machine has to itself.
const originBits = 64

// origin is whom a connection may be counted for, the zero prefix if its address does not say.
func origin(a net.Addr) netip.Prefix {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	ip := tcp.AddrPort().Addr().Unmap().WithZone("")
	from, err := ip.Prefix(min(ip.BitLen(), originBits))
	if err != nil {
		return netip.Prefix{}
	}
	return from
}

// introduce makes a stranger a client: it has shown who it is.
func (s *Server) introduce(c *conn, by *secured) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Contains(s.strangers, c) {
		return net.ErrClosed // another one has taken its place
	}
	if s.full() {
		return fmt.Errorf("%d clients are connected, more are not served", s.o.Connections)
	}
	// Once more, since Recheck may have looked since the handshake did.
	if err := c.demand.VerifyConnection(by.state); err != nil {
		return err
	}
	s.forget(c)
	c.secured = by
	return nil
}

// forget takes a connection out of the strangers; mu is held.
func (s *Server) forget(c *conn) {
	s.strangers = slices.DeleteFunc(s.strangers, func(other *conn) bool { return other == c })
}

// complain logs why a connection ended.
func (s *Server) complain(c *conn, cause error) {
	s.mu.Lock()
	stranger := c.demand != nil && c.secured == nil
	silent := stranger && time.Since(s.complained) < complaintPause
	if stranger && !silent {
		s.complained = time.Now()
	}
	s.mu.Unlock()
	if !silent {
		c.log().Warn("NBD connection dropped", "cause", cause)
	}
}

// log returns a logger that says which connection it is about.
func (c *conn) log() *slog.Logger {
	log := c.server.log.With("export", c.server.o.Name)
	if c.demand == nil {
		return log // a unix socket has no names for its clients
	}
	return log.With("client", c.socket.RemoteAddr().String())
}
