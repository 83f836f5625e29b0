package raft

import (
	"time"

	"github.com/holdfast-storage/holdfast/volume"
)

// ReplaceAfterDefault is how long a leg cannot be reached before another takes its place, unless the volume
// or the cluster says otherwise: longer than a machine takes to start again.
const ReplaceAfterDefault = 10 * time.Minute

// ReplaceAfterMin is the shortest such time: below it a restart would cost a full copy.
const ReplaceAfterMin = 10 * time.Second

// ReplaceAfterOf returns how long a leg of a volume cannot be reached before another takes its place;
// ok is false if none ever does.
func (s *State) ReplaceAfterOf(v *Volume) (after time.Duration, ok bool) {
	after = v.ReplaceAfter
	if after == 0 {
		after = s.Cluster.ReplaceAfter
	}
	if after == 0 {
		after = ReplaceAfterDefault
	}
	return after, after > 0
}

// setReplaceAfter keeps the setting.
func (t *txn) setReplaceAfter(c *SetReplaceAfter) *Refusal {
	if c.After > 0 && c.After < ReplaceAfterMin {
		return invalid("replace after %v: the shortest time is %v, a negative one is never, 0 the default",
			c.After, ReplaceAfterMin)
	}
	if c.Volume.IsZero() {
		if t.state.Cluster.ReplaceAfter != c.After {
			t.state.Cluster.ReplaceAfter = c.After
			t.event(SeverityInfo, "cluster", "replace_after", "legs that cannot be reached are replaced %s",
				afterWords(c.After, ReplaceAfterDefault.String()))
		}
		return nil
	}
	v, r := t.volume(c.Volume)
	if r != nil {
		return r
	}
	if v.ReplaceAfter != c.After {
		v = t.edit(v)
		v.ReplaceAfter = c.After
		t.event(SeverityInfo, "volume/"+v.Name, "replace_after",
			"legs of volume %s that cannot be reached are replaced %s", v.Name,
			afterWords(c.After, "the cluster's time"))
	}
	t.answer(v)
	return nil
}

func afterWords(d time.Duration, otherwise string) string {
	switch {
	case d < 0:
		return "never"
	case d == 0:
		return "after " + otherwise
	}
	return "after " + d.String()
}

// keepNode ends the draining or removal of a node. What has left it already does not come back by itself.
func (t *txn) keepNode(c *KeepNode) *Refusal {
	n := t.state.Nodes[c.Node]
	switch {
	case n == nil:
		return refuse(CodeNotFound, "no node has the id %s", c.Node)
	case !n.Retiring:
		return nil
	case !n.ReplacedBy.IsZero():
		return refuse(CodeBusy, "node %s gives its place to %s, which has its name or its hosts' place already",
			n.Name, t.state.NodeName(n.ReplacedBy))
	}
	kept := *n
	kept.Retiring, kept.Stays = false, false
	t.state.Nodes[n.ID], t.changed = &kept, true
	t.event(SeverityInfo, "node/"+n.Name, "node_kept", "node %s is used again", n.Name)
	for _, v := range t.state.SortedVolumes() {
		for _, l := range v.Legs {
			if l.Node == n.ID && v.inSync(l.ID) && l.usable() {
				v = t.keepInPlace(v, l.ID)
			}
		}
	}
	return nil
}

// keepLeg ends the replacement of one leg, see KeepLeg.
func (t *txn) keepLeg(c *KeepLeg) *Refusal {
	v, r := t.volume(c.Volume)
	if r != nil {
		return r
	}
	l := v.Leg(c.Leg)
	switch {
	case l == nil:
		return refuse(CodeNotFound, "volume %s has no leg %s", v.Name, c.Leg)
	case v.unverified():
		return refuse(CodeBusy, "no leg of volume %s keeps its place before all of them have answered: attach it once",
			v.Name)
	case !l.usable():
		return invalid("%s of volume %s is %s: only its replacement can take part", t.legName(l), v.Name, l.State)
	}
	t.answer(t.keepInPlace(v, c.Leg))
	return nil
}

// unverified reports whether the legs may know more of the volume than is known here.
func (v *Volume) unverified() bool { return v.VerifyAll || v.Phase == volume.PhaseFrozen }

// keepInPlace lets the leg go that was to take the place of old, if it is not in sync, and returns the volume as
// it is then. Nothing is lost with it: acks may need such a leg, but no list that was committed names it,
// and an AddLeg that is on its way finds it gone. Where lists may have been committed that are not known here,
// nobody is let go: the heir may be the one leg that has the latest writes.
func (t *txn) keepInPlace(v *Volume, old volume.LegID) *Volume {
	heir := v.Replacement(old)
	if v.unverified() || heir == nil || v.inSync(heir.ID) || v.Replacement(heir.ID) != nil {
		return v
	}
	v = t.edit(v)
	l := v.Leg(old)
	l.Retiring = false
	t.event(SeverityInfo, "volume/"+v.Name, "leg_kept", "%s of volume %s keeps its place, %s is let go",
		t.legName(l), v.Name, t.legName(heir))
	t.drop(v, v.Leg(heir.ID))
	return v
}
