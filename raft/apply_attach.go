package raft

import (
	"cmp"
	"slices"
	"strings"

	"github.com/holdfast-storage/holdfast/volume"
)

// beginAttach grants the next epoch of a volume to a host (protocol §1.1; protocol-flush B.1).
func (t *txn) beginAttach(c *BeginAttach) *Refusal {
	v, r := t.volume(c.Volume)
	if r != nil {
		return r
	}
	if v.Attach != nil && v.Attach.ID == c.AttachID {
		if v.Attach.Host != c.Host || v.Attach.Maintenance != c.Maintenance {
			return invalid("attachment %s of volume %s is another host's or purpose", c.AttachID, v.Name)
		}
		t.answer(v)
		return nil
	}
	if r := t.mayAttach(v, c); r != nil {
		return r
	}
	if v.Attach != nil && v.Attach.Host == c.Host && t.breaks(BreakEpochReuse) { // [M:epochReuse]
		t.answer(v)
		return nil
	}
	if d := t.state.DomainOf(v.Name); d != nil && d.Host != c.Host {
		return refuse(CodeBusy, "volume %s belongs to domain %s, which runs on %s: fail the domain over or stop it",
			v.Name, d.Name, t.state.NodeName(d.Host))
	}
	move, moves := t.moved(v, c)
	if r := t.grant(v, c); r != nil {
		return r
	}
	if moves {
		move.Grants = []OperationGrant{{Volume: v.ID, Name: v.Name, Epoch: t.state.Volumes[v.ID].Epoch}}
		t.beginOperation(move, c.Silent)
	}
	return nil
}

// mayAttach returns why a grant is refused. It changes nothing.
func (t *txn) mayAttach(v *Volume, c *BeginAttach) *Refusal {
	if r := t.mayFill(v, c); r != nil {
		return r
	}
	host := t.state.Nodes[c.Host]
	switch {
	case c.AttachID.IsZero():
		return invalid("attach volume %s: the attachment has no id", v.Name)
	case c.AttachID == v.LastAttach:
		return refuse(CodeStale, "attachment %s of volume %s has ended", c.AttachID, v.Name)
	case v.Phase == volume.PhaseFrozen:
		return refuse(CodeFrozen, "volume %s is frozen: %s; an operator must decide (holdfast volume unfreeze, or "+
			"volume promote)", v.Name, cmp.Or(v.FrozenWhy, "a leg's label is ahead of the coordinators"))
	case v.Deleting:
		return refuse(CodeBusy, "volume %s is being deleted", v.Name)
	case v.Phase == volume.PhaseProvisioning:
		return refuse(CodeBusy, "volume %s is still being provisioned: %s must make its leg first",
			v.Name, strings.Join(t.nodeNames(v, v.blankLegs()), ", "))
	case host == nil:
		return refuse(CodeNotFound, "attach volume %s: no node has the id %s", v.Name, c.Host)
	case host.Pending || host.Retiring && c.Renews.IsZero() || !host.Has(RoleHost):
		return invalid("attach volume %s: node %s is no host that takes guests (it needs the role host "+
			"and must not be drained or replaced)", v.Name, host.Name)
	case c.After != 0 && c.After != v.Epoch:
		return refuse(CodeRetry, "volume %s is at epoch %s, not %s: look again", v.Name, v.Epoch, c.After)
	case !c.Renews.IsZero() && !v.renewable(c):
		return refuse(CodeRetry, "attachment %s of volume %s is not %s's to renew any more: look again",
			c.Renews, v.Name, host.Name)
	case v.Attach == nil || v.Attach.Maintenance && !c.Maintenance:
		return nil
	case c.Maintenance || !c.Takeover:
		return refuse(CodeBusy, "volume %s is attached to %s since epoch %s: detach it there, or take it over",
			v.Name, t.state.NodeName(v.Attach.Host), v.Epoch)
	}
	return nil
}

// renewable reports whether a command renews the current attachment of its own host, which nobody
// wants to end.
func (v *Volume) renewable(c *BeginAttach) bool {
	return v.Attach != nil && v.Attach.ID == c.Renews && v.Attach.Host == c.Host && !v.Attach.Detaching &&
		v.Attach.Maintenance == c.Maintenance
}

// grant makes the next epoch. The in-sync list and the granted legs are left alone: what an older
// host may still read survives a burnt epoch.
func (t *txn) grant(v *Volume, c *BeginAttach) *Refusal {
	old := v.Attach
	v = t.edit(v)
	if v.Phase == volume.PhaseAttached {
		v.Clean = false // it is taken from a host that may be writing
	}
	if r := setPhase(v, volume.PhaseAttaching); r != nil {
		return r
	}
	v.Epoch = t.nextEpoch(v)
	v.Attach = &Attach{
		ID: c.AttachID, Host: c.Host, Maintenance: c.Maintenance, AcceptLoss: c.AcceptLoss, At: t.at,
	}
	if old != nil {
		v.LastAttach = old.ID
	}
	if t.state.Uses(2) {
		v.Attach.TRead, v.ReadFor = c.TRead, max(v.ReadFor, c.TRead)
		v.Attach.Unbroken = c.AttachID
		if !c.Renews.IsZero() && !old.Unbroken.IsZero() { // mayAttach saw that it is old that is renewed
			v.Attach.Unbroken = old.Unbroken
		}
	}
	if v.Filling() && !c.Maintenance { // mayAttach saw that it is wanted
		v.Attach.Filling = true
		if source := t.state.Volumes[v.Clone.Source]; source != nil {
			v.Attach.SourceEpoch = source.Epoch
		}
	}
	if old != nil && old.Host == c.Host {
		v.Attach.Domain = old.Domain // an engine's successor serves whom its predecessor served
	}
	t.attachEvent(v, old)
	t.grantMoved(v, old)
	if c.AcceptLoss {
		t.event(SeverityWarning, "volume/"+v.Name, "loss_accepted",
			"the operator accepts for epoch %s of volume %s that writes which were never flushed may be lost",
			v.Epoch, v.Name)
	}
	t.answer(v)
	return nil
}

func (t *txn) attachEvent(v *Volume, old *Attach) {
	object, host := "volume/"+v.Name, t.state.NodeName(v.Attach.Host)
	switch {
	case v.Attach.Maintenance:
		t.event(SeverityInfo, object, "maintenance", "%s maintains volume %s in epoch %s", host, v.Name, v.Epoch)
	case v.Attach.Filling:
		t.event(SeverityInfo, object, "filling", "%s fills volume %s in epoch %s with what volume %s holds", host,
			v.Name, v.Epoch, v.Clone.SourceName)
	case old == nil:
		t.event(SeverityInfo, object, "attach", "%s is granted epoch %s of volume %s", host, v.Epoch, v.Name)
	case old.NoGuests():
		t.event(SeverityInfo, object, "attach", "%s is granted epoch %s of volume %s, whose maintenance on %s ends",
			host, v.Epoch, v.Name, t.state.NodeName(old.Host))
	case old.Host == v.Attach.Host:
		t.event(SeverityInfo, object, "attach",
			"%s is granted epoch %s of volume %s in place of its own earlier one", host, v.Epoch, v.Name)
	default:
		t.event(SeverityWarning, object, "takeover", "%s is granted epoch %s of volume %s, taken over from %s",
			host, v.Epoch, v.Name, t.state.NodeName(old.Host))
	}
}

// current returns the volume if the epoch is its current one and its attachment lives. A volume that
// is deleted has none: whoever believes to hold it is to stop like anybody who is superseded.
func (t *txn) current(id volume.ID, e volume.Epoch) (*Volume, *Refusal) {
	v := t.state.Volumes[id]
	if v != nil {
		if r := t.sound(v); r != nil {
			return nil, r
		}
	}
	switch {
	case v == nil:
		return nil, refuse(CodeFenced, "no volume has the id %s: its attachments have ended", id)
	case e < v.Epoch:
		return nil, refuse(CodeFenced, "epoch %s of volume %s is superseded by epoch %s", e, v.Name, v.Epoch)
	case e > v.Epoch:
		return nil, invalid("epoch %s of volume %s was never granted: it is at %s", e, v.Name, v.Epoch)
	case v.Phase == volume.PhaseFrozen:
		return nil, refuse(CodeFrozen, "volume %s is frozen: an operator must decide", v.Name)
	case v.Attach == nil:
		return nil, refuse(CodeFenced, "the attachment of epoch %s of volume %s has ended", e, v.Name)
	}
	return v, nil
}

// requestDetach marks the attachment, so that its host ends it.
func (t *txn) requestDetach(c *RequestDetach) *Refusal {
	v, r := t.volume(c.Volume)
	if r != nil {
		return r
	}
	if c.Epoch != 0 && c.Epoch != v.Epoch {
		return refuse(CodeRetry, "volume %s is at epoch %s, not %s: look again", v.Name, v.Epoch, c.Epoch)
	}
	if v.Attach == nil || v.Attach.Detaching {
		t.answer(v)
		return nil
	}
	if d := t.state.DomainOf(v.Name); d != nil && d.Host == v.Attach.Host {
		return refuse(CodeBusy, "volume %s is used by domain %s on %s: stop the domain",
			v.Name, d.Name, t.state.NodeName(d.Host))
	}
	v = t.edit(v)
	v.Attach.Detaching = true
	t.event(SeverityInfo, "volume/"+v.Name, "detaching", "volume %s is to be detached from %s",
		v.Name, t.state.NodeName(v.Attach.Host))
	t.answer(v)
	return nil
}

// detach ends the attachment of the current epoch (protocol §1.7.7; protocol-flush F, "Detach"). An
// attachment that never was active wrote nothing, so it leaves Clean as it is.
func (t *txn) detach(c *Detach) *Refusal {
	v := t.state.Volumes[c.Volume]
	if v != nil && c.Epoch == v.Epoch && v.Phase == volume.PhaseDetached {
		t.answer(v)
		return nil
	}
	v, r := t.current(c.Volume, c.Epoch)
	if r != nil {
		return r
	}
	v = t.labelsCame(v, c.Epoch, v.CfgVer, c.Seqs)
	return t.endAttach(v, c.Clean)
}

func (t *txn) endAttach(v *Volume, clean bool) *Refusal {
	v = t.edit(v)
	host := t.state.NodeName(v.Attach.Host)
	how := "without having been active"
	if v.Phase == volume.PhaseAttached {
		v.Clean = clean
		how = "cleanly"
		if !clean {
			how = "uncleanly: the next attachment compares the regions that were in use"
		}
	}
	if r := setPhase(v, volume.PhaseDetached); r != nil {
		return r
	}
	v.LastAttach, v.Attach = v.Attach.ID, nil
	t.superseded("volume/"+v.Name, OperationCancelled, "it was detached")
	t.event(SeverityInfo, "volume/"+v.Name, "detach", "volume %s is detached from %s, %s", v.Name, host, how)
	t.answer(v)
	return nil
}

// blankLegs returns the legs that are not provisioned yet.
func (v *Volume) blankLegs() []volume.LegID {
	var blank []volume.LegID
	for _, l := range v.Legs {
		if !l.Provisioned {
			blank = append(blank, l.ID)
		}
	}
	return blank
}

// without returns the legs of list for which out is false, in a new slice.
func without(list []volume.LegID, out func(volume.LegID) bool) []volume.LegID {
	return slices.DeleteFunc(slices.Clone(list), out)
}
