package raft

import (
	"errors"
	"fmt"
)

// The cluster version says which kinds of commands, which of their fields and which rules of Apply are in
// use: State.Version. All coordinators understand it, so that none meets an entry of the log that it cannot
// read, which would stop it for good. It grows by RaiseVersion only, and never shrinks.
//
// What a later version brought carries the tag `since:"N"` on its field, in Command, in State and in what
// they are made of: the leader proposes none of it before the cluster is at version N. With `since:"N,drop"`
// a field is left out below N, for values that their sender sends again; without, the command is refused.
const (
	// VersionFirst is the version of a cluster that began before there were others.
	VersionFirst = 1
	// VersionLatest is the highest version that this release understands.
	VersionLatest = 2
)

// StateVersion is the version of the State of a new cluster: what every release can read, until the
// coordinators agree on more.
const StateVersion = VersionFirst

// ErrNewer means that data was written by a newer release than this one. They are intact.
var ErrNewer = errors.New("written by a newer release of holdfast than this one")

// RaiseVersion makes a higher cluster version the one in use. The leader proposes it when every coordinator
// has said that it understands it; from then on an older release does not start on the coordinators' data.
type RaiseVersion struct {
	To int `json:"to"`
}

// raiseVersion applies RaiseVersion. It takes every version that this release understands: decodeCommand
// refuses the others.
func (t *txn) raiseVersion(c *RaiseVersion) *Refusal {
	if c.To <= t.state.Version {
		return nil // done before
	}
	if c.To > VersionLatest {
		return unknownVersion(c.To)
	}
	t.event(SeverityInfo, "cluster", "version_raised", "the cluster version is %d now, it was %d: "+
		"releases that do not understand it no longer start as coordinators", c.To, t.state.Version)
	t.state.Version = c.To
	return nil
}

func unknownVersion(version int) *Refusal {
	return invalid("cluster version %d is unknown, this release understands %d at most", version, VersionLatest)
}

// Uses reports whether the cluster is at a version or above. Apply asks it before it does what an older
// release would not do with the same command.
func (s *State) Uses(version int) bool { return s.Version >= version }

// checkVersion refuses what only a newer release can read.
func checkVersion(what string, version int) error {
	if version > VersionLatest {
		return fmt.Errorf("%s of cluster version %d: %w, which understands %d at most: start a release that "+
			"understands it", what, version, ErrNewer, VersionLatest)
	}
	if version < VersionFirst {
		return fmt.Errorf("%s of cluster version %d: there is no such version", what, version)
	}
	return nil
}
