package static

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/holdfast-storage/holdfast/iscsi"
	"github.com/holdfast-storage/holdfast/scsi"
	"github.com/holdfast-storage/holdfast/target"
)

// Target is one target that is served.
type Target struct {
	Name string                      // iqn.…, eui.… or naa.…, at most 223 bytes
	LUNs map[uint64]scsi.LogicalUnit // by LUN number, 0 to 16383
	// Credentials are what an initiator must prove; the zero value asks for nothing.
	Credentials target.Credentials
}

// Admission admits to a fixed list of targets. It implements target.Admission.
type Admission struct {
	targets map[string]Target
	names   []string
}

// NewAdmission checks the targets and returns all their faults, joined.
func NewAdmission(targets ...Target) (*Admission, error) {
	a := &Admission{targets: map[string]Target{}}
	var faults []error
	for _, t := range targets {
		if _, twice := a.targets[t.Name]; twice {
			faults = append(faults, fmt.Errorf("target %s is given twice", t.Name))
		}
		faults = append(faults, t.check())
		a.targets[t.Name] = t
		a.names = append(a.names, t.Name)
	}
	if len(targets) == 0 {
		faults = append(faults, errors.New("no target to serve"))
	}
	slices.Sort(a.names)
	return a, errors.Join(faults...)
}

func (t Target) check() error {
	var faults []error
	bad := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("target %q: "+format, append([]any{t.Name}, args...)...))
	}
	// RFC 7143 §4.2.7: lower case, digits, '-', '.' and ':'.
	if ok, _ := regexp.MatchString(`^(iqn\.|eui\.|naa\.)[a-z0-9.:-]+$`, t.Name); !ok || len(t.Name) > 223 {
		bad("want a name like iqn.2026-11.com.example:disk, of a-z, 0-9, '-', '.' and ':'")
	}
	if len(t.LUNs) == 0 {
		bad("no logical unit")
	}
	for number, unit := range t.LUNs {
		if number > 16383 || unit == nil {
			bad("LUN %d: want a unit with a number from 0 to 16383", number)
		}
	}
	c := t.Credentials
	if (c.User == "") != (c.Secret == "") || (c.MutualUser == "") != (c.MutualSecret == "") {
		bad("a CHAP user needs a secret, and a secret a user")
	}
	if c.MutualSecret != "" && c.Secret == "" {
		bad("mutual CHAP needs a user and secret of the initiator too")
	}
	if c.MutualSecret != "" && c.MutualSecret == c.Secret {
		bad("the secrets of both directions must differ: otherwise a response can be reflected")
	}
	return errors.Join(faults...)
}

// Credentials implements target.Admission.
func (a *Admission) Credentials(_ context.Context, attempt target.Attempt) (target.Credentials, error) {
	t, ok := a.targets[attempt.TargetName]
	if !ok {
		return target.Credentials{}, &target.Refusal{
			Class: iscsi.LoginNotFound.Class(), Detail: iscsi.LoginNotFound.Detail(),
			Reason: "no such target",
		}
	}
	return t.Credentials, nil
}

// Admit implements target.Admission.
func (a *Admission) Admit(
	_ context.Context, attempt target.Attempt, _ target.SessionControl,
) (target.Grant, error) {
	return target.Grant{LUNs: a.targets[attempt.TargetName].LUNs}, nil
}

// Targets implements target.Admission: everyone may see all of them.
func (a *Admission) Targets(string) []string { return slices.Clone(a.names) }
