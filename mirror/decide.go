package mirror

import "github.com/holdfast-storage/holdfast/volume"

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
}

// takenBack returns the writes that the legs of S' cannot carry forward (docs/safety/parity.md, 9 and 12): no leg that
// was to have a record has committed it, and one of them lacks it. A leg that dropped its records up to the write says
// nothing of it.
func takenBack(votes []vote, how decision) map[volume.Transaction]bool {
	type found struct {
		record    volume.Record
		committed bool
		on        map[volume.LegID]bool
	}
	all := map[volume.Transaction]*found{}
	for _, v := range votes {
		for _, r := range v.has.Records {
			f := all[r.Transaction]
			if f == nil {
				f = &found{record: r, on: map[volume.LegID]bool{}}
				all[r.Transaction] = f
			}
			f.committed = f.committed || r.Committed
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
	return back
}

// decision returns how writes are decided: but for tests as they must be.
func (p *paritySet) decision(c *Core) decision {
	how := decision{any: c.breaks(BreakAnyStaged), noFloor: c.breaks(BreakNoFloor)}
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
