package control

import (
	"fmt"
	"slices"

	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// Replace finds places for the legs of nodes that are being replaced or removed, and for lost legs.
//
// It guarantees that every leg on a retiring node gets a replacement on another node: on the node
// that takes the old one's place as soon as that lives, on any if there is none such; and that a leg
// whose data is proven gone gets one after Timing.LegLost. The old leg serves until the new one is
// in sync. Where no place is found nothing is done, and health says what is missing.
func Replace(v *View) []raft.Command {
	var out []raft.Command
	stores := v.Stores()
	for _, vol := range v.State.SortedVolumes() {
		if vol.Deleting || vol.Phase == volume.PhaseProvisioning || vol.Phase == volume.PhaseFrozen {
			continue
		}
		for _, l := range vol.Legs {
			if vol.Replacement(l.ID) != nil || !v.wantsReplacement(l) {
				continue
			}
			spot, err := v.placeReplacement(vol, l, stores)
			if err != nil {
				continue
			}
			reserve(stores, spot, LegBytes(vol))
			out = append(out, raft.Command{ReplaceLeg: &raft.ReplaceLeg{Volume: vol.ID, Old: l.ID,
				New: raft.NewLeg{
					ID: volume.LegID{UUID: v.NewID()}, Node: spot.Node, Store: spot.Store, Slot: l.Slot,
				}}})
		}
	}
	return out
}

// wantsReplacement reports whether a leg is to leave.
func (v *View) wantsReplacement(l *raft.Leg) bool {
	if n := v.State.Nodes[l.Node]; n == nil || n.Retiring {
		return true
	}
	if l.State != volume.LegLost {
		return false
	}
	since, seen := v.Facts.lost[l.ID]
	return seen && v.Now.Sub(since) >= v.Timing.LegLost
}

// placeReplacement finds the place of the leg that replaces l. A node that takes another's place
// gets that one's legs; until it lives the legs wait for it, so that they are not copied twice. A
// lost leg comes back to its own node if that has room: the volume then stays spread as it was.
func (v *View) placeReplacement(vol *raft.Volume, l *raft.Leg, stores []raft.StoreUse) (raft.Spot, error) {
	request := raft.PlaceRequest{
		Legs: 1, NeedBytes: LegBytes(vol), Stores: stores,
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
		if n.Retiring && v.Holds(n.ID) == "" && !v.votes(n.ID) && !slices.Contains(v.Learners, n.ID) &&
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

// Holds returns what is still on a node, as a phrase, "" if nothing is.
func (v *View) Holds(id volume.NodeID) string {
	for _, vol := range v.State.SortedVolumes() {
		if vol.Attach != nil && vol.Attach.Host == id {
			return fmt.Sprintf("it holds volume %s: holdfast volume attach %s --host OTHER --takeover",
				vol.Name, vol.Name)
		}
		for _, l := range vol.Legs {
			if l.Node == id {
				return fmt.Sprintf("it has a leg of volume %s", vol.Name)
			}
		}
	}
	for _, d := range v.State.SortedDomains() {
		if d.Running && d.Host == id {
			return fmt.Sprintf("domain %s is placed on it", d.Name)
		}
	}
	return ""
}
