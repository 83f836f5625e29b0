package engine

import (
	"errors"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// unackedTimeout is how long sent data may stay unacknowledged by the other kernel before the
// connection is lost. A node that is only slow acknowledges: its disk has other deadlines.
const unackedTimeout = 3 * time.Second

// setUserTimeout is a net.Dialer's Control.
func setUserTimeout(_, _ string, raw syscall.RawConn) error {
	var failed error
	err := raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT,
			int(unackedTimeout.Milliseconds()))
	})
	return errors.Join(err, failed)
}
