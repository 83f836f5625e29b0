package netio

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Conn is a connection whose reader, while messages come in quick succession, waits for the next one in the kernel,
// on its own thread. It is a net.Conn: one goroutine may read and one may write at a time, any may close it or set
// deadlines.
//
// The socket is not known to the runtime's poller, which would have a thread woken for every message although nobody
// asks it. What the poller knows is an epoll of the socket alone, which tells of data only when it was armed: that is
// what a reader waits for once nothing came for waitTime.
type Conn struct {
	socket        *os.File // not in the runtime's poller
	raw           syscall.RawConn
	bell          *os.File // the epoll; in the runtime's poller
	bellRaw       syscall.RawConn
	bellFD        int
	local, remote net.Addr
	waits         *Waits

	closed                      atomic.Bool
	began                       time.Time
	readDeadline, writeDeadline atomic.Int64 // nanoseconds after began, which no step of the clock moves; 0 = none

	read, ring func(fd uintptr) bool // bound once, so that a Read allocates nothing
	reading    reading
}

// reading is one Read under way.
type reading struct {
	p      []byte
	n      int
	err    error
	waited bool
	poll   [1]unix.PollFd
	events [1]unix.EpollEvent
	fresh  time.Time // when this goroutine was scheduled anew last
	tempo  tempo
}

// Direct makes a Conn of a socket, and returns what it is not able to take, as one with TLS, as it is; so it does with
// a nil waits. conn is not to be used any more. An error means that nothing is left of it.
func Direct(conn net.Conn, waits *Waits) (net.Conn, error) {
	if waits == nil {
		return conn, nil
	}
	switch conn.(type) {
	case *net.TCPConn, *net.UnixConn:
	default:
		return conn, nil
	}
	c := &Conn{local: conn.LocalAddr(), remote: conn.RemoteAddr(), waits: waits, began: time.Now()}
	fd, err := duplicate(conn.(syscall.Conn))
	err = errors.Join(err, conn.Close()) // with it the runtime's poller forgets the socket
	if err == nil {
		if c.local.Network() == "unix" {
			widen(fd)
		}
		err = c.take(fd)
	}
	if err != nil {
		return nil, fmt.Errorf("take over connection to %s: %w", c.remote, err)
	}
	return c, nil
}

// unixBytes is how much a unix socket takes before a writer has to wait: some long answers. The default, 208 KiB, holds
// one of 128 KiB. TCP finds its own size.
const unixBytes = 2 << 20

// widen lets a socket take more; a process that may not gets what the machine allows to all.
func widen(fd int) {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, unixBytes) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, unixBytes) // it is as wide as it was, then
	}
}

// duplicate returns another descriptor of a socket, -1 with an error.
func duplicate(conn syscall.Conn) (int, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return -1, err
	}
	fd, failed := -1, error(nil)
	err = raw.Control(func(old uintptr) { fd, failed = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) })
	return fd, errors.Join(err, failed)
}

// take makes the files. The descriptor is the Conn's, or closed if there is an error.
func (c *Conn) take(fd int) error {
	// A file of a descriptor that blocks is not given to the poller.
	if err := unix.SetNonblock(fd, false); err != nil {
		return errors.Join(err, unix.Close(fd))
	}
	c.socket = os.NewFile(uintptr(fd), "socket")
	err := unix.SetNonblock(fd, true)
	if err == nil {
		c.bellFD, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	}
	if err != nil {
		return errors.Join(err, c.socket.Close())
	}
	err = unix.SetNonblock(c.bellFD, true)
	c.bell = os.NewFile(uintptr(c.bellFD), "epoll")
	if err == nil {
		err = unix.EpollCtl(c.bellFD, unix.EPOLL_CTL_ADD, fd,
			&unix.EpollEvent{Events: unix.EPOLLONESHOT, Fd: int32(fd)})
	}
	if err == nil {
		c.raw, err = c.socket.SyscallConn()
	}
	if err == nil {
		c.bellRaw, err = c.bell.SyscallConn()
	}
	if err != nil {
		return errors.Join(err, c.bell.Close(), c.socket.Close())
	}
	c.read, c.ring = c.readOrWait, c.readOrArm
	return nil
}

// Read implements io.Reader.
func (c *Conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	r := &c.reading
	r.p, r.n, r.err, r.waited = p, 0, nil, false
	err := c.expired(&c.readDeadline)
	if err == nil {
		err = c.raw.Read(c.read)
	}
	switch {
	case err != nil:
	case r.n >= 0:
		r.tempo.flows()
	default:
		if r.waited {
			r.tempo.rests(time.Now())
		}
		if err = c.bellRaw.Read(c.ring); err == nil {
			r.tempo.rings(time.Now())
		}
	}
	r.p = nil
	if r.waited {
		if now := time.Now(); now.Sub(r.fresh) >= yieldTime {
			runtime.Gosched()
			r.fresh = now
		}
	}
	switch {
	case err != nil:
		return 0, c.failure(err)
	case r.err != nil:
		return 0, c.failure(r.err)
	case r.n == 0:
		return 0, c.failure(io.EOF) // it is ours if Close has shut the socket down
	}
	return r.n, nil
}

// readOrWait reads, and waits in the kernel for a while if there is nothing and messages come in quick succession. n is
// -1 if nothing came.
func (c *Conn) readOrWait(fd uintptr) bool {
	r := &c.reading
	if r.once(fd) || !r.tempo.quick || !c.waits.enter() {
		return true
	}
	r.poll[0] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
	n, err := unix.Poll(r.poll[:], int(waitTime.Milliseconds()))
	c.waits.leave()
	r.waited = true
	if n > 0 && err == nil {
		r.once(fd)
	}
	return true
}

// readOrArm reads, and arms the bell if there is nothing; then it reports false, and the runtime's poller waits.
func (c *Conn) readOrArm(bell uintptr) bool {
	r := &c.reading
	// What rang before is taken, which disarms it.
	_, _ = unix.EpollWait(int(bell), r.events[:], 0) // nothing to take is no news
	over := false
	err := c.raw.Read(func(fd uintptr) bool {
		if over = r.once(fd); over {
			return true
		}
		r.events[0] = unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLONESHOT, Fd: int32(fd)}
		if err := unix.EpollCtl(int(bell), unix.EPOLL_CTL_MOD, int(fd), &r.events[0]); err != nil {
			r.err, over = err, true
		}
		return true
	})
	if err != nil {
		r.err, over = c.failure(err), true
	}
	return over
}

// once reads what there is, and reports false if there is nothing; n is -1 then.
func (r *reading) once(fd uintptr) bool {
	for {
		r.n, r.err = unix.Read(int(fd), r.p)
		switch r.err {
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			r.n, r.err = -1, nil
			return false
		}
		return true
	}
}

// writeLook is how often a writer that waits for room looks whether its deadline has come, and crowdedLook how often
// one of too many looks whether there is room.
const (
	writeLook   = 50 * time.Millisecond
	crowdedLook = 20 * time.Millisecond
)

// Write implements io.Writer.
func (c *Conn) Write(p []byte) (int, error) {
	if err := c.expired(&c.writeDeadline); err != nil {
		return 0, err
	}
	done := 0
	for done < len(p) {
		n, failed := 0, error(nil)
		err := c.raw.Write(func(fd uintptr) bool {
			n, failed = unix.Write(int(fd), p[done:])
			return true
		})
		if err = errors.Join(err, failed); errors.Is(err, unix.EAGAIN) {
			n, err = 0, c.waitWritable()
		}
		if err != nil && !errors.Is(err, unix.EINTR) {
			return done, c.failure(err)
		}
		done += max(n, 0)
	}
	return done, nil
}

// waitWritable waits until there is room for more, or the deadline has come.
func (c *Conn) waitWritable() error {
	for {
		if err := c.expired(&c.writeDeadline); err != nil {
			return err
		}
		n, failed := 0, error(nil)
		wait := int(writeLook.Milliseconds())
		alone := c.waits.enterWrite()
		if !alone {
			wait = 0
		}
		err := c.raw.Control(func(fd uintptr) {
			n, failed = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, wait)
		})
		if alone {
			c.waits.leaveWrite()
		} else if n == 0 && err == nil {
			time.Sleep(crowdedLook)
		}
		switch {
		case err != nil:
			return c.failure(err)
		case n > 0 || failed != nil && failed != unix.EINTR:
			return failed // what is wrong with the socket, the write says
		}
	}
}

// expired returns os.ErrDeadlineExceeded if a deadline has come, and net.ErrClosed after Close.
func (c *Conn) expired(deadline *atomic.Int64) error {
	if c.closed.Load() {
		return net.ErrClosed
	}
	if at := deadline.Load(); at != 0 && int64(time.Since(c.began)) >= at {
		return os.ErrDeadlineExceeded
	}
	return nil
}

// failure makes what a file says of being closed what a connection says.
func (c *Conn) failure(err error) error {
	if c.closed.Load() || errors.Is(err, os.ErrClosed) {
		return net.ErrClosed
	}
	return err
}

// Close ends the connection and every Read and Write.
func (c *Conn) Close() error {
	if c.closed.Swap(true) {
		return net.ErrClosed
	}
	// Whoever waits in the kernel is woken by this; a peer that has gone is no news.
	_ = c.raw.Control(func(fd uintptr) { _ = unix.Shutdown(int(fd), unix.SHUT_RDWR) })
	return errors.Join(c.bell.Close(), c.socket.Close())
}

// SetLinger is that of net.TCPConn: with 0, Close drops what was not sent and resets the connection.
func (c *Conn) SetLinger(seconds int) error {
	linger := unix.Linger{Onoff: 1, Linger: int32(seconds)}
	if seconds < 0 {
		linger = unix.Linger{}
	}
	var failed error
	err := c.raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptLinger(int(fd), unix.SOL_SOCKET, unix.SO_LINGER, &linger)
	})
	return errors.Join(err, failed)
}

// SyscallConn implements syscall.Conn.
func (c *Conn) SyscallConn() (syscall.RawConn, error) { return c.raw, nil }

// LocalAddr returns this end's address.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr returns the peer's address.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline implements net.Conn.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline implements net.Conn. A Read under way notices within waitTime.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.readDeadline.Store(c.stamp(t))
	if err := c.bell.SetReadDeadline(t); err != nil {
		return c.failure(err)
	}
	return nil
}

// SetWriteDeadline implements net.Conn. A Write under way notices within writeLook, if it waits for room; so does a
// Sender's Finish. A Sender's Start does not wait and does not look.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.writeDeadline.Store(c.stamp(t))
	return nil
}

// stamp is a deadline as it is kept. One of the past stays one.
func (c *Conn) stamp(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	if after := int64(t.Sub(c.began)); after != 0 {
		return after
	}
	return -1
}
