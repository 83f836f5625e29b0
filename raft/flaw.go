package raft

import (
	"fmt"
	"slices"

	"github.com/holdfast-storage/holdfast/volume"
)

// FreezeVolume stops a volume that the leader finds in a state that cannot be. Apply looks for itself: a
// volume that is sound is left alone.
type FreezeVolume struct {
	Volume volume.ID `json:"volume"`
}

func (t *txn) freezeVolume(c *FreezeVolume) *Refusal {
	v := t.state.Volumes[c.Volume]
	if v == nil {
		return refuse(CodeNotFound, "no volume has the id %s", c.Volume)
	}
	if v.Phase != volume.PhaseFrozen && v.flaw() != "" {
		t.freezeFlawed(v)
		v = t.state.Volumes[c.Volume]
	}
	t.answer(v)
	return nil
}

// sound refuses a volume whose row breaks the invariants, and freezes it: one bad row is no reason for the
// others to stop, and no reason to go on with it. All replicas have the same row, so they do so alike.
func (t *txn) sound(v *Volume) *Refusal {
	if v.Phase == volume.PhaseFrozen || !t.state.Uses(2) || v.flaw() == "" {
		return nil
	}
	t.freezeFlawed(v)
	t.keep = true
	return refuse(CodeFrozen, "volume %s is frozen: %s; an operator must decide", v.Name,
		t.state.Volumes[v.ID].FrozenWhy)
}

// freezeFlawed freezes a volume from whatever phase it says that it is in.
func (t *txn) freezeFlawed(v *Volume) {
	v = t.edit(v)
	v.FrozenWhy = "what is known of it cannot be: " + v.flaw()
	v.Phase = volume.PhaseFrozen // not by setPhase: the phase may be the flaw
	t.event(SeverityError, "volume/"+v.Name, "frozen", "volume %s is frozen: %s", v.Name, v.FrozenWhy)
}

// whole refuses a state of which parts are missing, so that nothing can be made of it: a volume that is whole
// and cannot be is frozen instead.
func (s *State) whole() error {
	for id, n := range s.Nodes {
		if n == nil || n.ID != id {
			return fmt.Errorf("node %s is not there", id)
		}
	}
	for name, d := range s.Domains {
		if d == nil || d.Name != name {
			return fmt.Errorf("domain %s is not there", name)
		}
	}
	for id, v := range s.Volumes {
		if v == nil || v.ID != id || slices.Contains(v.Legs, nil) {
			return fmt.Errorf("volume %s, or a leg of it, is not there", id)
		}
	}
	return nil
}

// Flaw returns how a volume breaks the invariants, "" for one that is sound. It happens only when a program
// with a bug wrote the state, or when a state was put together from what was left of one.
func (v *Volume) Flaw() string { return v.flaw() }

// flaw returns how the row of a volume breaks the invariants.
func (v *Volume) flaw() string {
	attached := v.Phase == volume.PhaseAttaching || v.Phase == volume.PhaseAttached
	switch {
	case v.Phase != volume.PhaseProvisioning && v.Phase != volume.PhaseDetached && v.Phase != volume.PhaseFrozen &&
		!attached:
		return fmt.Sprintf("it is in the phase %q", v.Phase)
	case attached != (v.Attach != nil) && v.Phase != volume.PhaseFrozen:
		return fmt.Sprintf("it is %s, and its attachment says otherwise", v.Phase)
	case v.Layout.Legs() < 1 || v.Layout.Quorum() < 1:
		return "it has no layout"
	case v.SizeBytes <= 0 || v.SizeBytes%volume.BlockBytes != 0:
		return fmt.Sprintf("it has a size of %d bytes", v.SizeBytes)
	case v.Promoted.IsZero() != (v.Leg(v.Promoted) == nil):
		return fmt.Sprintf("leg %s was promoted and is not there", v.Promoted)
	}
	for i, l := range v.Legs {
		if why := v.legFlaw(i, l); why != "" {
			return why
		}
	}
	if v.Deleting || v.Phase == volume.PhaseProvisioning {
		return ""
	}
	if !v.enough(v.InSync) {
		return fmt.Sprintf("%d legs are in sync, it needs %d", v.Worth(v.InSync), v.Layout.Quorum())
	}
	for i, id := range v.InSync {
		if v.Leg(id) == nil || slices.Contains(v.InSync[:i], id) {
			return fmt.Sprintf("its in-sync list names leg %s, which is not there or is named twice", id)
		}
	}
	return ""
}

// legFlaw returns how a leg of a volume breaks the invariants.
func (v *Volume) legFlaw(i int, l *Leg) string {
	what := ""
	switch {
	case l.ID.IsZero() || l.Node.IsZero() || l.Store.IsZero():
		what = "has no id, node or store"
	case slices.ContainsFunc(v.Legs[:i], func(o *Leg) bool { return o.ID == l.ID }):
		what = "is there twice"
	case l.Slot < 0 || l.Slot >= v.Layout.Legs():
		what = fmt.Sprintf("is in slot %d", l.Slot)
	case l.FencedEpoch > v.Epoch:
		what = fmt.Sprintf("was fenced in epoch %s, which was not granted yet", l.FencedEpoch)
	case l.JoinedCfg > v.CfgVer || l.LastISRCfg > v.CfgVer:
		what = fmt.Sprintf("was in sync in a configuration above cfgver %s", v.CfgVer)
	case !slices.Contains([]volume.LegState{volume.LegInSync, volume.LegStale, volume.LegRebuilding, volume.LegLost,
		volume.LegQuarantined}, l.State):
		what = fmt.Sprintf("is %q", l.State)
	case !v.Deleting && v.Phase != volume.PhaseProvisioning && l.usable() &&
		v.inSync(l.ID) != (l.State == volume.LegInSync):
		what = fmt.Sprintf("is %s, and the in-sync list says otherwise", l.State)
	}
	if what == "" {
		return ""
	}
	return fmt.Sprintf("leg %s %s", l.ID, what)
}
