package devcluster

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
)

// The ports of a local cluster lie below those that Linux gives to outgoing connections (32768 and up, unless
// somebody changed that): one that is free now is not taken by the next connection of anybody.
const (
	firstPort = 10240
	endPort   = 32768
)

// portBlock is how many ports in a row a cluster takes at a time. Nobody listens on those of a node that is down, and
// another cluster must not get them meanwhile: it keeps away from a block in which anybody listens.
const portBlock = 64

// freePorts returns n loopback addresses that nobody listens on now, for a cluster that has the addresses own: of its
// latest block, or if that is full of one of which nobody uses anything. Whether one is free shows by listen.
func freePorts(n int, own []string, listen func(address string) (io.Closer, error)) ([]string, error) {
	mine := make(map[string]bool, len(own))
	for _, address := range own {
		mine[address] = true
	}
	if len(own) > 0 {
		if port := portOf(own[len(own)-1]); port >= firstPort && port < endPort {
			if free, _ := freeOf(port-(port-firstPort)%portBlock, mine, listen); len(free) >= n {
				return free[:n], nil
			}
		}
	}
	last := errors.New("this cluster has them all")
	for _, i := range rand.Perm((endPort - firstPort) / portBlock) {
		free, err := freeOf(firstPort+i*portBlock, mine, listen)
		if len(free) == portBlock {
			return free[:n], nil
		}
		if err != nil {
			last = err
		}
	}
	return nil, fmt.Errorf("find %d ports in a row from %d to %d of which nobody uses any: %w", portBlock, firstPort,
		endPort-1, last)
}

// freeOf returns those addresses of a block that are nobody's, and why one is somebody else's. All are held open until
// the last one is known.
func freeOf(block int, own map[string]bool, listen func(string) (io.Closer, error)) (free []string, taken error) {
	for port := block; port < block+portBlock; port++ {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		if own[address] {
			continue
		}
		l, err := listen(address)
		if err != nil {
			taken = err
			continue
		}
		defer l.Close()
		free = append(free, address)
	}
	return free, taken
}

// listenTCP takes an address until it is closed.
func listenTCP(address string) (io.Closer, error) { return net.Listen("tcp", address) }

// portOf returns the port of an address, zero if it has none.
func portOf(address string) int {
	_, text, _ := net.SplitHostPort(address)
	port, _ := strconv.Atoi(text) // an address without one is in no block
	return port
}
