package raft

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"time"

	hraft "github.com/hashicorp/raft"

	"github.com/holdfast-storage/holdfast/volume"
)

// DialFunc opens a connection to another coordinator. The caller makes it authenticate both ends
// (mutual TLS), and fail when who answers is not want: the member that has the address by the latest configuration of
// the group, zero if none has. A vote of another would count as that member's.
type DialFunc func(ctx context.Context, addr string, want volume.NodeID) (net.Conn, error)

// streamLayer joins a listener and a dial function to what raft's network transport needs.
type streamLayer struct {
	net.Listener
	dial DialFunc
	addr net.Addr
	// whose returns the member that has an address; nil while the coordinator opens.
	whose atomic.Pointer[func(addr string) (volume.NodeID, error)]
}

// advertised is an address as other coordinators write it.
type advertised string

// Network returns "tcp".
func (advertised) Network() string { return "tcp" }

// String returns host:port.
func (a advertised) String() string { return string(a) }

// NewStreamLayer returns a stream layer that accepts on l and dials with dial. advertise is the
// host:port under which the other members reach this one; empty means the listener's own address.
// The listener is closed with the Coordinator.
func NewStreamLayer(l net.Listener, dial DialFunc, advertise string) hraft.StreamLayer {
	s := &streamLayer{Listener: l, dial: dial, addr: l.Addr()}
	if advertise != "" {
		s.addr = advertised(advertise)
	}
	return s
}

// Addr returns the address under which other members reach this one.
func (s *streamLayer) Addr() net.Addr { return s.addr }

// Dial opens a connection to another member within timeout.
func (s *streamLayer) Dial(address hraft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	whose := s.whose.Load()
	if whose == nil {
		return nil, errors.New("this coordinator is only starting")
	}
	want, err := (*whose)(string(address))
	if err != nil {
		return nil, err
	}
	return s.dial(ctx, string(address), want)
}
