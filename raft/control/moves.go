package control

import (
	"cmp"
	"slices"

	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// RebalanceTolerance is how much fuller than another, in thousandths of what it can hold, a store may be
// promised before a leg moves from one to the other.
const RebalanceTolerance = 100

// movesMax bounds how many moves are looked ahead.
const movesMax = 1000

// Moves returns the moves that make stores even and heal the spread of volumes, in order, as if each were done
// before the next is decided. What is under way counts as done. A volume that is attached nowhere moves, too:
// maintenance copies it.
func (v *View) Moves() []raft.ReplaceLeg {
	b := &balance{view: v, state: v.State, stores: v.Stores()}
	for _, vol := range v.State.SortedVolumes() {
		for _, l := range vol.Legs {
			if old := vol.Leg(l.Replaces); old != nil {
				b.settle(vol, old, raft.NewLeg{ID: l.ID, Node: l.Node, Store: l.Store, Slot: l.Slot}, true)
			}
		}
	}
	var moves []raft.ReplaceLeg
	for len(moves) < movesMax {
		m := b.next()
		if m == nil {
			break
		}
		moves = append(moves, *m)
		vol := b.state.Volumes[m.Volume]
		b.settle(vol, vol.Leg(m.Old), m.New, false)
	}
	return moves
}

// balance is the state as it will be, and what stores will have promised then.
type balance struct {
	view   *View
	state  *raft.State
	stores []raft.StoreUse
}

// settle lets a move be done. promised says that the new leg's space is set aside already.
func (b *balance) settle(vol *raft.Volume, old *raft.Leg, fresh raft.NewLeg, promised bool) {
	b.state = b.state.Settled(vol.ID, old.ID, fresh)
	for i := range b.stores {
		switch st := &b.stores[i]; {
		case st.Store == old.Store:
			st.FreeBytes += vol.StoreBytes()
		case st.Store == fresh.Store && !promised:
			st.FreeBytes -= vol.StoreBytes()
		}
	}
}

// next returns the best move, nil if none is worth it: first one that lets a volume share fewer domains, then
// one from the fullest store that has any.
func (b *balance) next() *raft.ReplaceLeg {
	for _, vol := range b.state.SortedVolumes() {
		if !movable(vol) || !b.crowded(vol) {
			continue
		}
		if m := b.healSpread(vol); m != nil {
			return m
		}
	}
	emptiest := -1
	for _, st := range b.stores {
		if st.Error == "" && !st.NearlyFull && st.TotalBytes > 0 && (emptiest < 0 || share(st) < emptiest) {
			emptiest = share(st)
		}
	}
	full := slices.Clone(b.stores)
	slices.SortStableFunc(full, func(x, y raft.StoreUse) int { return -cmp.Compare(share(x), share(y)) })
	for _, st := range full {
		if emptiest < 0 || share(st)-emptiest <= RebalanceTolerance {
			break
		}
		if m := b.relieve(st); m != nil {
			return m
		}
	}
	return nil
}

// share returns how much of a store is promised, in thousandths.
func share(st raft.StoreUse) int {
	if st.TotalBytes <= 0 {
		return 0
	}
	return int(1000 - 1000*float64(st.FreeBytes)/float64(st.TotalBytes))
}

func movable(vol *raft.Volume) bool {
	switch vol.Phase {
	case volume.PhaseDetached, volume.PhaseAttaching, volume.PhaseAttached:
		return !vol.Deleting && !vol.VerifyAll
	}
	return false
}

// crowded reports whether legs of a volume share a zone or rack. Where nothing is known of any location all of
// them do, and no move changes that.
func (b *balance) crowded(vol *raft.Volume) bool {
	zones, racks := b.state.SharedDomains(vol.ID)
	if zones+racks == 0 {
		return false
	}
	for _, n := range b.state.Nodes { // any one will do, so the order of the map does not matter
		if n.Location != (raft.Location{}) {
			return true
		}
	}
	return false
}

// healSpread returns the move after which a volume's legs share fewest domains, nil if none shares fewer than
// now. Of equal ones it is that of the first leg.
func (b *balance) healSpread(vol *raft.Volume) *raft.ReplaceLeg {
	zones, racks := b.state.SharedDomains(vol.ID)
	var best *raft.ReplaceLeg
	for _, l := range vol.Legs {
		m, after := b.place(vol, l, nil)
		if m == nil {
			continue
		}
		z, r := after.SharedDomains(vol.ID)
		if cmp.Or(cmp.Compare(z, zones), cmp.Compare(r, racks)) < 0 {
			best, zones, racks = m, z, r
		}
	}
	return best
}

// relieve returns a move of a leg from a store to one that is emptier by more than the tolerance, also with the
// leg, and where the volume shares no more domains; nil if there is none. The largest leg that can go goes.
func (b *balance) relieve(from raft.StoreUse) *raft.ReplaceLeg {
	type held struct {
		vol *raft.Volume
		leg *raft.Leg
	}
	var legs []held
	for _, vol := range b.state.SortedVolumes() {
		for _, l := range vol.Legs {
			if l.Store == from.Store && movable(vol) {
				legs = append(legs, held{vol, l})
			}
		}
	}
	slices.SortStableFunc(legs, func(x, y held) int { return -cmp.Compare(x.vol.StoreBytes(), y.vol.StoreBytes()) })
	own := []string{b.state.NodeName(from.Node)}
	for _, h := range legs {
		zones, racks := b.state.SharedDomains(h.vol.ID)
		for _, on := range [][]string{nil, own} {
			m, after := b.place(h.vol, h.leg, on)
			if m == nil {
				continue
			}
			z, r := after.SharedDomains(h.vol.ID)
			if cmp.Or(cmp.Compare(z, zones), cmp.Compare(r, racks)) > 0 {
				continue
			}
			for _, st := range b.stores {
				if st.Store == m.New.Store {
					st.FreeBytes -= h.vol.StoreBytes()
					if share(from)-share(st) > RebalanceTolerance {
						return m
					}
				}
			}
		}
	}
	return nil
}

// place finds the best other place of a leg, on these nodes if any are named, and the state with it there; nil
// if there is none.
func (b *balance) place(vol *raft.Volume, l *raft.Leg, on []string) (*raft.ReplaceLeg, *raft.State) {
	spot, err := b.state.PlaceReplacement(vol.ID, l.ID, raft.PlaceRequest{
		NeedBytes: vol.StoreBytes(), Stores: b.stores, On: on,
		Live: func(id volume.NodeID) bool { return b.view.speaks(id) },
	})
	if err != nil {
		return nil, nil
	}
	m := &raft.ReplaceLeg{Volume: vol.ID, Old: l.ID, Ordered: true,
		New: raft.NewLeg{ID: volume.LegID{UUID: b.view.NewID()}, Node: spot.Node, Store: spot.Store, Slot: l.Slot}}
	return m, b.state.Settled(vol.ID, l.ID, m.New)
}
