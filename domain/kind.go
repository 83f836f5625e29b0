package domain

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/holdfast-storage/holdfast/domain/guest"
)

// Kind is a kind of driver, as definitions name it.
type Kind struct {
	// Word is its name in definitions, of the driver's settings there, and of its record on a host.
	Word string
	// Check returns what the driver cannot make of a definition, as a *guest.Fault. What a driver cannot do is
	// refused: a guest that comes up without what was asked for is worse than one that does not come up.
	Check func(guest.Definition) error
	// New returns the driver for this host.
	New func(Options) Driver
}

// Options configures the drivers of a host.
type Options struct {
	Env    []string     // the environment that guests start from; nil is the daemon's own
	Ender  []string     // a command that is EndRun with the arguments that follow; nil is this program's `end-guest`
	Logger *slog.Logger // nil discards
}

// kinds is the one table of drivers: what has a line here can be defined, and is run by every host.
func kinds() []Kind {
	return []Kind{
		execKind(),
		qemuKind(),
		libvirtKind(),
		xlKind(),
	}
}

// Words returns the names of all drivers.
func Words() []string {
	var words []string
	for _, k := range kinds() {
		words = append(words, k.Word)
	}
	return words
}

// Drivers returns every driver by its name.
func Drivers(o Options) map[string]Driver {
	drivers := make(map[string]Driver)
	for _, k := range kinds() {
		drivers[k.Word] = k.New(o)
	}
	return drivers
}

// Check returns what is wrong with a definition, in itself and for the driver that it names, as a *guest.Fault, nil if
// nothing is.
func Check(d guest.Definition) error {
	if err := d.Machine.Check(); err != nil {
		return err
	}
	all := kinds()
	i := slices.IndexFunc(all, func(k Kind) bool { return k.Word == d.Driver })
	if i < 0 {
		return guest.Faultf("driver", "the driver %q is unknown: want one of %s", d.Driver,
			strings.Join(Words(), ", "))
	}
	if err := all[i].Check(d); err != nil {
		return err
	}
	return nil
}

// Named names the domain in an error about its definition, unless that does it itself.
func Named(name string, err error) error {
	var fault *guest.Fault
	if errors.As(err, &fault) {
		return fmt.Errorf("domain %s: %w", name, err)
	}
	return err
}
