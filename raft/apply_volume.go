package raft

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/holdfast-storage/holdfast/volume"
)

// createVolume records the intent of a volume. Its nodes make the legs.
func (t *txn) createVolume(c *CreateVolume) *Refusal {
	durability := cmp.Or(c.Durability, volume.DurabilityFlush)
	loss := cmp.Or(c.UnflushedLoss, volume.LossWait)
	if v := t.state.Volumes[c.ID]; v != nil {
		if v.Name != c.Name || v.SizeBytes != c.SizeBytes || v.Layout != c.Layout || !v.isClone(c.Clone) {
			return refuse(CodeExists, "the id %s belongs to volume %s", c.ID, v.Name)
		}
		t.answer(v)
		return nil
	}
	if r := t.checkVolume(c, durability, loss); r != nil {
		return r
	}
	clone, r := t.newClone(c)
	if r != nil {
		return r
	}
	v := &Volume{
		ID: c.ID, Name: c.Name, SizeBytes: c.SizeBytes, Layout: c.Layout,
		Durability: durability, UnflushedLoss: loss, DataGen: c.DataGen,
		Phase:  volume.PhaseProvisioning,
		Epoch:  volume.FirstEpoch(t.state.Cluster.RestoreGen),
		CfgVer: volume.FirstCfgVer(t.state.Cluster.RestoreGen), CreatedAt: t.at, ScrubEvery: c.ScrubEvery,
		Spread: c.Spread, Apart: slices.Clone(c.Apart), Limit: c.Limit, Clone: clone,
	}
	for i, n := range c.Legs {
		if n.Slot != i {
			return invalid("volume %s: leg %d says that its slot is %d", c.Name, i, n.Slot)
		}
		if r := t.placeable(v, n, volume.LegID{}); r != nil {
			return r
		}
		v.Legs = append(v.Legs, &Leg{
			ID: n.ID, Node: n.Node, Store: n.Store, Slot: n.Slot, State: volume.LegRebuilding,
		})
	}
	t.state.Volumes[c.ID], t.changed = v, true
	t.event(SeverityInfo, "volume/"+v.Name, "volume_provisioning", "volume %s (%s, %s) is being made",
		v.Name, volume.FormatSize(v.SizeBytes), v.Layout)
	t.answer(v)
	return nil
}

// checkVolume returns what is wrong with a new volume besides the places of its legs.
func (t *txn) checkVolume(c *CreateVolume, durability volume.Durability, loss volume.UnflushedLoss) *Refusal {
	if t.state.Cluster.ID.IsZero() {
		return refuse(CodeBusy, "the cluster has no name yet: initialise it first")
	}
	if c.ID.IsZero() || c.DataGen.IsZero() {
		return invalid("volume %s: it needs an id and a data generation", c.Name)
	}
	if err := volume.CheckName("volume", c.Name); err != nil {
		return invalid("%v", err)
	}
	if v := t.state.VolumeByName(c.Name); v != nil {
		return refuse(CodeExists, "volume %s exists already (it is %s)", c.Name, v.standing())
	}
	if err := volume.CheckSize(c.SizeBytes); err != nil {
		return invalid("volume %s: %v", c.Name, err)
	}
	if _, err := volume.ParseDurability(string(durability)); err != nil {
		return invalid("volume %s: %v", c.Name, err)
	}
	if loss != volume.LossWait && loss != volume.LossAccept {
		return invalid("volume %s: unflushed_loss %q is unknown (wait or accept)", c.Name, loss)
	}
	if r := checkScrubEvery(c.Name, c.ScrubEvery); r != nil {
		return r
	}
	if err := c.Limit.Check(); err != nil {
		return invalid("volume %s: %v", c.Name, err)
	}
	if r := t.checkPlacement(c); r != nil {
		return r
	}
	switch {
	case c.Layout.Kind == volume.KindParity && !t.state.Uses(2):
		return invalid("volume %s: layout %s: parity needs cluster version 2, which not every node understands yet",
			c.Name, c.Layout)
	case c.Layout.Check() != nil:
		return invalid("volume %s: %v", c.Name, c.Layout.Check())
	case len(c.Legs) != c.Layout.Legs():
		return invalid("volume %s: layout %s has %d legs on as many storage nodes, not %d",
			c.Name, c.Layout, c.Layout.Legs(), len(c.Legs))
	}
	return nil
}

// placeable returns why a new leg of v cannot be where it is said to be. A leg may share its node
// with the one that it replaces, never with another of its volume.
func (t *txn) placeable(v *Volume, n NewLeg, replaces volume.LegID) *Refusal {
	node := t.state.Nodes[n.Node]
	switch {
	case n.ID.IsZero():
		return invalid("volume %s: a leg has no id", v.Name)
	case node == nil:
		return refuse(CodeNotFound, "volume %s: no node has the id %s", v.Name, n.Node)
	case !node.Has(RoleStorage) || node.Pending || node.Retiring:
		return invalid("volume %s: node %s takes no new legs (it needs the role storage and must not be "+
			"drained or replaced)", v.Name, node.Name)
	case !slices.ContainsFunc(node.Stores, func(s Store) bool { return s.ID == n.Store }):
		return refuse(CodeNotFound, "volume %s: node %s has no store %s", v.Name, node.Name, n.Store)
	}
	if other, _ := t.state.LegByID(n.ID); other != nil {
		return refuse(CodeExists, "leg %s belongs to volume %s", n.ID, other.Name)
	}
	if _, buried := t.state.Tombs[n.ID]; buried || v.Leg(n.ID) != nil {
		return refuse(CodeExists, "the id of leg %s was used before", n.ID)
	}
	for _, l := range v.Legs {
		if l.Node == n.Node && l.ID != replaces {
			return invalid("volume %s: two legs on %s: each needs a node of its own, so %s needs %d storage nodes",
				v.Name, node.Name, v.Layout, v.Layout.Legs())
		}
		if l.Store == n.Store && l.ID == replaces && l.usable() {
			return invalid("volume %s: store %s of %s holds the leg that is to be replaced",
				v.Name, n.Store, node.Name)
		}
	}
	return t.keepsApart(v, node, replaces)
}

// deleteVolume allows the nodes to delete a volume's legs. The volume is forgotten when the last one
// is gone.
func (t *txn) deleteVolume(c *DeleteVolume) *Refusal {
	v, r := t.volume(c.Volume)
	if r != nil {
		return r
	}
	if v.Deleting {
		t.answer(v)
		return nil
	}
	switch d := t.userOf(v.Name); {
	case v.Phase == volume.PhaseFrozen:
		return refuse(CodeFrozen, "volume %s is frozen: an operator must decide before it is deleted", v.Name)
	case v.Attach != nil && !v.Attach.NoGuests():
		return refuse(CodeBusy, "volume %s is attached to %s: detach it first",
			v.Name, t.state.NodeName(v.Attach.Host))
	case t.state.FilledFrom(v.ID) != nil:
		return refuse(CodeBusy, "volume %s is being filled with what %s holds: wait until it is cut, or delete it",
			t.state.FilledFrom(v.ID).Name, v.Name)
	case d != nil:
		return refuse(CodeBusy, "volume %s is used by domain %s: delete the domain first", v.Name, d.Name)
	}
	if v.Attach != nil {
		if r := t.endAttach(v, false); r != nil {
			return r
		}
	}
	t.cloneDeleted(v)
	v = t.edit(t.state.Volumes[v.ID])
	v.Deleting = true
	t.event(SeverityInfo, "volume/"+v.Name, "volume_deleting", "volume %s is being deleted", v.Name)
	for _, l := range slices.Clone(v.Legs) {
		if t.state.Nodes[l.Node] == nil {
			t.drop(v, l)
			continue
		}
		t.bury(v, l)
	}
	t.answer(v)
	t.forgetIfGone(v)
	return nil
}

// userOf returns the first domain, running or not, that names a volume; nil if none does.
func (t *txn) userOf(volumeName string) *Domain {
	for _, d := range t.state.SortedDomains() {
		if d.Spec.Uses(volumeName) {
			return d
		}
	}
	return nil
}

// legDeleted settles a tombstone. No host can read the leg any more, so it is no longer granted.
func (t *txn) legDeleted(c *LegDeleted) *Refusal {
	v, l := t.state.LegByID(c.Leg)
	if l != nil && !v.Deleting {
		return invalid("%s of volume %s is in use: nothing allowed to delete it", t.legName(l), v.Name)
	}
	if _, ok := t.state.Tombs[c.Leg]; !ok {
		return nil // settled before
	}
	delete(t.state.Tombs, c.Leg)
	t.changed = true
	for _, other := range t.state.SortedVolumes() {
		if slices.Contains(other.Granted, c.Leg) {
			other = t.edit(other)
			other.Granted = without(other.Granted, func(id volume.LegID) bool { return id == c.Leg })
		}
	}
	if l != nil {
		v = t.edit(t.state.Volumes[v.ID])
		v.Legs = slices.DeleteFunc(v.Legs, func(o *Leg) bool { return o.ID == c.Leg })
		t.forgetIfGone(v)
	}
	return nil
}

// forgetIfGone drops a deleted volume that has no leg left.
func (t *txn) forgetIfGone(v *Volume) {
	if v.Deleting && len(v.Legs) == 0 {
		delete(t.state.Volumes, v.ID)
		t.event(SeverityInfo, "volume/"+v.Name, "volume_deleted", "volume %s is deleted", v.Name)
	}
}

// initCluster names a new cluster.
func (t *txn) initCluster(c *InitCluster) *Refusal {
	have := t.state.Cluster
	switch err := volume.CheckName("cluster", c.Name); {
	case err != nil:
		return invalid("%v", err)
	case c.ID.IsZero() || c.Incarnation.IsZero():
		return invalid("cluster %s: it needs an id and an incarnation", c.Name)
	case have.ID == c.ID && have.Name == c.Name:
		return nil
	case !have.ID.IsZero():
		return refuse(CodeExists, "these coordinators serve cluster %s (%s) already", have.Name, have.ID)
	}
	t.state.Cluster = Cluster{Name: c.Name, ID: c.ID, Incarnation: c.Incarnation}
	t.event(SeverityInfo, "cluster", "cluster_created", "cluster %s exists", c.Name)
	return nil
}

// recordEvent keeps an event of the leader's own.
func (t *txn) recordEvent(c *RecordEvent) *Refusal {
	e := c.Event
	known := []string{SeverityInfo, SeverityWarning, SeverityError}
	if !slices.Contains(known, e.Severity) || e.Object == "" || e.Kind == "" || e.Message == "" {
		return invalid("an event needs a severity (%s), an object, a kind and a message", fmt.Sprint(known))
	}
	t.event(e.Severity, e.Object, e.Kind, "%s", e.Message)
	return nil
}
