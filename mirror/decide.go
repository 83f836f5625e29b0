package mirror

import (
	"github.com/holdfast-storage/holdfast/parity"
	"github.com/holdfast-storage/holdfast/volume"
)

// vote is what one leg of S' says of its records.
type vote struct {
	leg volume.LegID
	has *volume.Records
}

// decision is how takenBack decides, but for tests always the zero value.
type decision struct {
	any     bool                               // [M:anyStaged] what any leg has goes forward
	noFloor bool                               // [M:noFloor] floors do not count
	listed  func(volume.Record) []volume.LegID // [M:listQ] who is asked; nil = the legs that the record names
	alone   bool                               // [M:backAlone] what was built on a write that is taken back stays
}

// wholeStripe reports whether a leg's record shows that its write was of a whole stripe.
type wholeStripe func(leg volume.LegID, r volume.Record) bool

// found is what the legs of S' have of one write.
type found struct {
	record    volume.Record
	committed bool
	whole     bool
	on        map[volume.LegID]bool
}

// takenBack returns the writes that the legs of S' cannot carry forward (docs/safety/parity.md, 9 and 12): no leg that
// was to have a record has committed it, and one of them lacks it. A leg that dropped its records up to the write says
// nothing of it.
func takenBack(votes []vote, whole wholeStripe, how decision) map[volume.Transaction]bool {
	all := map[volume.Transaction]*found{}
	for _, v := range votes {
		for _, r := range v.has.Records {
			f := all[r.Transaction]
			if f == nil {
				f = &found{record: r, on: map[volume.LegID]bool{}}
				all[r.Transaction] = f
			}
			f.committed = f.committed || r.Committed
			f.whole = f.whole || whole(v.leg, r)
			f.on[v.leg] = true
		}
	}
	back := map[volume.Transaction]bool{}
	for t, f := range all {
		asked := f.record.Legs
		if how.listed != nil {
			asked = how.listed(f.record)
		}
		for _, v := range votes {
			named := false
			for _, id := range asked {
				named = named || id == v.leg
			}
			dropped := t.Compare(v.has.Floor) <= 0 && !how.noFloor
			if named && !dropped && !f.on[v.leg] && !f.committed && !how.any {
				back[t] = true
			}
		}
	}
	if !how.alone {
		takeDependents(all, back)
	}
	return back
}

// takeDependents takes back, with writes that are, what was built on them and is on all of its own legs. After a loss
// a leg may lack the write of a whole stripe, and be none of those that a later update of one chunk went to: its deltas
// are of what the stripe's write had put there [M:backAlone]. And a repair is made from whatever the other legs had.
// Updates of one chunk go to the same legs, and a leg that lacks one lacks all later ones.
func takeDependents(all map[volume.Transaction]*found, back map[volume.Transaction]bool) {
	var first []*found
	for t := range back {
		first = append(first, all[t])
	}
	for t, f := range all {
		for _, b := range first {
			r, before := f.record, b.record
			meet := r.FirstBlock < before.FirstBlock+before.Blocks && before.FirstBlock < r.FirstBlock+r.Blocks
			built := b.whole || len(r.Legs) == 1 && r.Kind == volume.RecordImage
			if meet && built && !f.committed && before.Transaction.Compare(t) < 0 {
				back[t] = true
			}
		}
	}
}

// Vote is what one leg of S' says of its records.
type Vote struct {
	Leg  volume.LegID
	Slot int
	Has  *volume.Records
}

// TakenBack returns which writes an engine that takes over with these legs would take back; all others that they
// have a record of go forward. It is for whoever puts a volume of parity together without an engine: the rules are
// those of recoverJob. The legs are all of S', and together enough. It is pure.
func TakenBack(geo parity.Geometry, legs []Vote) map[volume.Transaction]bool {
	var votes []vote
	slots := map[volume.LegID]int{}
	for _, l := range legs {
		votes = append(votes, vote{leg: l.Leg, has: l.Has})
		slots[l.Leg] = l.Slot
	}
	return takenBack(votes, isWhole(geo, slots), decision{})
}

// isWhole is wholeStripe: only the write of a whole stripe puts an image on a leg of parity, but for a repair.
func (p *paritySet) isWhole(c *Core) wholeStripe {
	slots := map[volume.LegID]int{}
	for s := p.recover.legs; s != 0; s = s.rest() {
		slots[c.leg(s.first()).info.ID] = c.leg(s.first()).info.Slot
	}
	return isWhole(p.geo, slots)
}

func isWhole(geo parity.Geometry, slots map[volume.LegID]int) wholeStripe {
	return func(leg volume.LegID, r volume.Record) bool {
		chunk := geo.Chunk(geo.StripeOnLeg(r.FirstBlock*BlockBytes), slots[leg])
		return geo.IsParity(chunk) && r.Kind == volume.RecordImage && len(r.Legs) > 1
	}
}

// decision returns how writes are decided: but for tests as they must be.
func (p *paritySet) decision(c *Core) decision {
	how := decision{any: c.breaks(BreakAnyStaged), noFloor: c.breaks(BreakNoFloor), alone: c.breaks(BreakBackAlone)}
	if c.breaks(BreakListQ) {
		how.listed = func(r volume.Record) []volume.LegID { return p.wouldGet(c, r) }
	}
	return how
}

// wouldGet returns the legs in sync that a write of a record's blocks would be staged on by now.
func (p *paritySet) wouldGet(c *Core, r volume.Record) []volume.LegID {
	stripe := p.geo.StripeOnLeg(r.FirstBlock * BlockBytes)
	var data int
	for s := c.kisr; s != 0; s = s.rest() {
		for _, id := range r.Legs {
			chunk := p.geo.Chunk(stripe, c.leg(s.first()).info.Slot)
			if id == c.leg(s.first()).info.ID && !p.geo.IsParity(chunk) {
				data = chunk
			}
		}
	}
	var legs []volume.LegID
	for s := c.kisr; s != 0; s = s.rest() {
		if chunk := p.geo.Chunk(stripe, c.leg(s.first()).info.Slot); chunk == data || p.geo.IsParity(chunk) {
			legs = append(legs, c.leg(s.first()).info.ID)
		}
	}
	return legs
}
