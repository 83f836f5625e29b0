// Package standalone serves files as iSCSI logical units without any cluster: `holdfast target`. It
// has no epochs and no fence; a volume that must survive servers wants `holdfast serve`.
package standalone

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/holdfast-storage/holdfast/block/filedev"
	"github.com/holdfast-storage/holdfast/node/metrics"
	"github.com/holdfast-storage/holdfast/scsi"
	"github.com/holdfast-storage/holdfast/target"
	"github.com/holdfast-storage/holdfast/target/static"
	"github.com/holdfast-storage/holdfast/volume"
)

// LUN is one file to serve.
type LUN struct {
	Path      string
	SizeBytes int64 // zero takes the size that the file has
	ReadOnly  bool
	Physical  int64 // bytes of a physical block that initiators are told; zero means 4096
	Removable bool  // initiators may eject and load it
	// Reservations is the file that keeps persistent reservations through a loss of power. "" is PATH.reservations
	// for a regular file, and none for a block device: initiators may not ask for it then.
	Reservations string
	Serial       string // unit serial number; "" takes the identity that the file has, see docs/conformance.md
}

// ParseLUN reads PATH[,size=SIZE][,readonly][,physical=512|4096][,removable][,serial=TEXT][,reservations=FILE].
func ParseLUN(text string) (LUN, error) {
	parts := strings.Split(text, ",")
	l := LUN{Path: parts[0]}
	if l.Path == "" {
		return LUN{}, fmt.Errorf("LUN %q: the path is missing, as in /var/disk.img,size=256M", text)
	}
	for _, p := range parts[1:] {
		size, isSize := strings.CutPrefix(p, "size=")
		serial, isSerial := strings.CutPrefix(p, "serial=")
		reservations, isReservations := strings.CutPrefix(p, "reservations=")
		switch {
		case isReservations && reservations != "":
			l.Reservations = reservations
		case isSerial && serial != "":
			l.Serial = serial
		case p == "physical=512", p == "physical=4096":
			l.Physical = 4096
			if p == "physical=512" {
				l.Physical = 512
			}
		case p == "removable":
			l.Removable = true
		case isSize:
			bytes, err := volume.ParseSize(size)
			if err != nil {
				return LUN{}, fmt.Errorf("LUN %q: %w", text, err)
			}
			l.SizeBytes = bytes
		case p == "readonly":
			l.ReadOnly = true
		default:
			return LUN{}, fmt.Errorf("LUN %q: %q is unknown "+
				"(size=SIZE, readonly, physical=512|4096, removable, serial=TEXT, reservations=FILE)",
				text, p)
		}
	}
	return l, nil
}

// Options say what to serve.
type Options struct {
	Listen []string // host:port, at least one; port 0 takes a free one
	IQN    string
	LUNs   []LUN // numbered from 0
	// ChapSecretFile and MutualSecretFile hold one secret each; an end of line behind it is left out.
	ChapUser, ChapSecretFile     string
	MutualUser, MutualSecretFile string
	Metrics                      string    // host:port of the metrics, of HTTP without security; "" = none
	MetricsOpen                  bool      // Metrics may be an address that other machines reach
	MaxConnections               int       // open at once; zero = 1024
	MemoryBytes                  int64     // of data of all connections; zero = 1 GiB
	Ready                        io.Writer // gets one line `ready iscsi://ADDR/IQN/0` for each listener
	Logger                       *slog.Logger
}

// Serve serves until ctx ends, flushes every file and returns.
func Serve(ctx context.Context, o Options) (err error) {
	if err := o.checkMetrics(); err != nil {
		return err
	}
	credentials, err := o.credentials()
	if err != nil {
		return err
	}
	units, closeAll, err := openLUNs(o.LUNs)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeAll()) }()
	targets := []static.Target{{Name: o.IQN, LUNs: units, Credentials: credentials}}
	if _, err := static.NewAdmission(targets...); err != nil {
		return err // before anybody is told that it is ready
	}
	listeners, err := listen(ctx, o.Listen)
	if err != nil {
		return err
	}
	so := static.Options{Listeners: listeners, Logger: o.Logger, Targets: targets,
		MaxConnections: o.MaxConnections, MemoryBytes: o.MemoryBytes}
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	if o.Metrics != "" {
		l, err := listenOne(ctx, "--metrics", o.Metrics)
		if err != nil {
			closeListeners(listeners)
			return err
		}
		shown := newMetricsServer(ctx, l)
		defer shown.close()
		so.Started = func(s *target.Server) { shown.serve(s, fail) }
		fmt.Fprintf(o.Ready, "metrics http://%s%s\n", l.Addr(), metrics.PathMetrics)
	}
	for _, l := range listeners {
		fmt.Fprintf(o.Ready, "ready iscsi://%s/%s/0\n", l.Addr(), o.IQN)
	}
	err = static.Serve(ctx, so)
	if cause := context.Cause(ctx); ctx.Err() != nil && !errors.Is(cause, context.Canceled) {
		err = errors.Join(cause, err)
	}
	return err
}

// listen opens every portal, or none.
func listen(ctx context.Context, addresses []string) ([]net.Listener, error) {
	var listeners []net.Listener
	for _, address := range addresses {
		l, err := listenOne(ctx, "--listen", address)
		if err != nil {
			closeListeners(listeners)
			return nil, err
		}
		listeners = append(listeners, l)
	}
	return listeners, nil
}

// listenOne opens the address of one flag.
func listenOne(ctx context.Context, flag, address string) (net.Listener, error) {
	l, err := target.Listen(ctx, address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s %s is in use by another process: stop that one, or choose another port",
			flag, address)
	}
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", flag, address, err)
	}
	return l, nil
}

func closeListeners(listeners []net.Listener) {
	for _, l := range listeners {
		_ = l.Close()
	}
}

func (o Options) credentials() (c target.Credentials, err error) {
	switch {
	case (o.ChapUser == "") != (o.ChapSecretFile == ""):
		return c, errors.New("CHAP needs a user and a secret file, not one of them")
	case (o.MutualUser == "") != (o.MutualSecretFile == ""):
		return c, errors.New("mutual CHAP needs a user and a secret file, not one of them")
	case o.MutualUser != "" && o.ChapUser == "":
		return c, errors.New("mutual CHAP is only done after CHAP: give a CHAP user and secret file too")
	}
	c.User, c.MutualUser = o.ChapUser, o.MutualUser
	if c.Secret, err = readSecret(o.ChapSecretFile); err != nil {
		return c, err
	}
	c.MutualSecret, err = readSecret(o.MutualSecretFile)
	return c, err
}

func readSecret(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("CHAP secret: %w", err)
	}
	secret := strings.TrimRight(string(text), "\r\n")
	if secret == "" {
		return "", fmt.Errorf("CHAP secret: %s is empty", path)
	}
	return secret, nil
}

// openLUNs opens every file, or none. closeAll flushes and closes them.
func openLUNs(luns []LUN) (units map[uint64]scsi.LogicalUnit, closeAll func() error, err error) {
	if err := checkReservationFiles(luns); err != nil {
		return nil, nil, err
	}
	units = make(map[uint64]scsi.LogicalUnit)
	var devices []*filedev.Device
	closeAll = func() error {
		var errs []error
		for _, d := range devices {
			if !d.Limits().ReadOnly {
				errs = append(errs, d.Flush(context.Background()))
			}
			errs = append(errs, d.Close())
		}
		return errors.Join(errs...)
	}
	group := &scsi.CopyGroup{}
	owners := make(map[string]string) // path by identity
	for i, l := range luns {
		d, err := filedev.Open(l.Path, filedev.Options{SizeBytes: l.SizeBytes, ReadOnly: l.ReadOnly, Exclusive: true})
		if errors.Is(err, fs.ErrNotExist) && l.SizeBytes == 0 {
			err = fmt.Errorf("%w: give it a size to have it made, as in %s,size=1G", err, l.Path)
		}
		if err != nil {
			return nil, nil, errors.Join(err, closeAll())
		}
		devices = append(devices, d)
		id, err := identify(l, d)
		if err != nil {
			return nil, nil, errors.Join(err, closeAll())
		}
		if owner, taken := owners[id]; taken {
			err := fmt.Errorf("%s and %s have the same serial number %s, so initiators would take them for one disk: "+
				"is one a copy of the other? give one another, as in %s,serial=TEXT", owner, l.Path, id, l.Path)
			return nil, nil, errors.Join(err, closeAll())
		}
		owners[id] = l.Path
		if units[uint64(i)], err = newUnit(l, d, id, group); err != nil {
			return nil, nil, errors.Join(err, closeAll())
		}
	}
	return units, closeAll, nil
}

// newUnit makes the logical unit of a file.
func newUnit(l LUN, d *filedev.Device, id string, group *scsi.CopyGroup) (scsi.LogicalUnit, error) {
	o := scsi.Options{Serial: id, NAA: scsi.LocalNAA([]byte(id)), Removable: l.Removable,
		PhysicalBlockBytes: l.Physical, CopyGroup: group, Reservations: true}
	path, err := reservationsOf(l)
	if err != nil {
		return nil, fmt.Errorf("LUN %s: %w", l.Path, err)
	}
	if path != "" {
		o.ReservationStore = reservationFile{path}
	}
	unit, err := scsi.New(d, o)
	if errors.Is(err, scsi.ErrReservationsDamaged) {
		err = reservationFile{path}.explain(err)
	}
	if err != nil {
		return nil, fmt.Errorf("LUN %s: %w", l.Path, err)
	}
	return unit, nil
}
