package raft

import (
	"fmt"
	"slices"

	"github.com/holdfast-storage/holdfast/volume"
)

// AdoptLeg is a storage node's report of a leg that it found on its disks and that the catalogue lacks, while
// that is completed from labels (Cluster.FromLegs).
type AdoptLeg struct {
	Node  volume.NodeID  `json:"node"`
	Store volume.StoreID `json:"store"`
	Label volume.Label   `json:"label"`
}

// EndRebuild is an operator's word that every leg was found: it ends the time in which legs that nobody knows become
// parts of volumes, and volumes that are VerifyAll may be activated from then on.
type EndRebuild struct{}

func (t *txn) endRebuild(*EndRebuild) *Refusal {
	if t.state.Cluster.FromLegs {
		t.state.Cluster.FromLegs = false
		t.event(SeverityInfo, "cluster", "rebuild_ended", "the operator says that every leg was found: volumes go on "+
			"once their legs have answered, and legs that nobody knows are no longer taken into them")
	}
	return nil
}

// adoptLeg takes a leg into the volume that its label names, and makes the volume if it is the first. What the
// labels show decides when the volume is attached and every leg has answered; here they only have to be of
// one volume.
func (t *txn) adoptLeg(c *AdoptLeg) *Refusal {
	node, label := t.state.Nodes[c.Node], c.Label
	known, l := t.state.LegByID(label.LegID)
	switch {
	case node == nil || !node.Has(RoleStorage) || node.Pending:
		return refuse(CodeNotFound, "node %s is no storage node of this cluster", c.Node)
	case !slices.ContainsFunc(node.Stores, func(s Store) bool { return s.ID == c.Store }):
		return refuse(CodeNotFound, "node %s has no store %s", node.Name, c.Store)
	case label.StoreID != c.Store:
		return invalid("leg %s on %s was made on store %s: it is a copy", label.LegID, node.Name, label.StoreID)
	case l != nil && l.Node == c.Node && l.Store == c.Store:
		return nil
	case l != nil:
		return t.freezeAdopted(known, fmt.Sprintf("leg %s is on %s and on %s: one is a copy, and which one is older "+
			"cannot be told", l.ID, t.state.NodeName(l.Node), node.Name))
	case !t.state.Cluster.FromLegs:
		return invalid("leg %s on %s is of no volume: it is kept and not used", label.LegID, node.Name)
	}
	if _, buried := t.state.Tombs[label.LegID]; buried {
		return invalid("leg %s was deleted", label.LegID)
	}
	if r := checkAdoptable(label); r != nil {
		return r
	}
	v := t.state.Volumes[label.VolumeID]
	if v != nil && v.Deleting { // nobody would tell its node to delete it, and volume and node would never be gone
		return invalid("leg %s on %s is of volume %s, which is being deleted: it is kept and not used",
			label.LegID, node.Name, v.Name)
	}
	if v == nil {
		v = t.adoptVolume(label)
	}
	if why := differs(v, label); why != "" {
		return t.freezeAdopted(v, fmt.Sprintf("leg %s on %s %s", label.LegID, node.Name, why))
	}
	v = t.edit(v)
	if !t.state.Was(label.Incarnation) {
		t.state.Former = append(slices.Clone(t.state.Former), label.Incarnation)
	}
	found := &Leg{ID: label.LegID, Node: c.Node, Store: c.Store, Slot: label.Slot, Provisioned: true,
		State: volume.LegInSync, SeenCfg: label.Config.CfgVer}
	switch {
	case !v.VerifyAll || !v.Promoted.IsZero(): // it is settled without it
		found.State, found.GivenUp = volume.LegQuarantined, true
	case v.Rebuilt && v.Phase != volume.PhaseProvisioning:
		v.InSync = append(v.InSync, found.ID)
		sortLegs(v.InSync)
	default: // made since; whether it is in sync, labels say
		found.State = volume.LegStale
	}
	v.Legs = append(v.Legs, found)
	v.SeenEpoch, v.SeenCfg = max(v.SeenEpoch, label.FenceEpoch), max(v.SeenCfg, label.Config.CfgVer)
	t.event(SeverityInfo, "volume/"+v.Name, "leg_found", "%s of volume %s was found: slot %d, epoch %s, cfgver %s, %s",
		t.legName(found), v.Name, found.Slot, label.FenceEpoch, label.Config.CfgVer, found.State)
	t.answer(v)
	return nil
}

// checkAdoptable refuses a label that is none of a leg that could be used.
func checkAdoptable(l volume.Label) *Refusal {
	switch {
	case l.VolumeID.IsZero() || l.LegID.IsZero() || l.Layout.Legs() < 1 || l.Slot < 0 || l.Slot >= l.Layout.Legs() ||
		l.SizeBytes <= 0 || l.SizeBytes%volume.BlockBytes != 0:
		return invalid("the label of leg %s says nothing that can be of a volume", l.LegID)
	case uint64(l.FenceEpoch) >= numbersMax || uint64(l.Config.CfgVer) >= numbersMax:
		return invalid("leg %s: epoch %s or cfgver %s cannot be", l.LegID, l.FenceEpoch, l.Config.CfgVer)
	}
	return nil
}

// differs returns how a label cannot be of a volume's leg, "" if it can.
func differs(v *Volume, l volume.Label) string {
	switch {
	case !v.VerifyAll && v.Phase == volume.PhaseProvisioning:
		return "is of a volume that is being made"
	case l.SizeBytes != v.SizeBytes || l.Layout != v.Layout || l.Durability != v.Durability:
		return fmt.Sprintf("is of a volume of %s, %s, %s, the others are of one of %s, %s, %s",
			volume.FormatSize(l.SizeBytes), l.Layout, l.Durability, volume.FormatSize(v.SizeBytes), v.Layout,
			v.Durability)
	case l.DataGen != v.DataGen:
		return "is of another lineage of the data than the others"
	}
	return ""
}

// adoptVolume makes the volume that a label is of.
func (t *txn) adoptVolume(l volume.Label) *Volume {
	name := l.VolumeName
	if volume.CheckName("volume", name) != nil || t.state.VolumeByName(name) != nil {
		name = "found-" + l.VolumeID.Short()
	}
	v := &Volume{
		ID: l.VolumeID, Name: name, SizeBytes: l.SizeBytes, Layout: l.Layout, Durability: l.Durability,
		UnflushedLoss: volume.LossWait, DataGen: l.DataGen, Phase: volume.PhaseDetached, CreatedAt: t.at,
		VerifyAll: true, Rebuilt: true,
	}
	t.state.Volumes[v.ID], t.changed = v, true
	t.event(SeverityInfo, "volume/"+v.Name, "volume_found", "volume %s (%s, %s) was found on disks", v.Name,
		volume.FormatSize(v.SizeBytes), v.Layout)
	return v
}

// freezeAdopted freezes a volume whose legs contradict each other. Nothing of the report is taken in.
func (t *txn) freezeAdopted(v *Volume, why string) *Refusal {
	r := refuse(CodeFrozen, "volume %s is frozen: %s; an operator must decide", v.Name, why)
	if v.Phase == volume.PhaseFrozen {
		return r
	}
	v = t.edit(v)
	if r := setPhase(v, volume.PhaseFrozen); r != nil {
		return r
	}
	t.keep, v.FrozenWhy = true, why
	t.event(SeverityError, "volume/"+v.Name, "frozen", "volume %s is frozen: %s", v.Name, why)
	return r
}

// wholeFromLegs refuses to go on from labels that leave a doubt whether a leg is missing that knows more: one
// of a slot that nobody has found may have gone on alone, and legs that never had a configuration may be
// blank ones that were to take the place of those with the data.
func (t *txn) wholeFromLegs(v *Volume, newest volume.Config) *Refusal {
	if newest.CfgVer == 0 {
		return t.undecided(v, "none of the legs that were found ever had a configuration: either nothing was ever "+
			"written, or the legs with the data were not found")
	}
	for slot := range v.Layout.Legs() {
		if !slices.ContainsFunc(v.Legs, func(l *Leg) bool { return l.Slot == slot && !l.GivenUp }) {
			return t.undecided(v, "no leg of slot %d (of %s) was found", slot, v.Layout)
		}
	}
	return nil
}
