package model

import (
	"errors"
	"fmt"
)

// The largest bounds that a state has room for.
const (
	MaxLegs   = 3
	MaxEpochs = 3
	MaxWrites = 3
)

// Class is the durability class of the volume: what the ack of a write means.
type Class uint8

// The durability classes (protocol-flush C).
const (
	ClassFlush Class = iota // the write is in each leg's page cache
	ClassSync               // the write is durable on each leg
)

// String returns the class as the command line names it.
func (c Class) String() string {
	if c == ClassSync {
		return "sync"
	}
	return "flush"
}

// ParseClass is the inverse of Class.String.
func ParseClass(s string) (Class, error) {
	switch s {
	case "flush":
		return ClassFlush, nil
	case "sync":
		return ClassSync, nil
	}
	return 0, fmt.Errorf("durability class %q: use flush or sync", s)
}

// Bounds limit a search. All histories within them are tried.
type Bounds struct {
	Class   Class
	Legs    int // 1 to MaxLegs; all are in sync at the start
	Epochs  int // 1 to MaxEpochs attachments; the first one serves at the start
	Writes  int // 1 to MaxWrites guest writes, over all epochs
	MaxCfg  int // highest configuration version; the start has 1
	Flushes int // guest flushes; class sync needs none
	Cuts    int // power cuts of single legs, the same one again or others

	Accept     bool // the volume's policy unflushed_loss is accept, not wait
	Operator   bool // the operator removes legs behind the attached host
	Restore    bool // the coordinator is restored from a backup, once
	Duplicates bool // one RemoveLeg of the history may arrive at raft a second time, at any later time
}

// String returns the bounds as flags of the explore command.
func (b Bounds) String() string {
	s := fmt.Sprintf("-class %s -legs %d -epochs %d -writes %d -maxcfg %d -flushes %d -cuts %d",
		b.Class, b.Legs, b.Epochs, b.Writes, b.MaxCfg, b.Flushes, b.Cuts)
	for _, o := range []struct {
		on   bool
		flag string
	}{
		{b.Accept, " -accept"}, {b.Operator, " -operator"}, {b.Restore, " -restore"}, {b.Duplicates, " -duplicates"},
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
		{"legs", b.Legs, 1, MaxLegs}, {"epochs", b.Epochs, 1, MaxEpochs}, {"writes", b.Writes, 1, MaxWrites},
		{"maxcfg", b.MaxCfg, 1, 100}, {"flushes", b.Flushes, 0, 100}, {"cuts", b.Cuts, 0, 100},
	} {
		if f.value < f.least || f.value > f.most {
			faults = append(faults, fmt.Errorf("%s %d: use %d to %d", f.name, f.value, f.least, f.most))
		}
	}
	return errors.Join(faults...)
}
