package leg

import (
	"slices"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/volume"
)

// Regions is what the file regions of a leg holds: for each region of volume.RegionBytes a mark and a
// version. It is a plain value, 8 bytes and one bit for each region: 8 MiB for each TiB of a leg.
//
// A mark says that a write since the last STABLE may have touched the region. A version is the
// configuration version of the last write, or above it; zero is "never written".
type Regions struct {
	leg      volume.LegID
	marks    bitset
	versions []volume.CfgVer
	damaged  bitset // sectors that Load refused
}

// regionsOf is how many regions a leg of this size has.
func regionsOf(sizeBytes int64) uint32 {
	return uint32((sizeBytes + volume.RegionBytes - 1) / volume.RegionBytes)
}

// NewRegions returns the regions of a new leg: none is marked, none was ever written.
func NewRegions(leg volume.LegID, sizeBytes int64) *Regions {
	n := regionsOf(sizeBytes)
	r := &Regions{leg: leg, marks: newBitset(n), versions: make([]volume.CfgVer, n)}
	r.damaged = newBitset(r.Sectors())
	return r
}

// Clone returns a copy that shares nothing with r.
func (r *Regions) Clone() *Regions {
	return &Regions{leg: r.leg, marks: r.marks.clone(), versions: slices.Clone(r.versions),
		damaged: r.damaged.clone()}
}

// Count returns the number of regions.
func (r *Regions) Count() uint32 { return uint32(len(r.versions)) }

// Marked reports whether a region is marked.
func (r *Regions) Marked(region uint32) bool { return r.marks.has(region) }

// Marks returns how many regions are marked.
func (r *Regions) Marks() int { return r.marks.size }

// Version returns a region's version.
func (r *Regions) Version(region uint32) volume.CfgVer { return r.versions[region] }

// Damaged returns how many sectors were not what had been written when they were loaded.
func (r *Regions) Damaged() int { return r.damaged.size }

// span returns the regions that a range of bytes touches: [first, end).
func (r *Regions) span(b block.Range) (first, end uint32) {
	if b.Empty() {
		return 0, 0
	}
	first = uint32(b.Off / volume.RegionBytes)
	return first, min(uint32((b.End()-1)/volume.RegionBytes)+1, r.Count())
}

// marksHash is a digest of the marks: zero if and only if there are none.
func (r *Regions) marksHash() uint64 {
	hash := uint64(0)
	for i, ok := r.marks.next(0); ok; i, ok = r.marks.next(i + 1) {
		hash = (hash ^ uint64(i) + 1) * 0x9e3779b97f4a7c15
		hash ^= hash >> 29
	}
	if r.marks.size > 0 && hash == 0 {
		return 1
	}
	return hash
}
