package control

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// Replace finds places for the legs of nodes that are being replaced or removed, and for lost legs.
//
// It guarantees that every leg on a retiring node gets a replacement on another node: on the node
// that takes the old one's place as soon as that lives, on any if there is none such; that a leg
// whose data is proven gone gets one after Timing.LegLost, and one that cannot be reached after its
// volume's time (LeavesAt); and that one which comes back before its replacement is half copied keeps
// its place. The old leg serves until the new one is in sync. The space of each new leg is set aside
// before it is asked for, the volumes that lack most come first, and where no place is found nothing is
// done: WhyJob says what is missing.
func Replace(v *View) []raft.Command {
	var out []raft.Command
	stores := v.Stores()
	for _, j := range v.replacements() {
		if j.keep {
			out = append(out, raft.Command{KeepLeg: &raft.KeepLeg{Volume: j.vol.ID, Leg: j.leg.ID}})
			continue
		}
		spot, err := v.placeReplacement(j.vol, j.leg, stores)
		if err != nil {
			continue
		}
		reserve(stores, spot, j.vol.StoreBytes())
		out = append(out, raft.Command{ReplaceLeg: &raft.ReplaceLeg{Volume: j.vol.ID, Old: j.leg.ID,
			New: raft.NewLeg{
				ID: volume.LegID{UUID: v.NewID()}, Node: spot.Node, Store: spot.Store, Slot: j.leg.Slot,
			}}})
	}
	return out
}

// StillFits reports whether the store that a ReplaceLeg names has room for its leg now. What is asked for
// at the same time (new volumes, other legs) is decided one after the other, each with this question
// last, so that no store is promised twice.
func StillFits(v *View, c *raft.ReplaceLeg) bool {
	vol := v.State.Volumes[c.Volume]
	return vol != nil && slices.ContainsFunc(v.Stores(), func(st raft.StoreUse) bool {
		return st.Node == c.New.Node && st.Store == c.New.Store && st.Error == "" && !st.NearlyFull &&
			st.FreeBytes >= vol.StoreBytes()
	})
}

// replacement is a leg that is to leave, or to keep its place after all.
type replacement struct {
	vol  *raft.Volume
	leg  *raft.Leg
	keep bool
}

// replacements returns what is to be done about legs that leave: those of volumes with the fewest legs that
// are in sync and can be reached first, the oldest volume first among equals.
func (v *View) replacements() []replacement {
	var all []replacement
	for _, vol := range v.sortedVolumes() {
		if vol.Deleting || vol.Phase == volume.PhaseProvisioning || vol.Phase == volume.PhaseFrozen || vol.VerifyAll {
			continue
		}
		for _, l := range vol.Legs {
			switch heir := vol.Replacement(l.ID); {
			case heir == nil && v.wantsReplacement(vol, l):
				all = append(all, replacement{vol: vol, leg: l})
			case heir != nil && v.keepsPlace(vol, l, heir):
				all = append(all, replacement{vol: vol, leg: l, keep: true})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b replacement) int {
		return cmp.Or(cmp.Compare(v.spare(a.vol), v.spare(b.vol)), a.vol.CreatedAt.Compare(b.vol.CreatedAt))
	})
	return all
}

// spare returns how many legs a volume may lose before it cannot be read.
func (v *View) spare(vol *raft.Volume) int { return v.reached(vol) - vol.Layout.Quorum() }

// wantsReplacement reports whether a leg is to leave.
func (v *View) wantsReplacement(vol *raft.Volume, l *raft.Leg) bool {
	if n := v.State.Nodes[l.Node]; n == nil || n.Retiring {
		return true
	}
	at, why := v.LeavesAt(vol, l)
	return why != "" && !v.Now.Before(at) && (l.State == volume.LegLost || !v.mostAreSilent())
}

// mostAreSilent reports whether so much is silent that it is rather the network or the power than the nodes:
// then copying everything elsewhere would only be in the way when they return.
func (v *View) mostAreSilent() bool {
	all, silent := 0, 0
	for _, n := range v.State.Nodes {
		if n.Has(raft.RoleStorage) && !n.Pending && !n.Retiring {
			all++
			if v.Condition(n.ID) == raft.NodeDead {
				silent++
			}
		}
	}
	return v.Braked != "" || silent > 1 && 2*silent > all
}

// LeavesAt returns when a leg that is not on a retiring node is replaced unless it comes back, and why; why
// is empty for one that stays. A leg whose data is gone leaves after Timing.LegLost, one that has not been
// reached for the volume's time (raft.Cluster.ReplaceAfter) then. Nothing that has been away for longer than
// this coordinator has watched is counted as longer.
func (v *View) LeavesAt(vol *raft.Volume, l *raft.Leg) (at time.Time, why string) {
	if l.State == volume.LegLost {
		if since, seen := v.Facts.lost[l.ID]; seen {
			return since.Add(v.Timing.LegLost), "its data is gone"
		}
		return time.Time{}, ""
	}
	after, ok := v.State.ReplaceAfterOf(vol)
	fact, condition := v.Leg(l)
	switch {
	case !ok || v.reaches(vol, l) || l.State == volume.LegQuarantined:
		return time.Time{}, ""
	case condition == ConditionBad:
		return later(fact.Since, v.Facts.firstSeen(l.Node)).Add(after), "it cannot be read"
	case condition == ConditionUnreachable && v.Condition(l.Node) == raft.NodeDead:
		return v.Facts.silentSince(l.Node).Add(after), "its node is silent"
	}
	return time.Time{}, ""
}

// keepsPlace reports whether a leg that was to be replaced since it could not be reached is back, and its
// replacement is not worth waiting for: what the leg missed is usually less than what is left to copy.
func (v *View) keepsPlace(vol *raft.Volume, l, heir *raft.Leg) bool {
	n := v.State.Nodes[l.Node]
	if n == nil || n.Retiring || l.State != volume.LegInSync && l.State != volume.LegStale || l.SetBack ||
		heir.State == volume.LegInSync || heir.Ordered {
		return false
	}
	_, condition := v.Leg(l)
	progress, _, _ := v.LegProgress(vol, heir)
	return condition == ConditionOK && progress < 0.5
}

// placeReplacement finds the place of the leg that replaces l. A node that takes another's place
// gets that one's legs; until it lives the legs wait for it, so that they are not copied twice. A
// lost leg comes back to its own node if that has room: the volume then stays spread as it was.
func (v *View) placeReplacement(vol *raft.Volume, l *raft.Leg, stores []raft.StoreUse) (raft.Spot, error) {
	request := raft.PlaceRequest{
		Legs: 1, NeedBytes: vol.StoreBytes(), Stores: stores,
		Live: func(id volume.NodeID) bool { return v.speaks(id) },
	}
	n := v.State.Nodes[l.Node]
	if n != nil && !n.Retiring && v.speaks(n.ID) {
		own := request
		own.On = []string{n.Name}
		if spot, err := v.State.PlaceReplacement(vol.ID, l.ID, own); err == nil {
			return spot, nil
		}
	}
	if n != nil && n.Retiring {
		if heir := v.State.Nodes[n.ReplacedBy]; heir != nil && heir.Has(raft.RoleStorage) &&
			!hasLeg(vol, heir.ID) {
			request.On = []string{heir.Name}
		}
	}
	return v.State.PlaceReplacement(vol.ID, l.ID, request)
}

func hasLeg(vol *raft.Volume, node volume.NodeID) bool {
	return slices.ContainsFunc(vol.Legs, func(l *raft.Leg) bool { return l.Node == node })
}

// reserve takes a leg's space off a store.
func reserve(stores []raft.StoreUse, spot raft.Spot, bytes int64) {
	for i := range stores {
		if stores[i].Node == spot.Node && stores[i].Store == spot.Store {
			stores[i].FreeBytes = max(0, stores[i].FreeBytes-bytes)
		}
	}
}

// Retire forgets nodes that are being replaced or removed once nothing is left on them.
//
// It guarantees that a node goes only when it has no leg, no attachment, no placed domain and no
// vote, and, as long as it speaks, has deleted the legs that it was told to. Votes are no part of
// the state; Votes says how they move.
func Retire(v *View) []raft.Command {
	var out []raft.Command
	for _, n := range v.State.SortedNodes() {
		if n.Retiring && !n.Stays && v.Holds(n.ID) == "" && !v.votes(n.ID) && !slices.Contains(v.Learners, n.ID) &&
			!v.deletes(n.ID) {
			out = append(out, raft.Command{RemoveNode: &raft.RemoveNode{Node: n.ID}})
		}
	}
	return out
}

// deletes reports whether a node that speaks still has legs to delete. A store that cannot be used
// is not waited for: it is often the reason why the node leaves.
func (v *View) deletes(id volume.NodeID) bool {
	if !v.speaks(id) {
		return false
	}
	works := func(store volume.StoreID) bool {
		return slices.ContainsFunc(v.Facts.Nodes[id].Stores, func(st StoreFact) bool {
			return st.ID == store && st.Error == ""
		})
	}
	for _, tomb := range v.State.Tombs { // any one will do, so the order of the map does not matter
		if tomb.Node == id && works(tomb.Store) {
			return true
		}
	}
	return false
}

// Holds returns what is still on a node, as a phrase, "" if nothing is. Legs of volumes that are being deleted do not
// count: nobody replaces them, and a node that died with one would never be forgotten, nor would the volume.
func (v *View) Holds(id volume.NodeID) string {
	for _, vol := range v.sortedVolumes() {
		if a := vol.Attach; a != nil && a.Host == id {
			if d := v.State.Domains[a.Domain]; d != nil && d.Running && d.Host == id {
				return v.stays(d)
			}
			return fmt.Sprintf("it holds volume %s: holdfast volume attach %s --host OTHER --takeover",
				vol.Name, vol.Name)
		}
		for _, l := range vol.Legs {
			if l.Node == id && !vol.Deleting {
				return fmt.Sprintf("it has a leg of volume %s", vol.Name)
			}
		}
	}
	for _, d := range v.sortedDomains() {
		if d.Running && d.Host == id {
			return v.stays(d)
		}
	}
	return v.onlyHolder(id)
}

// stays says of a domain that it is on its host still, and when it moves.
func (v *View) stays(d *raft.Domain) string {
	if m := d.Migration; m != nil {
		return fmt.Sprintf("domain %s is on it, and is migrated to %s: holdfast operation show %d", d.Name,
			v.State.NodeName(m.To), m.Operation)
	}
	if v.ChooseHost(d.Spec, d.Host) == nil {
		return fmt.Sprintf("domain %s is on it, and no other of its hosts takes it now", d.Name)
	}
	return fmt.Sprintf("domain %s is on it", d.Name)
}
