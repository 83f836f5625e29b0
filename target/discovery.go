package target

import (
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/holdfast-storage/holdfast/iscsi"
)

// textExchange is the text exchange of a connection in full feature phase; there is one at a time.
type textExchange struct {
	buf  iscsi.TextBuffer
	rest []byte // of an answer that did not fit into one PDU
	ttt  uint32 // that the initiator asks for the rest with
}

// handleText takes a Text Request: SendTargets, or the wish for the rest of an answer.
func (c *conn) handleText() error {
	req, err := iscsi.ParseTextRequest(&c.header)
	if err != nil {
		return c.rejectAndEnd(iscsi.RejectProtocolError, "%w", err)
	}
	if taken, err := c.accept(); !taken {
		return err
	}
	data := make([]byte, c.header.DataLen())
	if err := c.reader.ReadData(data); err != nil {
		return err
	}
	x := &c.text
	switch {
	case req.TTT == iscsi.ReservedTag:
		x.rest = nil // a new exchange drops an old one
	case len(x.rest) > 0 && req.TTT == x.ttt && len(data) == 0:
		c.sendText(req)
		return nil
	}
	if err := x.buf.Add(data); err != nil {
		return c.rejectAndEnd(iscsi.RejectOutOfResources, "%w", err)
	}
	if req.Continue {
		c.sendText(req)
		return nil
	}
	pairs, err := x.buf.Take()
	if err != nil {
		return c.rejectAndEnd(iscsi.RejectProtocolError, "%w", err)
	}
	var answer []iscsi.KeyValue
	for _, p := range pairs {
		if p.Key == iscsi.KeySendTargets {
			answer = append(answer, c.sendTargets(p.Value)...)
		} else {
			answer = append(answer, iscsi.KeyValue{Key: p.Key, Value: iscsi.NotUnderstood})
		}
	}
	x.rest = iscsi.AppendText(nil, answer...)
	c.sendText(req)
	return nil
}

// sendText sends the next part of the answer, empty while the request goes on.
func (c *conn) sendText(req iscsi.TextRequest) {
	x := &c.text
	n := min(len(x.rest), int(c.session.params.MaxSendDataSegmentLength))
	part := x.rest[:n]
	x.rest = x.rest[n:]
	resp := iscsi.TextResponse{LUN: req.LUN, ITT: req.ITT, TTT: iscsi.ReservedTag}
	resp.Final = !req.Continue && len(x.rest) == 0
	resp.Continue = len(x.rest) > 0
	if !resp.Final {
		x.ttt++
		if x.ttt == iscsi.ReservedTag {
			x.ttt = 0
		}
		resp.TTT = x.ttt
	}
	var h iscsi.BHS
	resp.Encode(&h)
	c.mu.Lock()
	c.post(&h, part)
	c.mu.Unlock()
}

// sendTargets answers SendTargets (RFC 7143 appendix C): All in a discovery session, one name, or
// nothing for the target of a normal session. What the Admission hides does not exist.
func (c *conn) sendTargets(which string) []iscsi.KeyValue {
	s := c.session
	var names []string
	for _, name := range c.server.opts.Admission.Targets(s.key.initiator) {
		switch {
		case which == "All" && s.discovery, which == name:
			names = append(names, name)
		case which == "" && !s.discovery && name == s.key.target:
			names = append(names, name)
		}
	}
	addresses := portalAddresses(c.raw.LocalAddr(), c.server.portals())
	var pairs []iscsi.KeyValue
	for _, name := range names {
		pairs = append(pairs, iscsi.KeyValue{Key: iscsi.KeyTargetName, Value: name})
		for _, address := range addresses {
			pairs = append(pairs, iscsi.KeyValue{Key: iscsi.KeyTargetAddress, Value: address})
		}
	}
	return pairs
}

// portals returns the addresses of all listeners, in the order of their text.
func (s *Server) portals() []net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []net.Addr
	for l := range s.listeners {
		all = append(all, l.Addr())
	}
	slices.SortFunc(all, func(a, b net.Addr) int { return strings.Compare(a.String(), b.String()) })
	return all
}

// portalAddresses returns the values of TargetAddress: first the portal as the initiator reached it, which is
// one that it can reach, then every other one. A listener for every address of the host stands for the
// address that the initiator came by, if that is of its kind. A loopback portal is told to nobody who came by
// another address: there it would be the initiator's own host.
func portalAddresses(local net.Addr, portals []net.Addr) []string {
	addresses := []string{portalAddress(local)}
	here, ok := local.(*net.TCPAddr)
	if !ok {
		return addresses
	}
	for _, p := range portals {
		portal, ok := p.(*net.TCPAddr)
		if !ok || portal.IP.IsLoopback() && !here.IP.IsLoopback() {
			continue
		}
		at := *portal
		if len(at.IP) == 0 || at.IP.IsUnspecified() {
			if at.IP.To4() != nil && here.IP.To4() == nil {
				continue // IPv4 only
			}
			at.IP = here.IP
		}
		if text := portalAddress(&at); !slices.Contains(addresses, text) {
			addresses = append(addresses, text)
		}
	}
	return addresses
}

// portalAddress is host, port and portal group (RFC 7143 §13.8). A zone means something on one host only.
func portalAddress(a net.Addr) string {
	if tcp, ok := a.(*net.TCPAddr); ok && tcp.Zone != "" {
		a = &net.TCPAddr{IP: tcp.IP, Port: tcp.Port}
	}
	return fmt.Sprintf("%s,%d", a, portalGroup)
}
