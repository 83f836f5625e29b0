package devnet

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"sync"
	"time"
)

// frameBytesMax is the longest frame: 64 KiB of unsegmented data with its headers and the kernel's note.
const frameBytesMax = noteBytes + 18 + 65536

// NetworkBits says how much of the nodes' addresses is that of their network, which exists in their namespaces only.
const NetworkBits = 16

// Switch carries frames between its ports, one for each node. Its methods are safe for use by many goroutines. Close
// it.
type Switch struct {
	life    context.Context
	quit    context.CancelFunc
	running sync.WaitGroup

	keeping sync.Mutex // protects file, and a change of links until it is written; taken before the others
	file    string     // see KeepIn; empty if nothing is kept

	mu    sync.Mutex // protects what follows; taken after that of a pipe, never before
	ports map[string]*port
	pipes map[direction]*pipe
	byIP  map[netip.Addr]*port
}

type direction struct{ from, to string }

type port struct {
	name    string
	address netip.Addr
	plug    plug
}

// NewSwitch makes a switch without ports.
func NewSwitch() *Switch {
	s := &Switch{ports: map[string]*port{}, pipes: map[direction]*pipe{}, byIP: map[netip.Addr]*port{}}
	s.life, s.quit = context.WithCancel(context.Background())
	return s
}

// Close takes every port away and waits until nothing is carried any more.
func (s *Switch) Close() {
	s.quit()
	s.mu.Lock()
	for name := range s.ports {
		s.remove(name)
	}
	s.mu.Unlock()
	s.running.Wait()
}

// On gives a node a port and returns a file that names its network namespace. One that has a port keeps it. process,
// unless 0, is a process that is in the namespace of the port which a switch before this one had.
func (s *Switch) On(node string, address netip.Addr, process int) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.ports[node]; p != nil {
		if p.address != address {
			return "", fmt.Errorf("node %s has the address %s on its network, not %s", node, p.address, address)
		}
		return p.namespace(), nil
	}
	if other := s.byIP[address]; other != nil {
		return "", fmt.Errorf("node %s: the address %s is node %s's", node, address, other.name)
	}
	plug, err := newPlug(netip.PrefixFrom(address, NetworkBits), process)
	if err != nil {
		return "", fmt.Errorf("node %s: %w", node, err)
	}
	p := &port{name: node, address: address, plug: plug}
	s.ports[node], s.byIP[address] = p, p
	s.running.Go(func() { s.carry(p) })
	return p.namespace(), nil
}

// namespace names a file of this process, which others open through it.
func (p *port) namespace() string {
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), p.plug.namespace.Fd())
}

// Off takes a node's port away, as if the machine lost its power: from now on nobody hears of it, not even that its
// connections end. Without a port it does nothing.
func (s *Switch) Off(node string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(node)
}

func (s *Switch) remove(node string) {
	p := s.ports[node]
	if p == nil {
		return
	}
	delete(s.ports, node)
	delete(s.byIP, p.address)
	p.plug.close()
}

// carry reads the frames of a port until it is taken away.
func (s *Switch) carry(p *port) {
	frame := make([]byte, frameBytesMax)
	for {
		n, err := p.plug.frames.Read(frame)
		if err != nil {
			return // the port was closed
		}
		s.forward(p, frame[:n])
	}
}

func (s *Switch) forward(from *port, frame []byte) {
	if asked, ok := arpRequest(frame); ok {
		// Answered here, so that a direction that is open works while the other one is cut.
		s.mu.Lock()
		known := s.byIP[asked] != nil && asked != from.address
		s.mu.Unlock()
		if known {
			_, _ = from.plug.frames.Write(arpReply(frame, asked)) // a lost one is asked for again
		}
		return
	}
	to, ok := destination(frame)
	if !ok {
		return
	}
	pipe := s.pipeTo(from.name, to)
	if pipe != nil && pipe.send(frame, time.Now()) {
		s.running.Go(func() { pipe.drain(s.life) })
	}
}

// pipeTo returns the direction to whoever has an address, nil if nobody has.
func (s *Switch) pipeTo(from string, address netip.Addr) *pipe {
	s.mu.Lock()
	defer s.mu.Unlock()
	if to := s.byIP[address]; to != nil {
		return s.pipe(from, to.name)
	}
	return nil
}

// pipe returns a direction, which need not have ports yet.
func (s *Switch) pipe(from, to string) *pipe {
	d := direction{from, to}
	if s.pipes[d] == nil {
		s.pipes[d] = newPipe(from, to, func(frame []byte) {
			s.mu.Lock()
			p := s.ports[to]
			s.mu.Unlock()
			if p != nil {
				_, _ = p.plug.frames.Write(frame) // what a port does not take is lost, as on any network
			}
		})
	}
	return s.pipes[d]
}

// Set puts rules on the direction between two nodes.
func (s *Switch) Set(from, to string, r Rules) error {
	s.keeping.Lock()
	defer s.keeping.Unlock()
	if err := s.apply(from, to, r); err != nil {
		return err
	}
	return s.keep()
}

func (s *Switch) apply(from, to string, r Rules) error {
	if from == to {
		return errors.New("a node has no link to itself")
	}
	if err := r.Check(); err != nil {
		return err
	}
	s.mu.Lock()
	p := s.pipe(from, to)
	s.mu.Unlock()
	p.set(r)
	return nil
}

// Heal opens every direction from and to a node, or all of them if the name is empty.
func (s *Switch) Heal(node string) error {
	s.keeping.Lock()
	defer s.keeping.Unlock()
	for d, p := range s.allPipes() {
		if node == "" || d.from == node || d.to == node {
			p.set(Rules{})
		}
	}
	return s.keep()
}

// allPipes returns every direction, to be locked without s.mu: a pipe takes that when it delivers.
func (s *Switch) allPipes() map[direction]*pipe {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.pipes)
}

// Port is a node on the network.
type Port struct {
	Node      string     `json:"node"`
	Address   netip.Addr `json:"address"`
	Namespace string     `json:"namespace"` // a file to enter it by
}

// Link is a direction that does not pass everything on at once.
type Link struct {
	From  string `json:"from"`
	To    string `json:"to"`
	Rules Rules  `json:"rules"`
}

// Show returns the ports and what is not open, in no order.
func (s *Switch) Show() ([]Port, []Link) {
	ports, links := []Port{}, []Link{}
	s.mu.Lock()
	for _, p := range s.ports {
		ports = append(ports, Port{p.name, p.address, p.namespace()})
	}
	s.mu.Unlock()
	for d, p := range s.allPipes() {
		if r := p.get(); r != (Rules{}) {
			links = append(links, Link{d.from, d.to, r})
		}
	}
	return ports, links
}
