package devcluster

import (
	"errors"
	"fmt"
	"net"
)

// freePorts returns n loopback addresses that nobody listens on now. All are held open until the
// last one is known, so that they differ.
func freePorts(n int) ([]string, error) {
	addresses := make([]string, 0, n)
	var held []net.Listener
	var failed error
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			failed = fmt.Errorf("find a free port: %w", err)
			break
		}
		held = append(held, l)
		addresses = append(addresses, l.Addr().String())
	}
	for _, l := range held {
		failed = errors.Join(failed, l.Close())
	}
	return addresses, failed
}
