package raft

import (
	"slices"

	"github.com/holdfast-storage/holdfast/volume"
)

// setInSync makes the next version of the in-sync list. Legs that leave become stale (unless worse
// is known of them) and remember the last version they were part of.
//
// Invariant: it is called with a list that is enough for the layout (I12).
func (t *txn) setInSync(v *Volume, next []volume.LegID, why string) *Refusal {
	next = slices.Clone(next)
	sortLegs(next)
	for _, id := range v.InSync {
		if slices.Contains(next, id) {
			continue
		}
		l := v.Leg(id)
		l.LastISRCfg = v.CfgVer
		cause := why
		if l.SetBack {
			l.LastISRCfg, cause = 0, "it was set back to an older state" // nothing that it holds counts
		}
		if l.usable() {
			if r := setLegState(l, volume.LegStale); r != nil {
				return r
			}
		}
		severity := SeverityWarning
		if heir := v.Replacement(id); heir != nil && slices.Contains(next, heir.ID) {
			severity = SeverityInfo // as intended
		}
		t.event(severity, "volume/"+v.Name, "leg_removed", "%s left the in-sync list of volume %s: %s",
			t.legName(l), v.Name, cause)
	}
	for _, id := range next {
		// A lost leg may stay in the list for a while; it does not keep others from leaving or joining.
		l := v.Leg(id)
		l.Copied = Copied{}
		if l.State != volume.LegInSync && l.usable() {
			if r := setLegState(l, volume.LegInSync); r != nil {
				return r
			}
		}
	}
	v.InSync, v.CfgVer = next, t.nextCfgVer(v)
	t.dropReplaced(v)
	return nil
}

// dropReplaced lets go of legs whose replacement is in sync and which are not. A tombstone allows
// their nodes to delete them.
func (t *txn) dropReplaced(v *Volume) {
	for i := 0; i < len(v.Legs); i++ {
		l := v.Legs[i]
		heir := v.Replacement(l.ID)
		if heir == nil || v.inSync(l.ID) || !v.inSync(heir.ID) {
			continue
		}
		// It may itself have been on its way to replace one that is still here: the heir does that now.
		heir.Replaces = l.Replaces
		t.drop(v, l)
		i = -1 // which may be one that was passed over
		t.event(SeverityInfo, "volume/"+v.Name, "leg_replaced", "%s of volume %s has taken the place of %s",
			t.legName(heir), v.Name, t.legName(l))
	}
}

// drop takes a leg out of the volume and buries it.
func (t *txn) drop(v *Volume, l *Leg) {
	v.Legs = slices.DeleteFunc(v.Legs, func(o *Leg) bool { return o.ID == l.ID })
	if !l.GivenUp { // else its node keeps it, as a leg that nobody knows
		t.bury(v, l)
	}
}

// bury allows a leg's node to delete its data.
func (t *txn) bury(v *Volume, l *Leg) {
	if t.state.Nodes[l.Node] != nil {
		t.state.Tombs[l.ID] = Tombstone{Node: l.Node, Store: l.Store, Volume: v.Name, At: t.at}
	}
}

// removeLeg takes a leg out of the in-sync list for the host that holds the volume. It makes a new
// configuration version in any case, so that a delayed AddLeg misses its compare-and-set
// (protocol-flush B.7). That the host never removes the last leg which it does not know to be lossy
// is the host's rule (protocol-flush C.3); here the last leg whose data is not known to be gone stays.
func (t *txn) removeLeg(c *RemoveLeg) *Refusal {
	v, r := t.attached(c.Volume, c.Epoch)
	if r != nil {
		return r
	}
	t.stands = v // a refused host learns the configuration that it missed
	if r := t.lateRemoval(v, c); r != nil {
		return r
	}
	if t.removedBefore(v, c) {
		t.answer(v)
		return nil
	}
	l := v.Leg(c.Leg)
	rest := without(v.InSync, func(id volume.LegID) bool { return id == c.Leg })
	if len(rest) < len(v.InSync) {
		good := without(rest, func(id volume.LegID) bool {
			return !v.Leg(id).usable() || v.Leg(id).SetBack
		})
		if !v.enough(good) {
			if c.SetBack && !l.SetBack {
				// The leg stays, but what the host saw is kept: nobody is to trust it in the next epoch.
				t.hostSawSetBack(v, l)
				t.keep = true
			}
			return &Refusal{Code: CodeLast, Legs: []volume.LegID{c.Leg}, Message: "the leg on " +
				t.state.NodeName(l.Node) + " is the last usable one of volume " + v.Name + " and is never removed"}
		}
	}
	if t.breaks(BreakNoBump) && len(rest) == len(v.InSync) { // [M:noBump]
		t.answer(v)
		return nil
	}
	v = t.labelsCame(t.edit(v), c.Epoch, c.SeenCfg, c.Seqs)
	if l = v.Leg(c.Leg); l != nil && c.SetBack && !l.SetBack {
		v = t.hostSawSetBack(v, l)
	}
	if r := t.setInSync(v, rest, c.Reason); r != nil {
		return r
	}
	t.answer(v)
	return nil
}

// lateRemoval refuses a RemoveLeg that saw an older configuration than the volume has, of a leg that is in sync. The
// host asked for it while it knew other legs to be good; with another list they may not be in it, or have lost their
// cache since. A host whose question was never answered asks for the next removal with certainty: either that makes
// the old question miss, or the old one was committed and makes this one miss, and the host learns of it
// [M:lateRemove].
//
// The first release refused only what was older than a join: all replicas have to say the same.
func (t *txn) lateRemoval(v *Volume, c *RemoveLeg) *Refusal {
	if t.state.Uses(2) && !t.breaks(BreakLateRemove) {
		if c.SeenCfg != v.CfgVer && v.inSync(c.Leg) {
			return refuse(CodeStale, "volume %s is at cfgver %s, this request saw %s", v.Name, v.CfgVer, c.SeenCfg)
		}
		return nil
	}
	for _, l := range v.Legs {
		if l.JoinedCfg > c.SeenCfg {
			return refuse(CodeStale, "%s joined volume %s at cfgver %s, after this request saw %s",
				t.legName(l), v.Name, l.JoinedCfg, c.SeenCfg)
		}
	}
	return nil
}

// removedBefore reports whether a RemoveLeg changes nothing: the leg is not in sync, and what the host saw is old, so
// that whatever it may have asked for before misses its compare-and-set already. What it says of a leg that was set
// back counts all the same.
func (t *txn) removedBefore(v *Volume, c *RemoveLeg) bool {
	if !t.state.Uses(2) || t.breaks(BreakLateRemove) {
		return false
	}
	l := v.Leg(c.Leg)
	return c.SeenCfg != v.CfgVer && !v.inSync(c.Leg) && (l == nil || !c.SetBack || l.SetBack)
}

// attached is current for the commands that need an active attachment.
func (t *txn) attached(id volume.ID, e volume.Epoch) (*Volume, *Refusal) {
	v, r := t.current(id, e)
	if r == nil && v.Phase != volume.PhaseAttached {
		return nil, invalid("epoch %s of volume %s is not active yet", e, v.Name)
	}
	return v, r
}

// addLeg puts a copied leg into the in-sync list, and into the granted legs in the same entry
// (protocol-flush A). The compare-and-set on cfgver, store and instance makes sure that nothing
// happened to the volume or to the leg since the host copied it.
func (t *txn) addLeg(c *AddLeg) *Refusal {
	v, r := t.attached(c.Volume, c.Epoch)
	if r != nil {
		return r
	}
	t.stands = v // a refused host learns the configuration that it missed
	l := v.Leg(c.Leg)
	switch {
	case l == nil:
		return refuse(CodeNotFound, "volume %s has no leg %s", v.Name, c.Leg)
	case v.inSync(l.ID) && c.CfgVer < v.CfgVer:
		t.answer(v)
		return nil
	case !l.usable() || !l.Provisioned:
		return invalid("%s of volume %s is %s and cannot join", t.legName(l), v.Name, l.State)
	case c.CfgVer != v.CfgVer && !t.breaks(BreakNoCAS): // [M:noCAS]
		return refuse(CodeRetry, "volume %s is at cfgver %s, not %s", v.Name, v.CfgVer, c.CfgVer)
	case v.inSync(l.ID):
		return refuse(CodeRetry, "%s of volume %s is in sync already", t.legName(l), v.Name)
	case l.FencedEpoch != c.Epoch:
		return refuse(CodeRetry, "%s of volume %s was not fenced in epoch %s", t.legName(l), v.Name, c.Epoch)
	case slices.ContainsFunc(v.InSync, func(id volume.LegID) bool { return v.Leg(id).SetBack }):
		return refuse(CodeRetry, "volume %s: what %s was copied from was set back to an older state",
			v.Name, t.legName(l))
	case (l.Store != c.Store || l.Instance != c.Instance) && !t.breaks(BreakAnyInstance): // [M:joinReboot]
		return refuse(CodeRetry, "%s of volume %s restarted or moved since its copy began", t.legName(l), v.Name)
	}
	v = t.edit(v)
	l = v.Leg(c.Leg)
	t.event(SeverityInfo, "volume/"+v.Name, "leg_added", "%s of volume %s is in sync", t.legName(l), v.Name)
	l.JoinedCfg, l.SetBack = t.nextCfgVer(v), false
	if r := t.setInSync(v, append(slices.Clone(v.InSync), l.ID), ""); r != nil {
		return r
	}
	if !slices.Contains(v.Granted, l.ID) {
		v.Granted = append(v.Granted, l.ID)
		sortLegs(v.Granted)
	}
	t.answer(v)
	return nil
}

// legProvisioned notes that a leg was made. When all legs of a new volume are, they are in sync: they
// are blank alike. A leg that is made later is not.
func (t *txn) legProvisioned(c *LegProvisioned) *Refusal {
	v, r := t.volume(c.Volume)
	if r != nil {
		return r
	}
	l := v.Leg(c.Leg)
	if l == nil {
		return refuse(CodeNotFound, "volume %s has no leg %s", v.Name, c.Leg)
	}
	if l.Provisioned {
		t.answer(v)
		return nil
	}
	v = t.edit(v)
	v.Leg(c.Leg).Provisioned = true
	if v.Phase == volume.PhaseProvisioning && !v.Deleting && len(v.blankLegs()) == 0 {
		all := make([]volume.LegID, len(v.Legs))
		for i, l := range v.Legs {
			all[i], l.JoinedCfg = l.ID, t.nextCfgVer(v)
		}
		if r := t.setInSync(v, all, ""); r != nil {
			return r
		}
		if r := setPhase(v, volume.PhaseDetached); r != nil {
			return r
		}
		v.Clean = true
		t.event(SeverityInfo, "volume/"+v.Name, "volume_created", "volume %s (%s, %s) is ready",
			v.Name, volume.FormatSize(v.SizeBytes), v.Layout)
	}
	t.answer(v)
	return nil
}

// legLost notes that a leg's data is gone. A leg of the in-sync list stays in it until Activate or
// RemoveLeg makes a list without it: behind an attached host's back the list never changes
// (protocol-flush D.6).
func (t *txn) legLost(c *LegLost) *Refusal {
	v, r := t.volume(c.Volume)
	if r != nil {
		return r
	}
	l := v.Leg(c.Leg)
	switch {
	case l == nil:
		return refuse(CodeNotFound, "volume %s has no leg %s", v.Name, c.Leg)
	case !l.Provisioned:
		return invalid("%s of volume %s was never provisioned, so nothing can be lost", t.legName(l), v.Name)
	case l.State == volume.LegLost || v.Deleting:
		t.answer(v)
		return nil
	}
	v = t.edit(v)
	l = v.Leg(c.Leg)
	if r := setLegState(l, volume.LegLost); r != nil {
		return r
	}
	l.Copied = Copied{}
	t.event(SeverityError, "volume/"+v.Name, "leg_lost",
		"the data of %s of volume %s is gone: %s; replace the leg", t.legName(l), v.Name, c.Reason)
	t.answer(v)
	return nil
}

// replaceLeg adds a blank leg that takes the place of another once it is in sync.
func (t *txn) replaceLeg(c *ReplaceLeg) *Refusal {
	v, r := t.volume(c.Volume)
	if r != nil {
		return r
	}
	if l := v.Leg(c.New.ID); l != nil && l.Node == c.New.Node && l.Store == c.New.Store {
		t.answer(v)
		return nil
	}
	old := v.Leg(c.Old)
	switch {
	case old == nil:
		return refuse(CodeNotFound, "volume %s has no leg %s", v.Name, c.Old)
	case v.Phase == volume.PhaseProvisioning || v.Phase == volume.PhaseFrozen || v.Deleting:
		return refuse(CodeBusy, "no leg of volume %s can be replaced while it is %s", v.Name, v.standing())
	case v.VerifyAll:
		// A leg that is on its way in as far as is known may be in sync, and must not be dropped for another.
		return refuse(CodeBusy, "no leg of volume %s can be replaced before all of them have answered: attach it once",
			v.Name)
	case v.Replacement(c.Old) != nil:
		return refuse(CodeBusy, "%s of volume %s is being replaced by %s already",
			t.legName(old), v.Name, t.legName(v.Replacement(c.Old)))
	}
	v = t.edit(v)
	old = v.Leg(c.Old)
	replaces := c.Old
	if !old.Replaces.IsZero() && !v.inSync(old.ID) {
		// It was itself a replacement that never got in sync: nothing is lost with it.
		replaces = old.Replaces
		t.drop(v, old)
	} else {
		old.Retiring = true
	}
	if r := t.placeable(v, c.New, replaces); r != nil {
		return r
	}
	if c.Ordered {
		if r := t.countMove(); r != nil {
			return r
		}
	}
	v.Legs = append(v.Legs, &Leg{ID: c.New.ID, Node: c.New.Node, Store: c.New.Store, Slot: old.Slot,
		State: volume.LegRebuilding, Replaces: replaces, Ordered: c.Ordered})
	t.event(SeverityInfo, "volume/"+v.Name, "leg_replacing", "%s of volume %s is to take the place of %s",
		t.legName(v.Leg(c.New.ID)), v.Name, t.legName(old))
	t.answer(v)
	return nil
}

// standing is the volume's phase, or that it is being deleted, for messages.
func (v *Volume) standing() string {
	if v.Deleting {
		return "being deleted"
	}
	return string(v.Phase)
}
