package devnet

import (
	"bytes"
	"net"
	"net/netip"
)

// A frame on a port begins with the kernel's note about it (virtio_net_hdr): what of its checksum and segmentation is
// left undone. It is passed on unread.
const noteBytes = 10

const (
	ethernetBytes = 14
	arpBytes      = ethernetBytes + 28
	macBytes      = 6
)

// macOf is the hardware address of the port with an IPv4 address: locally administered, and the address itself.
func macOf(a netip.Addr) net.HardwareAddr {
	ip := a.As4()
	return append(net.HardwareAddr{0x02, 0x68}, ip[:]...)
}

// destination returns the address whose port a frame goes to. Frames to everybody or nobody go nowhere: nodes need
// none of them but requests of ARP, which the switch answers itself.
func destination(frame []byte) (netip.Addr, bool) {
	if len(frame) < noteBytes+ethernetBytes {
		return netip.Addr{}, false
	}
	mac := frame[noteBytes : noteBytes+macBytes]
	if mac[0] != 0x02 || mac[1] != 0x68 {
		return netip.Addr{}, false
	}
	return netip.AddrFrom4([4]byte(mac[2:])), true
}

// arpRequest returns whom a frame asks for.
func arpRequest(frame []byte) (netip.Addr, bool) {
	if len(frame) < noteBytes+arpBytes {
		return netip.Addr{}, false
	}
	p := frame[noteBytes:]
	// EtherType ARP, hardware Ethernet, protocol IPv4, lengths 6 and 4, operation request (RFC 826).
	if !bytes.Equal(p[12:22], []byte{0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1}) {
		return netip.Addr{}, false
	}
	return netip.AddrFrom4([4]byte(p[38:42])), true
}

// arpReply answers a request: the one who was asked for has its own hardware address.
func arpReply(request []byte, asked netip.Addr) []byte {
	p := request[noteBytes:]
	mac, ip := macOf(asked), asked.As4()
	reply := make([]byte, noteBytes, noteBytes+arpBytes)
	reply = append(append(reply, p[6:12]...), mac...)
	reply = append(reply, 0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 2)
	reply = append(append(reply, mac...), ip[:]...)
	return append(reply, p[22:32]...) // the asker's two addresses
}
