package raft

import (
	"fmt"
	"slices"
	"strings"

	"github.com/holdfast-storage/holdfast/volume"
)

// A volume with VerifyAll has labels that may be newer than what the coordinators know: they were restored
// from an older state, or from the labels themselves. Whatever was acknowledged is on the legs of the newest
// in-sync list that a label shows, since a host makes each list durable on every leg that receives writes
// before it acknowledges without the legs that left. A list that no label shows is one that only a missing
// leg may hold. So all legs have to answer, and nobody but an operator can do without one of them
// (protocol §1.7.11).
//
// A leg that was made since the backup is not known before its node reports it (AdoptLeg). It may be the newest
// of all, and no label of another leg need name it: those may have left the list before it came. Its node may not
// be known either. So that every leg is known is an operator's word (EndRebuild), and before it no list is adopted.

// NoteLabel is a storage node's word on the label of a leg of its own, while the volume is VerifyAll. It lets
// the next epoch be above it; nothing else is decided by it.
type NoteLabel struct {
	Leg    volume.LegID  `json:"leg"`
	Epoch  volume.Epoch  `json:"epoch"`
	CfgVer volume.CfgVer `json:"cfgver"`
}

// numbersMax bounds the epochs and versions that are taken from a label: there must be room above.
const numbersMax = 1 << 63

func (t *txn) noteLabel(c *NoteLabel) *Refusal {
	v, l := t.state.LegByID(c.Leg)
	switch {
	case l == nil:
		return refuse(CodeNotFound, "no volume has a leg %s", c.Leg)
	case uint64(c.Epoch) >= numbersMax || uint64(c.CfgVer) >= numbersMax:
		return invalid("%s of volume %s: epoch %s or cfgver %s cannot be", t.legName(l), v.Name, c.Epoch, c.CfgVer)
	}
	if r := t.sound(v); r != nil {
		return r
	}
	news := c.Epoch > max(v.SeenEpoch, v.Epoch) || c.CfgVer > max(v.SeenCfg, v.CfgVer) || c.CfgVer > l.SeenCfg
	if v.VerifyAll && news {
		v = t.edit(v)
		v.SeenEpoch, v.SeenCfg = max(v.SeenEpoch, c.Epoch), max(v.SeenCfg, c.CfgVer)
		l = v.Leg(l.ID)
		l.SeenCfg = max(l.SeenCfg, c.CfgVer)
	}
	t.answer(v)
	return nil
}

// outrun refuses the report of a login whose leg was fenced by another grant of the same number or above: one
// that coordinators made whose word is forgotten, or who are not these. The next epoch is above it.
func (t *txn) outrun(v *Volume, l *Leg, c *RecordFence) *Refusal {
	label := c.Report.Label
	if label.FenceEpoch < v.Epoch || label.FenceEpoch == v.Epoch && label.AttachID == v.Attach.ID {
		return nil
	}
	if uint64(label.FenceEpoch) >= numbersMax {
		return invalid("%s of volume %s: epoch %s cannot be", t.legName(l), v.Name, label.FenceEpoch)
	}
	if label.FenceEpoch > v.SeenEpoch {
		v = t.edit(v)
		v.SeenEpoch, t.keep = label.FenceEpoch, true
		t.event(SeverityWarning, "volume/"+v.Name, "outrun",
			"%s of volume %s was fenced by a grant of epoch %s which these coordinators do not know: "+
				"the next epoch is above it", t.legName(l), v.Name, label.FenceEpoch)
	}
	return refuse(CodeFenced, "epoch %s of volume %s is superseded: %s has epoch %s of another grant",
		v.Epoch, v.Name, t.legName(l), label.FenceEpoch)
}

// show keeps what a leg's label shows in this epoch. v is edited.
func (v *Volume) show(l *Leg, config volume.Config) {
	shown := config.Clone()
	l.Shown = &shown
	if uint64(shown.CfgVer) < numbersMax {
		v.SeenCfg, l.SeenCfg = max(v.SeenCfg, shown.CfgVer), max(l.SeenCfg, shown.CfgVer)
	}
}

// awaitedAll returns the legs that a volume with VerifyAll waits for: all that are not given up, or the one
// that was promoted.
func (v *Volume) awaitedAll() []volume.LegID {
	var missing []volume.LegID
	for _, l := range v.Legs {
		wanted := !l.GivenUp
		if !v.Promoted.IsZero() {
			wanted = l.ID == v.Promoted
		}
		if wanted && (!v.fenced(l.ID) || l.Shown == nil || !l.usable()) {
			missing = append(missing, l.ID)
		}
	}
	return missing
}

// activateVerified is Activate of a volume with VerifyAll.
func (t *txn) activateVerified(v *Volume, c *Activate) *Refusal {
	adopted, r := t.verified(v)
	if r != nil {
		return r
	}
	next, r := t.nextInSync(adopted)
	if r != nil {
		return r
	}
	next.legs = newestShown(adopted, next.legs)
	if !c.Waited && !t.breaks(BreakNoLease) { // [M:noLease] which legs an older host may read is not known
		return &Refusal{Code: CodeWait, Message: fmt.Sprintf("volume %s waits until an older host has surely stopped "+
			"reading: which one there was is not known for sure", v.Name)}
	}
	v = t.edit(v)
	for _, l := range v.Legs {
		if slices.Contains(next.legs, l.ID) {
			continue
		}
		if l.State == volume.LegInSync && !slices.Contains(adopted.InSync, l.ID) { // the others leave below
			if r := setLegState(l, volume.LegStale); r != nil {
				return r
			}
		}
		if heir := v.Replacement(l.ID); heir != nil && slices.Contains(next.legs, heir.ID) {
			l.GivenUp = true // it is dropped, but so soon after a restore nothing is deleted
		}
	}
	if v.CfgVer != adopted.CfgVer || !sameLegs(v.InSync, adopted.InSync) {
		t.event(SeverityWarning, "volume/"+v.Name, "adopted", "volume %s goes on from the in-sync list of cfgver %s, "+
			"which the labels of its legs show (%s)", v.Name, adopted.CfgVer,
			strings.Join(t.nodeNames(v, adopted.InSync), ", "))
	}
	v.InSync, v.CfgVer, v.Clean = stillIn(v, adopted.InSync, next.legs), max(v.CfgVer, adopted.CfgVer), false
	return t.activateWith(v, next)
}

// stillIn returns the legs of the adopted list without those which do not go on and were out of it before as far
// as the coordinators knew: they stay what they were, and do not leave.
func stillIn(v *Volume, adopted, next []volume.LegID) []volume.LegID {
	return without(adopted, func(id volume.LegID) bool {
		return !slices.Contains(next, id) && v.Leg(id).State != volume.LegInSync
	})
}

// verified returns the volume with the configuration that it goes on from, which is the newest that any leg
// shows, or the coordinators' own if that is newer. It waits for legs that did not answer, for the operator's word
// that no leg is left to be found, and for an operator where evidence is missing for good.
func (t *txn) verified(v *Volume) (*Volume, *Refusal) {
	if missing := v.awaitedAll(); len(missing) > 0 {
		return nil, &Refusal{Code: CodeWait, Legs: missing, Message: fmt.Sprintf("volume %s waits for %s: its "+
			"coordinators were restored or it was frozen, so every leg has to answer once; what is gone for good "+
			"an operator gives up with holdfast volume promote", v.Name, t.describe(v, missing))}
	}
	adopted := *v
	if !v.Promoted.IsZero() {
		adopted.InSync = []volume.LegID{v.Promoted}
		return &adopted, nil
	}
	if t.state.Cluster.FromLegs {
		return nil, &Refusal{Code: CodeWait, Message: fmt.Sprintf("volume %s waits until every leg of it is found: "+
			"its coordinators were restored, and a leg that was made since the backup may have writes that no other "+
			"has; holdfast health names the storage nodes that have not told what is on their disks; when all are "+
			"back, holdfast cluster restore --done says so", v.Name)}
	}
	newest, r := t.newestList(v)
	if r != nil {
		return nil, r
	}
	if v.Rebuilt {
		if r := t.wholeFromLegs(v, newest); r != nil {
			return nil, r
		}
	}
	if newest.CfgVer > v.CfgVer || v.Rebuilt {
		adopted.CfgVer, adopted.InSync = newest.CfgVer, nil
		for _, id := range newest.InSync {
			l := v.Leg(id)
			if l == nil {
				return nil, t.undecided(v, "the newest in-sync list that its legs show, of cfgver %s, names leg %s, "+
					"which the coordinators do not know", newest.CfgVer, id)
			}
			if l.usable() && !v.blank(l) {
				adopted.InSync = append(adopted.InSync, id)
			}
		}
	} else {
		adopted.InSync = without(v.InSync, func(id volume.LegID) bool { return v.blank(v.Leg(id)) })
	}
	if !v.enough(adopted.InSync) && v.Layout.Quorum() > 1 {
		return nil, &Refusal{Code: CodeWait, Message: fmt.Sprintf("volume %s waits for an operator: only %d legs of "+
			"its newest in-sync list, of cfgver %s, ever had a configuration, and %s needs %d; the others were made "+
			"anew, or it was never written to: bring the right disks back, or make the volume anew", v.Name,
			len(adopted.InSync), adopted.CfgVer, v.Layout, v.Layout.Quorum())}
	}
	if !v.enough(adopted.InSync) {
		return nil, t.undecided(v, "no leg of its newest in-sync list, of cfgver %s, has its data", adopted.CfgVer)
	}
	sortLegs(adopted.InSync)
	return &adopted, nil
}

// newestList returns the newest configuration that a leg shows. Two different lists of one version, or another
// than the coordinators know of their own version, cannot both be of one history: the volume is frozen.
func (t *txn) newestList(v *Volume) (volume.Config, *Refusal) {
	var newest volume.Config
	var of *Leg
	for _, l := range v.Legs {
		if l.Shown == nil || l.GivenUp {
			continue
		}
		known := volume.Config{}
		switch {
		case l.Shown.CfgVer == 0: // none yet
		case of != nil && l.Shown.CfgVer == newest.CfgVer:
			known = newest
		case !v.Rebuilt && l.Shown.CfgVer == v.CfgVer:
			known = v.Config()
		}
		if known.CfgVer != 0 && !sameLegs(known.InSync, l.Shown.InSync) {
			return newest, t.freeze(v, l, fmt.Sprintf("its label has another in-sync list of cfgver %s than "+
				"others have", known.CfgVer), volume.Label{FenceEpoch: v.Epoch, Config: *l.Shown})
		}
		if of == nil || l.Shown.CfgVer > newest.CfgVer {
			newest, of = *l.Shown, l
		}
	}
	return newest, nil
}

// blank reports whether a leg never had a configuration although another leg had one: it was made anew, and
// holds nothing, whatever a list says of it.
func (v *Volume) blank(l *Leg) bool {
	if l == nil || l.Shown == nil || l.Shown.CfgVer != 0 {
		return false
	}
	return slices.ContainsFunc(v.Legs, func(o *Leg) bool { return o.Shown != nil && o.Shown.CfgVer != 0 })
}

// newestShown returns those of the legs that show the newest configuration among them, all of them if none
// has any: one that lags may have been set back since what proved it is forgotten, and is not needed. Where
// the newest are not enough for the layout those are needed that lag least.
func newestShown(v *Volume, legs []volume.LegID) []volume.LegID {
	cfg := func(id volume.LegID) volume.CfgVer {
		if l := v.Leg(id); l != nil && l.Shown != nil {
			return l.Shown.CfgVer
		}
		return 0
	}
	shown := make([]volume.CfgVer, len(legs))
	for i, id := range legs {
		shown[i] = cfg(id)
	}
	slices.Sort(shown)
	for _, least := range slices.Backward(shown) {
		if kept := without(legs, func(id volume.LegID) bool { return cfg(id) < least }); v.enough(kept) {
			return kept
		}
	}
	return legs
}

// undecided refuses until an operator decides.
func (t *txn) undecided(v *Volume, format string, args ...any) *Refusal {
	return &Refusal{Code: CodeWait, Message: fmt.Sprintf("volume %s waits for an operator: %s; holdfast volume "+
		"promote lets it go on from one leg and gives the others up", v.Name, fmt.Sprintf(format, args...))}
}

// endVerify ends VerifyAll: the in-sync list is known again. Legs in the place of one that is in sync are
// kept, and not used. v is edited, and has its new list.
func (t *txn) endVerify(v *Volume) *Refusal {
	for _, l := range v.Legs {
		l.Shown, l.SeenCfg = nil, 0
		if v.inSync(l.ID) || !l.usable() || !l.Replaces.IsZero() || v.Replacement(l.ID) != nil {
			continue
		}
		if slices.ContainsFunc(v.Legs, func(o *Leg) bool { return o.Slot == l.Slot && v.inSync(o.ID) }) {
			if r := setLegState(l, volume.LegQuarantined); r != nil {
				return r
			}
			l.GivenUp = true
			t.event(SeverityWarning, "volume/"+v.Name, "leg_surplus", "%s of volume %s is kept but not used: another "+
				"leg has its place", t.legName(l), v.Name)
		}
	}
	v.VerifyAll, v.Rebuilt, v.Promoted = false, false, volume.LegID{}
	return nil
}
