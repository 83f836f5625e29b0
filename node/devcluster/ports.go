package devcluster

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// The ports of a local cluster lie below those that Linux gives to outgoing connections (32768 and up, unless
// somebody changed that): one that is free now is not taken by the next connection of anybody.
const (
	firstPort = 10240
	endPort   = 32768
	portTries = 1000
)

// freePorts returns n loopback addresses that nobody listens on now, none of them taken. All are held open until
// the last one is known, so that they differ.
func freePorts(n int, taken func(address string) bool) ([]string, error) {
	addresses := make([]string, 0, n)
	var held []net.Listener
	last := errors.New("all that were tried are taken")
	for range portTries {
		if len(addresses) == n {
			break
		}
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(firstPort+rand.IntN(endPort-firstPort)))
		if taken(address) {
			continue
		}
		l, err := net.Listen("tcp", address)
		if err != nil {
			last = err
			continue
		}
		held = append(held, l)
		addresses = append(addresses, address)
	}
	var failed error
	if len(addresses) < n {
		failed = fmt.Errorf("find %d free ports from %d to %d: %w", n, firstPort, endPort-1, last)
	}
	for _, l := range held {
		failed = errors.Join(failed, l.Close())
	}
	return addresses, failed
}
