package domain

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/holdfast-storage/holdfast/domain/guest"
	"github.com/holdfast-storage/holdfast/domain/libvirtd"
	"github.com/holdfast-storage/holdfast/domain/proc"
)

// DriverLibvirt is the name of the libvirt driver in definitions.
const DriverLibvirt = "libvirt"

func libvirtKind() Kind {
	return Kind{
		Word: DriverLibvirt,
		Check: func(d guest.Definition) error {
			if _, err := libvirtSettingsOf(d); err != nil {
				return err
			}
			_, err := diskOrder(d)
			return err
		},
		New: NewLibvirt,
	}
}

// NewLibvirt returns the driver that has the host's libvirt daemon run a guest, as a transient domain: libvirt starts
// none by itself after a crash or a restart of the host, which is the coordinators' to decide. Its disks are the
// exports of its volumes, its first serial line is at ConsoleSocket and kept in ConsoleLog. It is asked to end by the
// power button, then told to quit, then killed.
//
// The guest is found by a variable in its process's environment, as any guest that is a process of this host, and that
// process is what is watched and killed: a libvirt daemon that is away, or hangs, keeps no guest alive.
func NewLibvirt(o Options) Driver {
	return &libvirtDriver{newLocal(o, program{word: DriverLibvirt, launch: libvirtLaunch, ask: libvirtPowerDown,
		quit: libvirtQuit, hold: libvirtHold})}
}

// How long libvirt may take.
const (
	libvirtStart  = time.Minute     // to start a guest
	libvirtAnswer = 5 * time.Second // to answer any other call
)

type libvirtDriver struct{ *localDriver }

// libvirtProcess is one run of a libvirt guest.
type libvirtProcess struct{ *localProcess }

func (d *libvirtDriver) Start(ctx context.Context, o Order) (Process, error) {
	p, err := d.start(ctx, o)
	if err != nil {
		return nil, err
	}
	return &libvirtProcess{p}, nil
}

func (d *libvirtDriver) Adopt(_ context.Context, dir string) (Process, error) {
	p, err := d.adopt(dir)
	if err != nil {
		return nil, err
	}
	return &libvirtProcess{p}, nil
}

// Console cannot tell whether somebody else is there: then it is mute until that one leaves.
func (p *libvirtProcess) Console(ctx context.Context) (net.Conn, error) {
	return dialConsole(ctx, p.Order())
}

// libvirtLaunch has libvirt start a guest, and finds its process.
func libvirtLaunch(ctx context.Context, r record) (proc.ID, error) {
	s, err := libvirtSettingsOf(r.Order.definition())
	if err != nil {
		return proc.ID{}, err
	}
	xml, err := libvirtXML(r.Order, s, r.Token)
	if err != nil {
		return proc.ID{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, libvirtStart)
	defer cancel()
	// A start that was given up, because libvirt did not answer, may have come about since.
	err = s.daemon().Remove(ctx, r.Order.Name, func(xml string) bool { return libvirtIsOurs(xml, r.Order, s) })
	if err != nil {
		return proc.ID{}, err
	}
	switch err := s.daemon().Create(ctx, xml); {
	case errors.Is(err, libvirtd.ErrRefused):
		return proc.ID{}, err
	case err != nil:
		return proc.ID{}, fmt.Errorf("%w: %w", errUnsettled, err)
	}
	found, err := r.leftovers()
	switch {
	case err != nil:
		return proc.ID{}, err
	case len(found) != 1:
		return proc.ID{}, fmt.Errorf("libvirt says that it started the guest, and %d processes have its token",
			len(found))
	}
	return found[0], nil
}

// libvirtCall does something with the domain of a run, within the time that libvirt may take.
func libvirtCall(ctx context.Context, p *localProcess,
	do func(libvirtd.Daemon, context.Context, string) error) error {
	o := p.Order()
	s, err := libvirtSettingsOf(o.definition())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, libvirtAnswer)
	defer cancel()
	return do(s.daemon(), ctx, o.Name)
}

func libvirtPowerDown(ctx context.Context, p *localProcess) error {
	return libvirtCall(ctx, p, libvirtd.Daemon.PowerDown)
}

// libvirtQuit reports whether the guest's process has ended.
func libvirtQuit(ctx context.Context, p *localProcess) bool {
	if err := libvirtCall(ctx, p, libvirtd.Daemon.Quit); err != nil && !errors.Is(err, libvirtd.ErrNoDomain) {
		p.logger.Warn("the guest does not quit, so it is killed", "domain", p.Order().Name, "error", err)
		return false
	}
	return p.within(ctx, qemuQuit)
}

// libvirtSettings are what a definition says below libvirt.
type libvirtSettings struct {
	Socket         string `json:"socket"`          // of the daemon
	URI            string `json:"uri"`             // of its driver
	Template       string `json:"template"`        // file that its XML is made from; empty is the built-in one
	UUID           string `json:"uuid"`            // that the guest sees; from its name if empty
	Machine        string `json:"machine"`         // q35
	Accelerator    string `json:"accelerator"`     // kvm, or tcg for emulation
	ReconnectDelay int    `json:"reconnect_delay"` // seconds that requests wait for a disk that is away; 60
}

func (s libvirtSettings) daemon() libvirtd.Daemon {
	return libvirtd.Daemon{Socket: s.Socket, URI: s.URI}
}

func libvirtSettingsOf(d guest.Definition) (libvirtSettings, error) {
	s := libvirtSettings{Socket: "/run/libvirt/libvirt-sock", URI: "qemu:///system", Machine: "q35", Accelerator: "kvm",
		ReconnectDelay: qemuReconnectDelay}
	if err := d.Refuse("vcpus", "memory", "interfaces", "boot", "device"); err != nil {
		return s, err
	}
	if err := d.DecodeSettings(&s); err != nil {
		return s, err
	}
	switch {
	case !strings.HasPrefix(s.Socket, "/"):
		return s, guest.Faultf("libvirt.socket", "%q: want an absolute path, as in /run/libvirt/libvirt-sock", s.Socket)
	case s.URI == "":
		return s, guest.Faultf("libvirt.uri", "want the URI of a driver, as in qemu:///system")
	case s.Template != "" && !strings.HasPrefix(s.Template, "/"):
		return s, guest.Faultf("libvirt.template", "%q: want an absolute path of a file on the host", s.Template)
	case s.Machine == "":
		return s, guest.Faultf("libvirt.machine", "want a machine, as in q35")
	case s.Accelerator != "kvm" && s.Accelerator != "tcg":
		return s, guest.Faultf("libvirt.accelerator", "%q: want kvm or tcg", s.Accelerator)
	case s.ReconnectDelay < 1 || s.ReconnectDelay > 3600:
		return s, guest.Faultf("libvirt.reconnect_delay", "%d: want 1 to 3600 seconds", s.ReconnectDelay)
	}
	if s.UUID == "" {
		s.UUID = uuidOf(d.Salt, d.Name)
	} else if !isUUID(s.UUID) {
		return s, guest.Faultf("libvirt.uuid", "%q is no UUID", s.UUID)
	}
	return s, nil
}
