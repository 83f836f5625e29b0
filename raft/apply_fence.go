package raft

import (
	"fmt"
	"slices"
	"strings"

	"github.com/holdfast-storage/holdfast/volume"
)

// recordFence takes the host's word that a leg was fenced, with the label that the leg answered
// (protocol §1.7.9; protocol-flush B.3). It may be repeated: what it brings is only added.
func (t *txn) recordFence(c *RecordFence) *Refusal {
	v, r := t.current(c.Volume, c.Epoch)
	if r != nil {
		return r
	}
	l := v.Leg(c.Leg)
	switch {
	case l == nil:
		return refuse(CodeNotFound, "volume %s has no leg %s", v.Name, c.Leg)
	case !l.Provisioned:
		return refuse(CodeRetry, "%s of volume %s is not provisioned yet", t.legName(l), v.Name)
	case !l.usable():
		return invalid("%s of volume %s is %s and is not used", t.legName(l), v.Name, l.State)
	}
	if why := t.foreign(v, l, c.Report.Label); why != "" {
		return t.quarantine(v, l, why)
	}
	if why := ahead(v, c.Report.Label); why != "" {
		return t.freeze(v, l, why)
	}
	if label := c.Report.Label; label.FenceEpoch < c.Epoch {
		return invalid("%s of volume %s was not fenced: its label has epoch %s",
			t.legName(l), v.Name, label.FenceEpoch)
	}
	v = t.edit(v)
	l = v.Leg(c.Leg)
	l.FencedEpoch, l.Instance = c.Epoch, c.Report.Instance
	if c.Report.Lossy && v.Phase == volume.PhaseAttaching && !slices.Contains(v.Attach.Lossy, l.ID) {
		v.Attach.Lossy = append(v.Attach.Lossy, l.ID)
		sortLegs(v.Attach.Lossy)
		t.event(SeverityWarning, "volume/"+v.Name, "leg_lossy",
			"%s of volume %s lost its cache: its system restarted with writes that were not flushed",
			t.legName(l), v.Name)
	}
	if v.Phase == volume.PhaseAttaching && v.inSync(l.ID) && (c.Report.Lossy || c.Report.Label.Marked) {
		v.Clean = false // whatever was said at the detach, there are marks
	}
	t.answer(v)
	return nil
}

// foreign returns why a label is not that of this leg, "" if it is.
func (t *txn) foreign(v *Volume, l *Leg, label volume.Label) string {
	switch {
	case label.StoreID != l.Store:
		return fmt.Sprintf("its label was made on store %s, not %s", label.StoreID, l.Store)
	case label.Incarnation != t.state.Cluster.Incarnation:
		return fmt.Sprintf("its label belongs to cluster incarnation %s", label.Incarnation)
	case label.VolumeID != v.ID:
		return fmt.Sprintf("its label belongs to volume %s", label.VolumeID)
	case label.LegID != l.ID:
		return fmt.Sprintf("its label belongs to leg %s", label.LegID)
	case label.DataGen != v.DataGen:
		return fmt.Sprintf("its label belongs to another lineage of the data (%s)", label.DataGen)
	}
	return ""
}

// ahead returns how a label is ahead of raft, or contradicts it, which proves that the coordinators
// have lost entries; "" if it does not.
func ahead(v *Volume, label volume.Label) string {
	switch {
	case label.FenceEpoch > v.Epoch:
		return fmt.Sprintf("its label has epoch %s, the coordinators know %s", label.FenceEpoch, v.Epoch)
	case label.FenceEpoch == v.Epoch && label.AttachID != v.Attach.ID:
		return fmt.Sprintf("its label has epoch %s for attachment %s, which the coordinators granted to %s",
			label.FenceEpoch, label.AttachID, v.Attach.ID)
	case label.Config.CfgVer > v.CfgVer:
		return fmt.Sprintf("its label has cfgver %s, the coordinators know %s", label.Config.CfgVer, v.CfgVer)
	case label.Config.CfgVer == v.CfgVer && !sameLegs(label.Config.InSync, v.InSync):
		return fmt.Sprintf("its label has another in-sync list of cfgver %s than the coordinators", v.CfgVer)
	}
	return ""
}

// quarantine keeps a leg from being used. Contradicting evidence never shrinks the in-sync list by
// itself: Activate or RemoveLeg does, when other legs suffice.
func (t *txn) quarantine(v *Volume, l *Leg, why string) *Refusal {
	v = t.edit(v)
	l = v.Leg(l.ID)
	if r := setLegState(l, volume.LegQuarantined); r != nil {
		return r
	}
	t.keep = true
	t.event(SeverityError, "volume/"+v.Name, "leg_quarantined", "%s of volume %s is kept but not used: %s",
		t.legName(l), v.Name, why)
	return invalid("%s of volume %s is quarantined: %s", t.legName(l), v.Name, why)
}

// freeze stops a volume whose labels prove that raft went back in time.
func (t *txn) freeze(v *Volume, l *Leg, why string) *Refusal {
	v = t.edit(v)
	if r := setPhase(v, volume.PhaseFrozen); r != nil {
		return r
	}
	t.keep = true
	t.event(SeverityError, "volume/"+v.Name, "frozen", "volume %s is frozen: %s: %s", v.Name, t.legName(l), why)
	return refuse(CodeFrozen, "volume %s is frozen: %s: %s; an operator must decide", v.Name, t.legName(l), why)
}

func sameLegs(a, b []volume.LegID) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	sortLegs(a)
	sortLegs(b)
	return slices.Equal(a, b)
}

// activate makes the current epoch active and computes its in-sync list S' (protocol §1.5, §1.6;
// protocol-flush B.4, C.4).
func (t *txn) activate(c *Activate) *Refusal {
	v, r := t.current(c.Volume, c.Epoch)
	if r != nil {
		return r
	}
	if v.Phase == volume.PhaseAttached {
		t.answer(v)
		return nil
	}
	next, declared, r := t.nextInSync(v)
	if r != nil {
		return r
	}
	if r := t.zombieWait(v, c.Waited); r != nil {
		return r
	}
	v = t.edit(v)
	why := "it was not fenced, or lost its cache, when epoch " + v.Epoch.String() + " began"
	if r := t.setInSync(v, next, why); r != nil {
		return r
	}
	v.Granted = slices.Clone(next)
	if r := setPhase(v, volume.PhaseAttached); r != nil {
		return r
	}
	host := t.state.NodeName(v.Attach.Host)
	t.event(SeverityInfo, "volume/"+v.Name, "attached", "%s holds volume %s in epoch %s with legs on %s",
		host, v.Name, v.Epoch, strings.Join(t.nodeNames(v, v.InSync), ", "))
	if declared {
		t.event(SeverityError, "volume/"+v.Name, "unflushed_loss", "volume %s goes on from what was flushed: "+
			"every leg that could be reached lost its cache; the guest sees a power cut", v.Name)
	}
	t.answer(v)
	return nil
}

// nextInSync returns S': the fenced in-sync legs that kept their cache; if there are too few, all of
// the in-sync list when all of it is fenced; or, where loss is accepted, those that are fenced.
// declared says that un-flushed writes are thereby declared lost.
func (t *txn) nextInSync(v *Volume) (next []volume.LegID, declared bool, r *Refusal) {
	fenced := without(v.InSync, func(id volume.LegID) bool { return !v.fenced(id) || !v.Leg(id).usable() })
	kept := fenced
	if v.Durability == volume.DurabilityFlush {
		kept = without(fenced, func(id volume.LegID) bool { return slices.Contains(v.Attach.Lossy, id) })
	}
	accept := v.UnflushedLoss == volume.LossAccept || v.Attach.AcceptLoss
	switch {
	case len(kept) >= v.Layout.Quorum():
		return kept, false, nil
	case len(fenced) == len(v.InSync):
		return fenced, true, nil
	case accept && len(fenced) >= v.Layout.Quorum():
		return fenced, true, nil
	}
	missing := without(v.InSync, func(id volume.LegID) bool { return slices.Contains(fenced, id) })
	why := "none of its in-sync legs is fenced yet"
	if len(fenced) > 0 {
		why = "writes may be there that the legs within reach lost with their caches"
	}
	return nil, false, &Refusal{
		Code: CodeWait, Legs: missing,
		Message: fmt.Sprintf("volume %s waits for %s: %s", v.Name, t.describe(v, missing), why),
	}
}

// zombieWait refuses until no older epoch can read: every leg that one may read is fenced, or
// 1.25·T_read has passed (protocol §1.6).
func (t *txn) zombieWait(v *Volume, waited bool) *Refusal {
	open := without(slices.Concat(v.InSync, v.Granted), v.fenced)
	sortLegs(open)
	open = slices.Compact(open)
	if len(open) == 0 || waited {
		return nil
	}
	return &Refusal{
		Code: CodeWait, Legs: open,
		Message: fmt.Sprintf("volume %s waits for %s, or until an older host has surely stopped reading there",
			v.Name, t.describe(v, open)),
	}
}

// describe names legs by their nodes, with what is wrong with each if something is known.
func (t *txn) describe(v *Volume, legs []volume.LegID) string {
	names := t.nodeNames(v, legs)
	for i, id := range legs {
		if l := v.Leg(id); l != nil && !l.usable() {
			names[i] += " (" + string(l.State) + ")"
		}
	}
	return strings.Join(names, ", ")
}
