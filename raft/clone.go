package raft

import (
	"time"

	"github.com/holdfast-storage/holdfast/volume"
)

// Clone says of a volume that it is filled with what another one, its source, holds at one moment: the cut. It is a
// full copy, a volume of its own from then on. Clones of one group are cut at the same moment.
type Clone struct {
	Source     volume.ID   `json:"source"`
	SourceName string      `json:"source_name"` // for who asks when the source is gone
	Group      volume.UUID `json:"group"`       // never zero
	Of         int         `json:"of"`          // how many volumes the group has
	Rate       int64       `json:"rate,omitempty"`
	By         string      `json:"by,omitempty"` // who wants it, as in "drill 3"; empty is an operator
	// CutAt is when it was cut, zero while it is being filled: then its content is nothing yet.
	CutAt time.Time `json:"cut_at,omitzero"`
	// Frozen: the guests of the sources were asked to write everything back before the cut, and did.
	Frozen bool `json:"frozen,omitempty"`
}

// CloneOf makes a new volume a clone, see [Clone].
type CloneOf struct {
	Source volume.ID   `json:"source"`
	Group  volume.UUID `json:"group"`
	Of     int         `json:"of"`
	Rate   int64       `json:"rate,omitempty"` // bytes a second at which it is filled; zero = the engine's default
	By     string      `json:"by,omitempty"`
}

// VersionClones is the cluster version that brought clones: hosts that understand it fill them.
const VersionClones = 2

// CloneGroupMax is how many volumes are cut at one moment at most.
const CloneGroupMax = 32

// EndClones says that all clones of a group were cut: each holds what its source held at one moment. Every clone of
// the group is named, with the epochs in which it and its source were attached on the node that says so. It is a
// compare-and-set: whatever was attached anew since is filled anew.
type EndClones struct {
	Group  volume.UUID   `json:"group"`
	Node   volume.NodeID `json:"node"`
	Clones []CutClone    `json:"clones"`
	Frozen bool          `json:"frozen,omitempty"`
}

// CutClone is one clone that was cut.
type CutClone struct {
	Volume      volume.ID    `json:"volume"`
	Epoch       volume.Epoch `json:"epoch"`
	SourceEpoch volume.Epoch `json:"source_epoch"`
}

// Filling reports whether the volume is a clone that is not cut yet. Nobody but who fills it may attach it.
func (v *Volume) Filling() bool { return v.Clone != nil && v.Clone.CutAt.IsZero() }

// isClone reports whether the volume is the clone that is meant, or none if none is.
func (v *Volume) isClone(of *CloneOf) bool {
	if of == nil || v.Clone == nil {
		return of == nil && v.Clone == nil
	}
	return v.Clone.Source == of.Source && v.Clone.Group == of.Group
}

// NoGuests reports whether the attachment is the cluster's own: no guest has it, and nobody is asked before it ends.
func (a *Attach) NoGuests() bool { return a.Maintenance || a.Filling }

// CloneGroup returns the clones of a group, by name.
func (s *State) CloneGroup(group volume.UUID) []*Volume {
	var all []*Volume
	for _, v := range s.SortedVolumes() {
		if v.Clone != nil && v.Clone.Group == group && !v.Deleting {
			all = append(all, v)
		}
	}
	return all
}

// FilledFrom returns the clone that is being filled with what a volume holds, nil if there is none.
func (s *State) FilledFrom(source volume.ID) *Volume {
	for _, v := range s.SortedVolumes() {
		if v.Filling() && v.Clone.Source == source && !v.Deleting {
			return v
		}
	}
	return nil
}
