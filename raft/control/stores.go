package control

import (
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// A store takes no new leg while less than a twentieth of it is free, or less than nearlyFullBytes of
// one that is large enough for that to be little.
const (
	nearlyFullShare = 20
	nearlyFullBytes = 1 << 30
	nearlyFullFrom  = 10 << 30
)

// NearlyFull reports whether so little of a store is free that it takes no new leg.
func NearlyFull(freeBytes, totalBytes int64) bool {
	return freeBytes < totalBytes/nearlyFullShare || totalBytes >= nearlyFullFrom && freeBytes < nearlyFullBytes
}

// Reservation is space of a store that is promised to a leg which is not in the state yet.
type Reservation struct {
	Volume volume.ID // that is created with it; zero for a leg of one that exists
	Store  volume.StoreID
	Bytes  int64
}

// Stores returns the stores that are known to work, for placement. Legs are thin: what a store can hold
// is what is free and what its legs have filled, and of that as much may be promised as the cluster's
// over-provision says. What legs that exist, or are to be made, may still come to need is taken off. A
// lost leg needs no more than it has. What is reserved counts until the state has the leg.
func (v *View) Stores() []raft.StoreUse {
	promised, used := make(map[volume.StoreID]int64), make(map[volume.StoreID]int64)
	for _, r := range v.Reserved {
		promised[r.Store] += r.Bytes
	}
	for _, vol := range v.State.Volumes {
		for _, l := range vol.Legs {
			if r, both := v.Reserved[l.ID]; both {
				promised[r.Store] -= r.Bytes
			}
			fact, condition := v.Leg(l)
			if condition == ConditionUnreachable {
				continue
			}
			used[l.Store] += fact.UsedBytes
			if l.State == volume.LegLost {
				promised[l.Store] += fact.UsedBytes
			} else {
				promised[l.Store] += max(vol.StoreBytes(), fact.UsedBytes)
			}
		}
	}
	percent := float64(v.State.Cluster.OverProvisionPercent()) / 100
	var out []raft.StoreUse
	for _, n := range v.State.SortedNodes() {
		fact := v.Facts.Nodes[n.ID]
		if fact == nil || !v.speaks(n.ID) {
			continue
		}
		for _, st := range fact.Stores {
			total := int64(float64(st.FreeBytes+used[st.ID]) * percent)
			out = append(out, raft.StoreUse{
				Node: n.ID, Store: st.ID, FreeBytes: max(0, total-promised[st.ID]), TotalBytes: total,
				NearlyFull: NearlyFull(st.FreeBytes, st.TotalBytes), Error: st.Error,
			})
		}
	}
	return out
}
