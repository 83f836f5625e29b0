package raft

import (
	"fmt"
	"slices"

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
	if !t.breaks(BreakNoLabelCheck) { // [M:noLabelCheck]
		if why := t.foreign(v, l, c.Report.Label); why != "" {
			return t.quarantine(v, l, why)
		}
		if v.VerifyAll {
			if r := t.outrun(v, l, c); r != nil {
				return r
			}
		} else if why := ahead(v, c.Report.Label); why != "" {
			return t.freeze(v, l, why, c.Report.Label)
		}
	}
	if label := c.Report.Label; label.FenceEpoch < c.Epoch {
		return invalid("%s of volume %s was not fenced: its label has epoch %s",
			t.legName(l), v.Name, label.FenceEpoch)
	}
	v = t.edit(v)
	l = v.Leg(c.Leg)
	l.FencedEpoch, l.Instance = c.Epoch, c.Report.Instance
	t.judgeReport(v, l, c)
	if v.VerifyAll && v.Phase == volume.PhaseAttaching {
		v.show(l, c.Report.Label.Config)
	}
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
	// A host may have a ticket from before the volume lost what the leg still holds.
	t.result.SetBack = l.SetBack || !v.inSync(l.ID) && l.LastISRCfg == 0
	t.result.Copied = l.Copied
	return nil
}

// foreign returns why a label is not that of this leg, "" if it is.
func (t *txn) foreign(v *Volume, l *Leg, label volume.Label) string {
	switch {
	case label.StoreID != l.Store:
		return fmt.Sprintf("its label was made on store %s, not %s", label.StoreID, l.Store)
	case !t.state.Was(label.Incarnation):
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

// freeze stops a volume whose labels prove that raft went back in time. What they show is kept, so that the
// volume's numbers go on above it once an operator has decided.
func (t *txn) freeze(v *Volume, l *Leg, why string, label volume.Label) *Refusal {
	v = t.edit(v)
	if r := setPhase(v, volume.PhaseFrozen); r != nil {
		return r
	}
	t.keep = true
	if t.state.Uses(2) {
		v.SeenEpoch, v.SeenCfg = max(v.SeenEpoch, label.FenceEpoch), max(v.SeenCfg, label.Config.CfgVer)
		v.FrozenWhy = t.legName(l) + ": " + why
		l = v.Leg(l.ID)
		l.SeenCfg = max(l.SeenCfg, label.Config.CfgVer)
	}
	t.event(SeverityError, "volume/"+v.Name, "frozen", "volume %s is frozen: %s: %s", v.Name, t.legName(l), why)
	return refuse(CodeFrozen, "volume %s is frozen: %s: %s; an operator must decide", v.Name, t.legName(l), why)
}

func sameLegs(a, b []volume.LegID) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	sortLegs(a)
	sortLegs(b)
	return slices.Equal(a, b)
}
