package netio

import (
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// vectorsMax is how many pieces one system call takes (IOV_MAX).
const vectorsMax = 1024

// Sender writes messages to one connection, one after the other. It is for one goroutine at a time, which may change
// between its methods. It allocates nothing once it has seen as many pieces as a message has.
type Sender struct {
	conn net.Conn
	raw  syscall.RawConn // nil if the connection is none of the kernel's, as one with TLS
	all  net.Buffers     // the pieces of the message; what is written of it is nil
	rest net.Buffers     // the end of it that is not written
	iov  []unix.Iovec
	once func(fd uintptr) bool
	n    int
	err  error
}

// NewSender returns a sender on a connection, which stays the caller's. Nobody else may write to it.
func NewSender(conn net.Conn) *Sender {
	s := &Sender{conn: conn}
	if c, ok := conn.(syscall.Conn); ok {
		if raw, err := c.SyscallConn(); err == nil {
			s.raw = raw
		}
	}
	s.once = s.write
	return s
}

// Start begins to write a message and does not wait. done says that all of it is written; if it is not, Finish
// writes the rest. The message's pieces must stay as they are until it is; the slice of them is the caller's again.
func (s *Sender) Start(message [][]byte) (done bool, err error) {
	s.all = append(s.all[:0], message...)
	s.rest = s.all
	if s.raw != nil {
		err = s.push()
	}
	return err == nil && len(s.rest) == 0, err
}

// push writes what the socket has room for.
func (s *Sender) push() error {
	for len(s.rest) > 0 {
		s.n, s.err = 0, nil
		err := s.raw.Write(s.once)
		if err == nil {
			err = s.err
		}
		switch {
		case err == unix.EAGAIN:
			return nil
		case errors.Is(err, os.ErrClosed):
			return net.ErrClosed
		case err != nil:
			return err
		}
		s.rest = consume(s.rest, s.n)
	}
	return nil
}

// Finish writes what Start left, and waits for room as long as that takes.
func (s *Sender) Finish() error {
	c, direct := s.conn.(*Conn)
	for direct && len(s.rest) > 0 {
		err := c.waitWritable()
		if err == nil {
			err = s.push()
		}
		if err != nil {
			return err
		}
	}
	_, err := s.rest.WriteTo(s.conn)
	clear(s.all)
	return err
}

// write is one try; the runtime's poller is not waited for.
func (s *Sender) write(fd uintptr) bool {
	s.iov = s.iov[:0]
	for _, piece := range s.rest[:min(len(s.rest), vectorsMax)] {
		if len(piece) == 0 {
			continue
		}
		v := unix.Iovec{Base: &piece[0]}
		v.SetLen(len(piece))
		s.iov = append(s.iov, v)
	}
	if len(s.iov) == 0 {
		s.n = 0
		return true
	}
	n, _, errno := unix.Syscall(unix.SYS_WRITEV, fd, uintptr(unsafe.Pointer(&s.iov[0])), uintptr(len(s.iov)))
	runtime.KeepAlive(s.rest)
	clear(s.iov)
	switch {
	case errno == unix.EINTR: // nothing was written: the next try
	case errno != 0:
		s.err = errno
	case n == 0:
		s.err = io.ErrUnexpectedEOF
	default:
		s.n = int(n)
	}
	return true
}

// consume takes n bytes, and pieces that are empty, off the front of a list. Empty slots keep nothing alive.
func consume(list net.Buffers, n int) net.Buffers {
	i := 0
	for i < len(list) && n >= len(list[i]) {
		n -= len(list[i])
		list[i] = nil
		i++
	}
	if i < len(list) {
		list[i] = list[i][n:]
	}
	return list[i:]
}
