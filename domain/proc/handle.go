package proc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Handle is a hold on one process: a pidfd. It is safe for use by many goroutines. The process need
// not be a child.
type Handle struct {
	id ID
	fd *os.File
}

// Open takes hold of exactly the process that id names. ErrGone means that it is not there.
func Open(id ID) (*Handle, error) {
	fd, err := unix.PidfdOpen(id.PID, unix.PIDFD_NONBLOCK)
	if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EINVAL) && id.PID <= 0 {
		return nil, fmt.Errorf("%s: %w", id, ErrGone)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: pidfd_open: %w", id, err)
	}
	h := &Handle{id: id, fd: os.NewFile(uintptr(fd), "pidfd")}
	// Only now is the number pinned: whoever has it at this moment is the one that the pidfd names,
	// or the named one has ended already and the number may be another's.
	now, err := Identify(id.PID)
	if err == nil && now != id {
		err = fmt.Errorf("%s: %w", id, ErrGone)
	}
	if err != nil {
		h.Close()
		return nil, err
	}
	return h, nil
}

// ID returns the identity of the process.
func (h *Handle) ID() ID { return h.id }

// Signal sends a signal to the process. ErrGone means that it has ended.
func (h *Handle) Signal(sig syscall.Signal) error {
	var sent error
	raw, err := h.fd.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) { sent = unix.PidfdSendSignal(int(fd), sig, nil, 0) })
	}
	if err = errors.Join(err, sent); errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("%s: %w", h.id, ErrGone)
	}
	if err != nil {
		return fmt.Errorf("%s: send signal %d: %w", h.id, sig, err)
	}
	return nil
}

// Wait blocks until the process has ended, with nil, or until ctx has, with its error. It does not
// reap: a parent still has to. Only one goroutine may wait on one Handle at a time.
func (h *Handle) Wait(ctx context.Context) error {
	if err := h.fd.SetReadDeadline(time.Time{}); err != nil {
		return fmt.Errorf("%s: wait: %w", h.id, err)
	}
	interrupt := context.AfterFunc(ctx, func() { _ = h.fd.SetReadDeadline(time.Unix(1, 0)) })
	defer interrupt()
	raw, err := h.fd.SyscallConn()
	if err != nil {
		return fmt.Errorf("%s: wait: %w", h.id, err)
	}
	err = raw.Read(func(fd uintptr) bool { return ended(int(fd)) })
	if ctx.Err() != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		return ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("%s: wait: %w", h.id, err)
	}
	return nil
}

// ended asks the pidfd whether its process has ended: it becomes readable then.
func ended(fd int) bool {
	poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(poll, 0)
		if !errors.Is(err, unix.EINTR) {
			return err == nil && n == 1
		}
	}
}

// Close lets go of the process. It goes on running.
func (h *Handle) Close() { _ = h.fd.Close() }
