package control

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"github.com/holdfast-storage/holdfast/volume"
)

// blobPlace is a node as a place for a blob.
type blobPlace struct {
	id     volume.NodeID
	zone   string
	lives  bool   // it answers now
	stays  bool   // it neither waits for another's place nor leaves
	gone   bool   // it is silent for so long that it does not count
	fails  bool   // it cannot get or keep the blob
	wanted bool   // a domain that needs the blob may start there
	listed bool   // it is to have the blob
	has    bool   // it has it
	rank   uint64 // the same for all time; different for each blob, so that blobs spread
}

// counts reports whether the place may be one of those that are enough.
func (p *blobPlace) counts() bool { return p.stays && !p.gone && !p.fails }

// chooseHolders returns which nodes are to have a blob that are not to yet, and which no more. It is settled: when they
// were told, it returns nothing. Who is chosen:
//
//	wanted, stays                                    always; as soon as it lives
//	counts, until there are enough that do           those that have it first, then those that are to have it,
//	                                                 then a zone that has none, then by rank
//	any other that is to have it                     until enough of the chosen have it, and live
func chooseHolders(places []blobPlace, enough int) (add, drop []volume.NodeID) {
	chosen := make(map[volume.NodeID]bool)
	zones := make(map[string]int)
	staying, counting := 0, 0
	take := func(p *blobPlace) {
		chosen[p.id] = true
		if p.counts() {
			counting++
			zones[p.zone]++
		}
	}
	for i := range places {
		p := &places[i]
		if p.stays {
			staying++
		}
		if p.wanted && p.stays && (p.lives || p.listed) {
			take(p)
		}
	}
	enough = min(enough, staying)
	for counting < enough {
		next := nextHolder(places, chosen, zones)
		if next == nil {
			break
		}
		take(next)
	}
	have := 0
	for i := range places {
		if p := &places[i]; chosen[p.id] && p.has && p.lives && p.counts() {
			have++
		}
	}
	for i := range places {
		switch p := &places[i]; {
		case chosen[p.id] && !p.listed:
			add = append(add, p.id)
		case !chosen[p.id] && p.listed && have >= enough && have > 0:
			drop = append(drop, p.id)
		}
	}
	return add, drop
}

// nextHolder returns the best place that is not chosen, nil if there is none.
func nextHolder(places []blobPlace, chosen map[volume.NodeID]bool, zones map[string]int) *blobPlace {
	var best *blobPlace
	for i := range places {
		p := &places[i]
		if chosen[p.id] || !p.counts() || !p.lives && !p.listed {
			continue
		}
		if best == nil || cmp.Or(-compareBools(p.has, best.has), -compareBools(p.listed, best.listed),
			cmp.Compare(zones[p.zone], zones[best.zone]), cmp.Compare(p.rank, best.rank)) < 0 {
			best = p
		}
	}
	return best
}

func compareBools(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// blobRank orders nodes for one blob: in another order for each.
func blobRank(digest volume.Digest, node volume.NodeID) uint64 {
	sum := sha256.Sum256(append([]byte(digest), node.UUID[:]...))
	return binary.BigEndian.Uint64(sum[:])
}

func compareRanks(digest volume.Digest, a, b volume.NodeID) int {
	return cmp.Or(cmp.Compare(blobRank(digest, a), blobRank(digest, b)), slices.Compare(a.UUID[:], b.UUID[:]))
}
