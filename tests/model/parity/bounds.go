package parity

import (
	"errors"
	"fmt"

	"github.com/holdfast-storage/holdfast/tests/model/disk"
)

// The largest bounds that a state has room for.
const (
	MaxData   = 3
	MaxParity = 2
	MaxLegs   = MaxData + MaxParity
	MaxEpochs = disk.MaxEpochs
	MaxWrites = disk.MaxWrites
)

// Bounds limit a search. All histories within them are tried.
type Bounds struct {
	Data, Parity int // k and m
	Epochs       int // 1 to MaxEpochs attachments; the first one serves at the start
	Writes       int // 1 to MaxWrites guest writes, over all epochs
	Flushes      int // guest flushes
	Cuts         int // power cuts of single legs, the same one again or others
	Removes      int // RemoveLeg in the middle of an epoch
	Joins        int // legs that come back

	Sync       bool // class sync: what a leg answered is durable
	Concurrent bool // writes of different chunks of the stripe may be in flight at once
	Full       bool // some writes are of the whole stripe
	Fine       bool // a leg is lossy only if it lost STAGE, DELTA or a roll-back
}

// String returns the bounds as flags of the explore command.
func (b Bounds) String() string {
	s := fmt.Sprintf("-k %d -m %d -epochs %d -writes %d -flushes %d -cuts %d -removes %d -joins %d",
		b.Data, b.Parity, b.Epochs, b.Writes, b.Flushes, b.Cuts, b.Removes, b.Joins)
	for _, o := range []struct {
		on   bool
		flag string
	}{
		{b.Sync, " -sync"}, {b.Concurrent, " -concurrent"}, {b.Full, " -full"}, {b.Fine, " -fine"},
	} {
		if o.on {
			s += o.flag
		}
	}
	return s
}

// Validate reports every bound that a state has no room for.
func (b Bounds) Validate() error {
	var faults []error
	for _, f := range []struct {
		name         string
		value, least int
		most         int
	}{
		{"k", b.Data, 2, MaxData}, {"m", b.Parity, 1, MaxParity}, {"epochs", b.Epochs, 1, MaxEpochs},
		{"writes", b.Writes, 1, MaxWrites}, {"flushes", b.Flushes, 0, 100}, {"cuts", b.Cuts, 0, 100},
		{"removes", b.Removes, 0, 100}, {"joins", b.Joins, 0, 100},
	} {
		if f.value < f.least || f.value > f.most {
			faults = append(faults, fmt.Errorf("%s %d: use %d to %d", f.name, f.value, f.least, f.most))
		}
	}
	return errors.Join(faults...)
}
