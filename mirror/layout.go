package mirror

import (
	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/volume"
)

// What depends on the layout is asked here: which legs are enough, how much a leg holds, and what a request does
// that is one in a mirror and another in a set of parity (DESIGN.md, section 6).

// layout is what requests and jobs do in one layout and not in another. One value is chosen when the core is made.
type layout interface {
	// place says where a request of the guest, or an extent, lies.
	place(o *op)

	// read begins a read of the guest whose range is locked, write a write.
	read(c *Core, o *op)
	write(c *Core, o *op)
	// merge goes on with a write for which something was read.
	merge(c *Core, o *op, data Handle)
	// fetch sends the operation's read to one more leg, if there is one.
	fetch(c *Core, o *op)
	// sources returns the legs of read_set that can give what the operation's fetch asks for.
	sources(c *Core, o *op) legSet
	// spoiled takes into account that a leg could not give what the fetch got elsewhere.
	spoiled(c *Core, o *op)
	// verified takes which of the blocks that were read of all legs do not fit together.
	verified(c *Core, o *op, bad []uint32)
	// outOfSpace ends a write for which some leg has no room, when every other leg has answered.
	outOfSpace(c *Core, o *op)
	// stored reports whether every leg has a write that the guest's answer needs.
	stored(c *Core, o *op) bool
	// answer tells the guest that its write is stored.
	answer(c *Core, o *op)
	// end gives back the range of a write that every leg has.
	end(c *Core, o *op)
	// chunk returns which chunk of its stripe a staged write is on the leg of a slot.
	chunk(o *op, slot int) int

	// prepare takes the next step between CONFIG on every leg of S' and serving.
	prepare(c *Core)
	// settle does what became possible beside requests; answered and flushed bring what that waits for.
	settle(c *Core)
	answered(c *Core, k call, err error, has *volume.Records)
	flushed(c *Core, p flushPurpose, ref uint64)
	// stabilize makes durable what STABLE is about to forget.
	stabilize(c *Core)
	// gone takes a leg that takes no part any more out of what the layout counts.
	gone(c *Core, i LegIndex)

	// settleIn lets a joining leg that has CONFIG receive what it is to receive from now on.
	settleIn(c *Core, i LegIndex)
	// askCopySet asks what a joining leg lacks.
	askCopySet(c *Core)
	// copy begins the work on an extent whose range is locked. copied goes on with what was read for it, rewrote
	// with what was written, unreadable with what nobody can read.
	copy(c *Core, o *op)
	copied(c *Core, o *op, data Handle)
	rewrote(c *Core, o *op)
	unreadable(c *Core, o *op)
	// mendFirst lets a request of the guest wait until what it met is mended, and reports whether it does;
	// startMended starts those whose ranges have been mended, as far as possible.
	mendFirst(c *Core, o *op) bool
	startMended(c *Core)
	// scrubRange returns the extent that a scrub looks at from an offset of the volume on, and how far that gets.
	scrubRange(c *Core, from int64) (r block.Range, upTo int64)
	// compare judges the checksums of the part of an extent.
	compare(c *Core, o *op)
	// stamp asks for the versions of what a joining leg was given; stamped is called when those of one leg are
	// durable on it.
	stamp(c *Core)
	stamped(c *Core)
	// flushJoin makes durable what a joining leg holds.
	flushJoin(c *Core)
}

// newLayout returns what requests do in the layout of o.
func newLayout(o CoreOptions) (layout, error) {
	if o.Layout.Kind == volume.KindMirror {
		return mirrorLayout{}, nil
	}
	return newParitySet(o)
}

// asMirror is the layout that options without one stand for.
func asMirror(l volume.Layout) volume.Layout {
	if l == (volume.Layout{}) {
		return volume.Mirror(volume.MaxMirrorLegs)
	}
	return l
}

// enough reports whether these legs together have all of the volume: one leg of a mirror, k slots of parity.
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
