package raft

import (
	"fmt"
	"slices"
	"strings"

	"github.com/holdfast-storage/holdfast/volume"
)

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
	if v.VerifyAll && !t.breaks(BreakNoLabelCheck) { // [M:noLabelCheck]
		return t.activateVerified(v, c)
	}
	next, r := t.nextInSync(v)
	if r != nil {
		return r
	}
	if r := t.zombieWait(v, c.Waited); r != nil {
		return r
	}
	return t.activateWith(t.edit(v), next)
}

// activateWith makes an epoch active with a choice. v is edited.
func (t *txn) activateWith(v *Volume, next choice) *Refusal {
	t.grantActive(v, len(v.openToOthers()) > 0)
	if (next.loss != lossOfNothing || v.VerifyAll) && !v.Attach.Unbroken.IsZero() {
		v.Attach.Unbroken = v.Attach.ID // who was plugged in before must not go on: protocol-flush C, (iii)
	}
	if next.loss == lossOfAny {
		for _, id := range next.legs {
			v.Leg(id).SetBack = false // what it holds is what counts from now on
		}
	}
	why := "it was not fenced, or lost its cache, when epoch " + v.Epoch.String() + " began"
	if r := t.setInSync(v, next.legs, why); r != nil {
		return r
	}
	if next.loss == lossOfAny || v.VerifyAll {
		v.forgetOthers()
	}
	if v.VerifyAll {
		if r := t.endVerify(v); r != nil {
			return r
		}
	}
	v.Granted, v.ReadFor = slices.Clone(next.legs), v.Attach.TRead
	if r := setPhase(v, volume.PhaseAttached); r != nil {
		return r
	}
	host := t.state.NodeName(v.Attach.Host)
	t.event(SeverityInfo, "volume/"+v.Name, "attached", "%s holds volume %s in epoch %s with legs on %s",
		host, v.Name, v.Epoch, strings.Join(t.nodeNames(v, v.InSync), ", "))
	t.lossEvent(v, next.loss)
	t.answer(v)
	return nil
}

// forgetOthers notes that nothing which the legs outside the list hold counts. The volume goes on from an
// older state: they have writes that it lost, and no version of a region tells where.
func (v *Volume) forgetOthers() {
	for _, l := range v.Legs {
		if !v.inSync(l.ID) {
			l.LastISRCfg, l.Copied = 0, Copied{}
		}
	}
}

// loss is what an in-sync list declares to be lost.
type loss int

const (
	lossOfNothing   loss = iota
	lossOfUnflushed      // acknowledged writes that were never flushed
	lossOfAny            // any write since the moment to which the legs were set back
)

func (t *txn) lossEvent(v *Volume, l loss) {
	switch l {
	case lossOfUnflushed:
		t.event(SeverityError, "volume/"+v.Name, "unflushed_loss", "volume %s goes on from what was flushed: "+
			"every leg that could be reached lost its cache; the guest sees a power cut", v.Name)
	case lossOfAny:
		t.event(SeverityError, "volume/"+v.Name, "set_back_loss", "volume %s goes on from an older state, as the "+
			"operator accepts: every leg that could be reached was set back", v.Name)
	}
}

// choice is the in-sync list that Activate makes, and what is declared lost with it.
type choice struct {
	legs []volume.LegID
	loss loss
}

// nextInSync returns S': the fenced in-sync legs that kept all they had; if there are too few, those
// that lost no more than their cache when all of the in-sync list is fenced, or where that loss is
// accepted; if there are none, and the operator accepts the loss for this very attachment, the leg that
// was set back least. Legs that were set back to different moments differ anywhere, so they are never
// used together.
func (t *txn) nextInSync(v *Volume) (choice, *Refusal) {
	from := v.InSync
	if t.breaks(BreakStaleOK) { // [M:staleOK]
		from = make([]volume.LegID, len(v.Legs))
		for i, l := range v.Legs {
			from[i] = l.ID
		}
	}
	fenced := without(from, func(id volume.LegID) bool { return !v.fenced(id) || !v.Leg(id).usable() })
	sound := without(fenced, func(id volume.LegID) bool { return v.Leg(id).SetBack })
	kept := sound
	// In class sync too: there a leg says that it lost its cache only if it has reason to doubt what it holds.
	if !t.breaks(BreakIgnoreLossy) { // [M:ignoreLossy]
		kept = without(sound, func(id volume.LegID) bool { return slices.Contains(v.Attach.Lossy, id) })
	}
	// [M:anyLossy] Only the operator's word makes up for an in-sync leg that is out of reach.
	accept := v.UnflushedLoss == volume.LossAccept || v.Attach.AcceptLoss || t.breaks(BreakAnyLossy)
	switch {
	case v.enough(kept):
		return choice{kept, lossOfNothing}, nil
	case v.enough(sound) && (len(fenced) >= len(v.InSync) || accept):
		return choice{sound, lossOfUnflushed}, nil
	case v.Attach.AcceptLoss && v.enough(fenced) && v.Layout.Quorum() == 1:
		return choice{v.newest(fenced, 1), lossOfAny}, nil
	}
	return choice{}, t.awaited(v, fenced, len(sound) < len(fenced))
}

// awaited says what an attachment waits for that has these legs fenced, and what there is to do.
func (t *txn) awaited(v *Volume, fenced []volume.LegID, setBack bool) *Refusal {
	missing := without(v.InSync, func(id volume.LegID) bool { return slices.Contains(fenced, id) })
	why := "none of its in-sync legs is fenced yet"
	switch {
	case len(missing) == 0 && v.Layout.Quorum() > 1:
		return &Refusal{
			Code: CodeWait, Legs: fenced,
			Message: fmt.Sprintf("volume %s waits for an operator: too few of its in-sync legs, on %s, were not "+
				"set back to an older state, and those that were cannot be used with others: "+
				"bring the right disks back",
				v.Name, t.describe(v, fenced)),
		}
	case len(missing) == 0:
		return &Refusal{
			Code: CodeWait, Legs: fenced,
			Message: fmt.Sprintf("volume %s waits for an operator: every in-sync leg, on %s, was set back to an older "+
				"state; bring the right disk back if there is one, then attach with --takeover --accept-loss to go "+
				"on from the newest",
				v.Name, t.describe(v, fenced)),
		}
	case setBack:
		why = "the legs within reach were set back to an older state, or lost their caches"
	case len(fenced) > 0:
		why = "writes may be there that the legs within reach lost with their caches"
	}
	return &Refusal{
		Code: CodeWait, Legs: missing,
		Message: fmt.Sprintf("volume %s waits for %s: %s", v.Name, t.describe(v, missing), why),
	}
}

// zombieWait refuses until no older epoch can read: every leg that one may read is fenced, or
// 1.25·T_read has passed (protocol §1.6).
func (t *txn) zombieWait(v *Volume, waited bool) *Refusal {
	open := v.openToOthers()
	if t.breaks(BreakIsrOnly) { // [M:isrOnly]
		open = without(v.InSync, v.fenced)
	}
	if len(open) == 0 || waited || t.breaks(BreakNoLease) { // [M:noLease]
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
