package raft

import (
	"math"
	"strings"

	"github.com/holdfast-storage/holdfast/volume"
)

// What an operator decides where the coordinators do not (protocol §1.1, §1.7.10). Each decision carries a
// reason, which is kept as an event.

// Unfreeze lets a frozen volume be attached again: every leg has to answer, and the newest in-sync list that
// a label shows is adopted, as after a restore. It gives nothing up.
type Unfreeze struct {
	Volume volume.ID `json:"volume"`
	Reason string    `json:"reason"`
}

// ForcePromote lets a volume go on from one leg alone, whatever the others hold. They are given up: kept on
// their nodes, and never used again.
type ForcePromote struct {
	Volume volume.ID    `json:"volume"`
	Leg    volume.LegID `json:"leg"`
	Reason string       `json:"reason"`
	// HostIsOff is the operator's word that no host uses the volume any more. It is refused without it where a host
	// may that the fence of this leg does not stop: see hostBefore.
	HostIsOff bool `json:"host_is_off,omitempty"`
}

func (t *txn) unfreeze(c *Unfreeze) *Refusal {
	v := t.state.Volumes[c.Volume]
	switch {
	case v == nil:
		return refuse(CodeNotFound, "no volume has the id %s", c.Volume)
	case strings.TrimSpace(c.Reason) == "":
		return invalid("unfreeze volume %s: a reason is needed, which is kept", v.Name)
	case v.Phase != volume.PhaseFrozen && v.VerifyAll:
		t.answer(v)
		return nil
	case v.Phase != volume.PhaseFrozen:
		return invalid("volume %s is not frozen: it is %s", v.Name, v.standing())
	}
	if why := v.flaw(); why != "" {
		return refuse(CodeFrozen, "volume %s cannot be unfrozen: what is known of it cannot be (%s); holdfast volume "+
			"promote lets it go on from one leg", v.Name, why)
	}
	was := v.FrozenWhy
	v = t.edit(v)
	if r := t.setAside(v); r != nil {
		return r
	}
	v.VerifyAll, v.Promoted = true, volume.LegID{}
	t.decidedClone(v)
	t.event(SeverityWarning, "volume/"+v.Name, "unfrozen", "the operator lets volume %s go on (%s), which was frozen: "+
		"%s; every leg has to answer before it serves", v.Name, c.Reason, was)
	t.answer(v)
	return nil
}

// setAside takes a volume from whoever holds it, without a word of his, and makes it detached. v is edited.
func (t *txn) setAside(v *Volume) *Refusal {
	if v.Attach != nil {
		v.LastAttach, v.Attach = v.Attach.ID, nil
	}
	t.superseded("volume/"+v.Name, OperationCancelled, "an operator decided how the volume goes on")
	v.Clean, v.FrozenWhy = false, ""
	if v.Phase == volume.PhaseDetached {
		return nil
	}
	return setPhase(v, volume.PhaseDetached)
}

func (t *txn) forcePromote(c *ForcePromote) *Refusal {
	v := t.state.Volumes[c.Volume]
	if v == nil {
		return refuse(CodeNotFound, "no volume has the id %s", c.Volume)
	}
	if v.Promoted == c.Leg && v.VerifyAll && v.Phase == volume.PhaseDetached && !c.Leg.IsZero() {
		t.answer(v)
		return nil
	}
	l := v.Leg(c.Leg)
	switch {
	case strings.TrimSpace(c.Reason) == "":
		return invalid("promote a leg of volume %s: a reason is needed, which is kept", v.Name)
	case l == nil:
		return refuse(CodeNotFound, "volume %s has no leg %s", v.Name, c.Leg)
	case v.Layout.Quorum() != 1:
		return invalid("volume %s is %s: one leg is not enough to go on from", v.Name, v.Layout)
	case v.Deleting || v.Phase == volume.PhaseProvisioning:
		return refuse(CodeBusy, "no leg of volume %s can be promoted while it is %s", v.Name, v.standing())
	case v.Phase == volume.PhaseAttached:
		return refuse(CodeBusy, "volume %s is attached to %s: what it serves there would be given up; detach it first",
			v.Name, t.state.NodeName(v.Attach.Host))
	case !l.Provisioned || !l.usable():
		return invalid("%s of volume %s is %s: nothing can go on from it", t.legName(l), v.Name, l.State)
	}
	if why := hostBefore(v, l); why != "" && !c.HostIsOff {
		return refuse(CodeBusy, "no leg of volume %s is promoted while %s may serve a guest from the legs that are "+
			"given up, which nothing fences: two guests would run. Power it off, and be sure of it, then say so with "+
			"--host-is-off", v.Name, why)
	}
	cost := t.state.PromotionCost(v.ID, l.ID)
	if c.HostIsOff {
		cost += "; by his word no host uses the volume any more"
	}
	if t.state.Cluster.RestoreGen == math.MaxUint32 {
		return invalid("promote a leg of volume %s: there is no generation left", v.Name)
	}
	// The numbers of another generation: no label of a leg that is given up can ever seem newer, also not to
	// coordinators that are restored from a backup in which it was not given up yet.
	t.state.Cluster.RestoreGen++
	v = t.edit(v)
	l = v.Leg(c.Leg)
	v.Epoch = t.nextEpoch(v) // whoever attaches it now is superseded
	if v.Phase != volume.PhaseDetached || v.Attach != nil {
		v.Phase = volume.PhaseFrozen // from where an operator's word leads on, also for a row that cannot be
	}
	if r := t.setAside(v); r != nil {
		return r
	}
	l.SetBack = false // the operator takes it for what it is
	// A row that cannot be may name what is not there.
	v.InSync = without(v.InSync, func(id volume.LegID) bool { return v.Leg(id) == nil })
	if r := t.giveUpOthers(v, l); r != nil {
		return r
	}
	if r := t.setInSync(v, []volume.LegID{l.ID}, "the operator gives it up"); r != nil {
		return r
	}
	v.forgetOthers()
	v.VerifyAll, v.Promoted = true, l.ID
	if why := v.flaw(); why != "" {
		return invalid("volume %s cannot go on from %s: %s", v.Name, t.legName(l), why)
	}
	t.event(SeverityError, "volume/"+v.Name, "promoted", "the operator lets volume %s go on from %s alone (%s), %s",
		v.Name, t.legName(l), c.Reason, cost)
	t.answer(v)
	return nil
}

// giveUpOthers quarantines every leg but one that may hold something. v is edited.
func (t *txn) giveUpOthers(v *Volume, but *Leg) *Refusal {
	for _, l := range v.Legs {
		if l == but || !l.Provisioned {
			continue
		}
		l.GivenUp = true
		if l.usable() {
			if r := setLegState(l, volume.LegQuarantined); r != nil {
				return r
			}
		}
	}
	return nil
}
