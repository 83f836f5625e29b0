package mirror

import "github.com/holdfast-storage/holdfast/volume"

// What depends on the layout and not on a request is asked here: which legs are enough, and how much a leg holds.
// DESIGN.md, section 6, says what a second layout takes the place of besides.

// asMirror is the layout that options without one stand for.
func asMirror(l volume.Layout) volume.Layout {
	if l == (volume.Layout{}) {
		return volume.Mirror(volume.MaxMirrorLegs)
	}
	return l
}

// enough reports whether these legs together have all of the volume: one leg of a mirror.
func (c *Core) enough(s legSet) bool {
	var slots [MaxLegs]int
	n := 0
	for ; s != 0; s = s.rest() {
		slots[n] = c.leg(s.first()).info.Slot
		n++
	}
	return c.opts.Layout.Enough(slots[:n])
}

// kept returns those legs of s that are not known to have lost their cache.
func (c *Core) kept(s legSet) legSet {
	k := s
	for ; s != 0; s = s.rest() {
		if c.leg(s.first()).lost {
			k = k.without(s.first())
		}
	}
	return k
}

// legBytes returns how many bytes each leg holds.
func (c *Core) legBytes() int64 { return c.opts.Layout.LegBytes(c.opts.SizeBytes) }
