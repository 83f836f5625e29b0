// Package libvirtd speaks to the libvirt daemon of this host, over its unix socket.
//
//	connect ──▶ open the URI ──▶ one call about one domain ── answer ──▶ close
//
// Each call has a connection of its own, so that nothing has to be kept over a restart of either daemon. Domains are
// transient: libvirt forgets them when they end, and starts none by itself.
package libvirtd

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/digitalocean/go-libvirt"
	"github.com/digitalocean/go-libvirt/socket/dialers"
)

// Daemon says where a libvirt daemon is. It is a value; its methods may be called by many goroutines, and block until
// the daemon has answered or their context ends.
type Daemon struct {
	Socket string // path
	URI    string // of its driver, as in qemu:///system
}

// The errors that callers test for.
var (
	// ErrNoDomain means that the daemon knows no domain of that name.
	ErrNoDomain = errors.New("libvirt knows no such domain")
	// ErrRefused means that the daemon answered, and the answer was no.
	ErrRefused = errors.New("libvirt refuses")
)

// Create starts a transient domain from its XML. Libvirt has no two domains of one name. An error that is not
// ErrRefused leaves open whether it runs, or will.
func (d Daemon) Create(ctx context.Context, xml string) error {
	return d.call(ctx, "create", func(l *libvirt.Libvirt) error {
		_, err := l.DomainCreateXML(xml, libvirt.DomainNone)
		return err
	})
}

// Remove ends the domain of a name at once, if there is one and mine says of its XML that it may.
func (d Daemon) Remove(ctx context.Context, name string, mine func(xml string) bool) error {
	err := d.about(ctx, "remove", name, func(l *libvirt.Libvirt, dom libvirt.Domain) error {
		xml, err := l.DomainGetXMLDesc(dom, 0)
		if err != nil {
			return err
		}
		if !mine(xml) {
			return fmt.Errorf("%w: there is another domain of the name %s, which is not the cluster's: undefine it, "+
				"or name this one differently", ErrRefused, name)
		}
		return l.DomainDestroyFlags(dom, libvirt.DomainDestroyDefault)
	})
	if errors.Is(err, ErrNoDomain) {
		return nil
	}
	return err
}

// PowerDown presses a domain's power button. It is an error if the domain does not run, since a guest that is halted
// cannot notice.
func (d Daemon) PowerDown(ctx context.Context, name string) error {
	return d.about(ctx, "shutdown", name, func(l *libvirt.Libvirt, dom libvirt.Domain) error {
		state, _, err := l.DomainGetState(dom, 0)
		if err != nil {
			return err
		}
		if s := libvirt.DomainState(state); s != libvirt.DomainRunning {
			return fmt.Errorf("it does not run: libvirt says that it is in state %d", s)
		}
		return l.DomainShutdownFlags(dom, libvirt.DomainShutdownAcpiPowerBtn)
	})
}

// Quit has the domain's process end in order: what it was told to flush it flushes.
func (d Daemon) Quit(ctx context.Context, name string) error {
	return d.about(ctx, "destroy", name, func(l *libvirt.Libvirt, dom libvirt.Domain) error {
		return l.DomainDestroyFlags(dom, libvirt.DomainDestroyGraceful)
	})
}

// Suspend halts a domain where it is. Its clock stands still until Resume. One that is halted stays so.
func (d Daemon) Suspend(ctx context.Context, name string) error {
	return d.about(ctx, "suspend", name, (*libvirt.Libvirt).DomainSuspend)
}

// Resume lets a domain go on that was halted. One that runs is left as it is, which libvirt itself refuses.
func (d Daemon) Resume(ctx context.Context, name string) error {
	return d.about(ctx, "resume", name, func(l *libvirt.Libvirt, dom libvirt.Domain) error {
		state, _, err := l.DomainGetState(dom, 0)
		if err != nil || libvirt.DomainState(state) == libvirt.DomainRunning {
			return err
		}
		return l.DomainResume(dom)
	})
}

// about does something with the domain of a name.
func (d Daemon) about(ctx context.Context, what, name string, do func(*libvirt.Libvirt, libvirt.Domain) error) error {
	return d.call(ctx, what, func(l *libvirt.Libvirt) error {
		dom, err := l.DomainLookupByName(name)
		if err == nil {
			err = do(l, dom)
		}
		if libvirt.IsNotFound(err) { // also when it ended in between
			return fmt.Errorf("%w: %s", ErrNoDomain, name)
		}
		return err
	})
}

func (d Daemon) call(ctx context.Context, what string, do func(*libvirt.Libvirt) error) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", d.Socket)
	if err == nil {
		err = d.session(ctx, conn, do)
	}
	var refused libvirt.Error
	switch {
	case errors.As(err, &refused):
		err = fmt.Errorf("%w: %w", ErrRefused, err)
	case err != nil && ctx.Err() != nil:
		err = ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("libvirt at %s: %s: %w", d.Socket, what, err)
	}
	return nil
}

func (d Daemon) session(ctx context.Context, conn net.Conn, do func(*libvirt.Libvirt) error) error {
	defer conn.Close()
	// A daemon that hangs takes the connection but never answers. It is closed, since the library's reader goes on
	// after a deadline.
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	l := libvirt.NewWithDialer(dialers.NewAlreadyConnected(conn))
	if err := l.ConnectToURI(libvirt.ConnectURI(d.URI)); err != nil {
		return fmt.Errorf("open %s: %w", d.URI, err)
	}
	err := do(l)
	return errors.Join(err, ignoreEnd(ctx, l.Disconnect()))
}

// ignoreEnd is what is left to say of a connection that was cut because its time was over.
func ignoreEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}
