package raft

import (
	"slices"

	"github.com/holdfast-storage/holdfast/volume"
)

// newClone returns what a new volume is a clone of, nil for one that is none.
func (t *txn) newClone(c *CreateVolume) (*Clone, *Refusal) {
	of := c.Clone
	if of == nil {
		return nil, nil
	}
	source := t.state.Volumes[of.Source]
	switch {
	case of.Group.IsZero() || of.Of < 1 || of.Of > CloneGroupMax || of.Rate < 0:
		return nil, invalid("volume %s: a clone is of a group of 1 to %d, and filled at no negative rate", c.Name,
			CloneGroupMax)
	case source == nil || source.Deleting:
		return nil, refuse(CodeNotFound, "volume %s: there is no volume %s to make it a clone of", c.Name, of.Source)
	case source.Phase == volume.PhaseProvisioning:
		return nil, refuse(CodeBusy, "volume %s: its source %s is still being provisioned", c.Name, source.Name)
	case source.Filling():
		return nil, refuse(CodeBusy, "volume %s: its source %s is itself being filled", c.Name, source.Name)
	case source.SizeBytes != c.SizeBytes:
		return nil, invalid("volume %s: it has %d bytes and its source %s %d: a clone is as large as its source",
			c.Name, c.SizeBytes, source.Name, source.SizeBytes)
	}
	if r := t.sound(source); r != nil {
		return nil, r
	}
	if other := t.state.FilledFrom(of.Source); other != nil && other.Clone.Group != of.Group {
		return nil, refuse(CodeBusy, "volume %s: its source %s is being copied onto %s: wait until that is cut", c.Name,
			source.Name, other.Name)
	}
	group := t.state.CloneGroup(of.Group)
	for _, v := range group {
		switch {
		case v.Clone.Of != of.Of || !v.Filling():
			return nil, invalid("volume %s: its group is cut, or has %d clones, not %d", c.Name, v.Clone.Of, of.Of)
		case v.Clone.Source == of.Source:
			return nil, invalid("volume %s: %s of its group is a clone of %s already", c.Name, v.Name, source.Name)
		}
	}
	if len(group) >= of.Of {
		return nil, invalid("volume %s: its group has %d clones already", c.Name, len(group))
	}
	return &Clone{Source: of.Source, SourceName: source.Name, Group: of.Group, Of: of.Of, Rate: of.Rate,
		By: of.By}, nil
}

// mayFill returns why an attachment is not for what it says: a clone that is being filled is attached to be filled, and
// nothing else is.
func (t *txn) mayFill(v *Volume, c *BeginAttach) *Refusal {
	renewed := !c.Renews.IsZero() && v.Attach != nil && v.Attach.Filling
	switch filling := c.Filling || renewed; {
	case c.Filling && c.Maintenance:
		return invalid("volume %s is attached to be filled, or for maintenance: not for both", v.Name)
	case v.Filling() && !filling && !c.Maintenance:
		return refuse(CodeBusy, "volume %s is being filled with what %s holds: wait until it is cut, or delete it",
			v.Name, v.Clone.SourceName)
	case !v.Filling() && filling:
		return refuse(CodeRetry, "volume %s is not being filled any more: look again", v.Name)
	}
	return nil
}

// endClones makes the clones of a group volumes like any other.
func (t *txn) endClones(c *EndClones) *Refusal {
	group := t.state.CloneGroup(c.Group)
	if len(group) == 0 {
		return refuse(CodeNotFound, "no clone is of the group %s", c.Group)
	}
	if !slices.ContainsFunc(group, (*Volume).Filling) {
		return nil // said before
	}
	for _, v := range group {
		if r := t.wasCut(v, c); r != nil {
			return r
		}
	}
	if len(group) != group[0].Clone.Of || len(group) != len(c.Clones) {
		return refuse(CodeRetry, "the group of volume %s has %d clones, not %d: look again", group[0].Name,
			group[0].Clone.Of, len(c.Clones))
	}
	for _, v := range group {
		v = t.edit(v)
		clone := *v.Clone
		clone.CutAt, clone.Frozen = t.at, c.Frozen
		v.Clone = &clone
		how := "as after a power cut"
		if c.Frozen {
			how = "with its file systems written back"
		}
		t.event(SeverityInfo, "volume/"+v.Name, "clone_cut", "volume %s holds what volume %s held, %s", v.Name,
			clone.SourceName, how)
	}
	return nil
}

// wasCut returns why a clone is not the one that a command speaks of.
func (t *txn) wasCut(v *Volume, c *EndClones) *Refusal {
	i := slices.IndexFunc(c.Clones, func(cut CutClone) bool { return cut.Volume == v.ID })
	if i < 0 {
		return refuse(CodeRetry, "volume %s is of the group, and nothing is said of it: look again", v.Name)
	}
	source := t.state.Volumes[v.Clone.Source]
	if source == nil {
		return refuse(CodeRetry, "volume %s: its source %s is gone", v.Name, v.Clone.SourceName)
	}
	for _, o := range []*Volume{v, source} {
		if r := t.sound(o); r != nil {
			return r
		}
	}
	if v.Attach != nil && !v.Attach.Filling {
		return refuse(CodeRetry, "volume %s is not attached to be filled: look again", v.Name)
	}
	if v.Attach != nil && v.Attach.SourceEpoch != source.Epoch {
		return refuse(CodeRetry, "volume %s is filled by epoch %s of volume %s, which is at %s: it is filled anew",
			v.Name, v.Attach.SourceEpoch, source.Name, source.Epoch)
	}
	for _, a := range []struct {
		volume *Volume
		epoch  volume.Epoch
	}{{v, c.Clones[i].Epoch}, {source, c.Clones[i].SourceEpoch}} {
		held := a.volume.Attach
		if a.volume.Phase != volume.PhaseAttached || held == nil || a.volume.Epoch != a.epoch || held.Host != c.Node {
			return refuse(CodeRetry, "volume %s is not attached on %s in epoch %s any more: volume %s is filled anew",
				a.volume.Name, t.state.NodeName(c.Node), a.epoch, v.Name)
		}
	}
	return nil
}

// decidedClone takes an operator's word that a clone which was being filled is good as it is: it is never filled again.
// v is edited.
func (t *txn) decidedClone(v *Volume) {
	if !v.Filling() {
		return
	}
	clone := *v.Clone
	clone.CutAt = t.at
	v.Clone = &clone
}

// cloneDeleted lets the others of a deleted clone's group go on without it.
func (t *txn) cloneDeleted(v *Volume) {
	if !v.Filling() {
		return
	}
	for _, o := range t.state.CloneGroup(v.Clone.Group) {
		if o.ID == v.ID {
			continue
		}
		o = t.edit(o)
		clone := *o.Clone
		clone.Of--
		o.Clone = &clone
	}
}
