package domain

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/holdfast-storage/holdfast/domain/guest"
)

// DriverXL is the name of the xl driver in definitions.
const DriverXL = "xl"

func xlKind() Kind {
	return Kind{
		Word: DriverXL,
		Check: func(d guest.Definition) error {
			s, err := xlSettingsOf(d)
			if err != nil {
				return err
			}
			return s.check(d)
		},
		New: NewXL,
	}
}

// NewXL returns the driver that has this host's Xen run a guest, by xl. It is asked to end by xl shutdown, and then
// destroyed.
//
// Two things make up a run: the process `xl create -F`, which stays for as long as the domain lives and is what is
// watched, and the domain in the hypervisor, which is known by the UUID that holdfast gives it and by nothing else.
// Neither outlives the other: when the process ends, by whatever, the domain is destroyed. Since killing a process is
// not enough, a run has a kill command, which engines run when a grant is lost.
//
// QEMU, as Xen 4.17 starts it for a disk of the kind qdisk, opens files and block devices and nothing else: it holds
// target=nbd:unix:… for the name of a file. So each export is made a file below the order's directory first, by QEMU's
// storage daemon (FUSE).
func NewXL(o Options) Driver {
	if o.Env == nil {
		o.Env = os.Environ()
	}
	h := xenHost{o.Env}
	d := newLocal(o, program{word: DriverXL, command: h.command, admit: h.admit, before: h.prepare, end: h.end,
		needs: h.storageDaemons, ask: h.shutdown, hold: h.hold})
	return &xlDriver{d, h}
}

// How long xl may take.
const (
	xlAnswer  = 20 * time.Second       // to list, and to pass a wish on
	xlMake    = 15 * time.Second       // to make a domain, for a start to wait for
	xlDestroy = 30 * time.Second       // to destroy a domain: devices that do not let go take it 10 s each
	xlLook    = 200 * time.Millisecond // between two looks whether a domain runs
	xlTold    = 8                      // times that a domain is told to stand still, or to go on
	xlGiveUp  = 45 * time.Second       // from killing a start that failed to its end
)

type xlDriver struct {
	*localDriver
	host xenHost
}

// xenHost is this host's Xen.
type xenHost struct {
	env []string // of the calls of xl
}

func (d *xlDriver) Start(ctx context.Context, o Order) (Process, error) {
	said := sizeOf(LogPath(o.Dir))
	p, err := d.start(ctx, o)
	if err != nil {
		return nil, err
	}
	if err := d.await(ctx, p); err != nil {
		err = fmt.Errorf("domain %s: Xen does not start it: %w%s", o.Name, err, lastWords(LogPath(o.Dir), said))
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), xlGiveUp)
		defer cancel()
		if stopped := p.Stop(late, 0); stopped != nil {
			return nil, errors.Join(err, stopped)
		}
		return nil, errors.Join(err, d.Forget(o.Dir)) // nothing runs, so nothing is to be remembered
	}
	return p, nil
}

// await returns once the domain runs, or takes longer to be made than a start waits for: much memory has to be found
// and cleared, and xl is the guest's process all along. xl makes it paused, and lets it run when all of it is there.
func (d *xlDriver) await(ctx context.Context, p *localProcess) error {
	x, err := d.host.guest(p.Order())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, xlMake)
	defer cancel()
	look := time.NewTicker(xlLook)
	defer look.Stop()
	for {
		own, err := x.own(ctx)
		if err == nil && len(own) > 0 && !own[0].paused() {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("it ended: %s", p.State().Cause)
		case <-ctx.Done():
			p.logger.Info("guest is still being made", "domain", p.Order().Name, "seen", err)
			return nil
		case <-look.C:
		}
	}
}

// command returns the command that stays for as long as the domain lives.
func (h xenHost) command(o Order) (args []string, env map[string]string, err error) {
	x, err := h.guest(o)
	if err != nil {
		return nil, nil, err
	}
	return []string{x.settings.Binary, "create", "-F", xlConfigPath(o.Dir)}, nil, nil
}

// admit makes sure that the domain will be the only one of its name and UUID.
func (h xenHost) admit(ctx context.Context, o Order) error {
	x, err := h.guest(o)
	if err != nil {
		return err
	}
	return x.refuseAnother(ctx)
}

// prepare writes the domain's configuration and makes files of its disks.
func (h xenHost) prepare(ctx context.Context, r record, env []string) error {
	x, err := h.guest(r.Order)
	if err != nil {
		return err
	}
	if err := x.writeConfig(); err != nil {
		return err
	}
	return x.openDisks(ctx, env)
}

// end destroys the domain, and takes its disks away.
func (h xenHost) end(ctx context.Context, r record) error {
	x, err := h.guest(r.Order)
	if err != nil {
		return err
	}
	for {
		own, err := x.own(ctx)
		if err != nil {
			return err
		}
		if len(own) == 0 {
			return x.closeDisks()
		}
		for _, d := range own {
			if err := x.destroy(ctx, d); err != nil {
				return err
			}
		}
	}
}

// shutdown asks the guest to end. One that is paused cannot notice.
func (h xenHost) shutdown(ctx context.Context, p *localProcess) error {
	x, err := h.guest(p.Order())
	if err != nil {
		return err
	}
	own, err := x.own(ctx)
	switch {
	case err != nil:
		return err
	case len(own) == 0:
		return errors.New("there is no domain of its UUID")
	case own[0].paused():
		return errors.New("it does not run: xl says that it is paused")
	}
	_, err = x.call(ctx, xlAnswer, "shutdown", "-F", own[0].id) // -F: by ACPI, where the guest has no driver of Xen's
	return err
}

// xlSettings are what a definition says below xl.
type xlSettings struct {
	Binary         string   `json:"binary"`          // program; xl
	Type           string   `json:"type"`            // pv, pvh or hvm; pv, as with xl itself
	UUID           string   `json:"uuid"`            // that the domain has; from its name if empty
	Bootloader     string   `json:"bootloader"`      // program that finds a kernel on the first disk, as pygrub
	Lines          []string `json:"lines"`           // more lines of the configuration, as they are
	ReconnectDelay int      `json:"reconnect_delay"` // seconds that requests wait for a disk that is away; 60
	StorageDaemon  string   `json:"storage_daemon"`  // program; qemu-storage-daemon
}

func xlSettingsOf(d guest.Definition) (xlSettings, error) {
	s := xlSettings{Binary: "xl", Type: "pv", ReconnectDelay: qemuReconnectDelay, StorageDaemon: "qemu-storage-daemon"}
	if err := d.Refuse("vcpus", "memory", "interfaces", "boot", "device"); err != nil {
		return s, err
	}
	if err := d.DecodeSettings(&s); err != nil {
		return s, err
	}
	for _, program := range []struct{ field, path string }{
		{"binary", s.Binary}, {"storage_daemon", s.StorageDaemon},
	} {
		if program.path == "" || strings.ContainsRune(program.path, 0) {
			return s, guest.Faultf("xl."+program.field, "%q: want a program of the host", program.path)
		}
	}
	switch {
	case s.Type != "pv" && s.Type != "pvh" && s.Type != "hvm":
		return s, guest.Faultf("xl.type", "%q: want pv, pvh or hvm", s.Type)
	case s.ReconnectDelay < 1 || s.ReconnectDelay > 3600:
		return s, guest.Faultf("xl.reconnect_delay", "%d: want 1 to 3600 seconds", s.ReconnectDelay)
	}
	if s.UUID == "" {
		s.UUID = uuidOf(d.Salt, d.Name)
	} else if !isUUID(s.UUID) {
		return s, guest.Faultf("xl.uuid", "%q is no UUID", s.UUID)
	}
	s.UUID = strings.ToLower(s.UUID) // as xl writes it
	return s, nil
}
