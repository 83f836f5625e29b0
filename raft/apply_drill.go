package raft

import (
	"fmt"
	"slices"

	"github.com/holdfast-storage/holdfast/volume"
)

// beginDrill moves a domain as a drill, if nothing is amiss with it now.
func (t *txn) beginDrill(c *BeginDrill) *Refusal {
	if c.Request.IsZero() {
		return invalid("a drill needs an id of its request")
	}
	if slices.ContainsFunc(t.state.Drills, func(d *Drill) bool { return d.Request == c.Request }) {
		return nil // the same decision, taken twice
	}
	d, r := t.domain(c.Place.Name)
	if r != nil {
		return r
	}
	object := "domain/" + d.Name
	last, running := t.state.DrillOf(object), t.state.OperationOf(object)
	switch {
	case !d.Running:
		return invalid("domain %s is stopped: a drill moves a guest that runs", d.Name)
	case d.Host == c.Place.Host:
		return invalid("domain %s runs on %s already: a drill moves it to another host", d.Name,
			t.state.NodeName(d.Host))
	case last != nil && last.Running():
		return refuse(CodeBusy, "domain %s: drill %d of it goes on", d.Name, last.ID)
	case running != nil:
		return refuse(CodeBusy, "domain %s: operation %d moves it to %s now", d.Name, running.ID, running.To)
	}
	drill := &Drill{ID: t.state.LastDrill + 1, Request: c.Request, Kind: DrillReal, Object: object, Back: c.Back,
		At: t.at, Seq: t.state.LastSeq}
	for _, use := range d.Spec.Volumes {
		v := t.state.VolumeByName(use.Name)
		if v == nil {
			return refuse(CodeNotFound, "domain %s: there is no volume %s", d.Name, use.Name)
		}
		if why := t.notInSync(v); why != "" {
			return refuse(CodeWait, "domain %s: %s: a drill would leave fewer copies than there ought to be",
				d.Name, why)
		}
		drill.Volumes = append(drill.Volumes, DrillVolume{ID: v.ID, Name: v.Name, SizeBytes: v.SizeBytes,
			Layout: v.Layout, DataGen: v.DataGen})
	}
	place := c.Place
	place.Reason = fmt.Sprintf("drill %d", drill.ID)
	move, r := t.drillMove(d, &place)
	if r != nil {
		return r
	}
	drill.Moves = []DrillMove{move}
	t.state.LastDrill = drill.ID
	t.state.Drills = append(slices.Clip(t.state.Drills), drill)
	t.trimDrills()
	back := ""
	if c.Back {
		back = ", and back"
	}
	t.event(SeverityInfo, object, "drill_began", "drill %d: domain %s moves from %s to %s%s", drill.ID, d.Name,
		move.From, move.To, back)
	return nil
}

// notInSync returns why not every leg of a volume is in sync and stays so, "" if all are.
func (t *txn) notInSync(v *Volume) string {
	if v.Phase == volume.PhaseFrozen {
		return "volume " + v.Name + " is frozen"
	}
	for _, l := range v.Legs {
		if l.State != volume.LegInSync {
			return "the leg of volume " + v.Name + " on " + t.state.NodeName(l.Node) + " is " + string(l.State)
		}
	}
	return ""
}

// drillMove moves a domain and returns the move with the operation that it began.
func (t *txn) drillMove(d *Domain, place *PlaceDomain) (DrillMove, *Refusal) {
	if r := t.placeDomain(place); r != nil {
		return DrillMove{}, r
	}
	o := t.state.OperationOf("domain/" + d.Name)
	if o == nil || o.Run != d.Run+1 {
		return DrillMove{}, refuse(CodeRetry, "domain %s did not move to %s: look again", d.Name,
			t.state.NodeName(place.Host))
	}
	m := DrillMove{Operation: o.ID, Run: o.Run, From: o.From, To: o.To, FromID: d.Host, ToID: place.Host}
	for _, g := range o.Grants {
		m.ReadFor = max(m.ReadFor, t.state.Volumes[g.Volume].ReadFor)
	}
	return m, nil
}

// editDrill returns a copy of a drill which takes its place in the state.
func (t *txn) editDrill(d *Drill) *Drill {
	c := *d
	c.Moves, c.Checks = slices.Clone(d.Moves), slices.Clone(d.Checks)
	t.state.Drills = slices.Clone(t.state.Drills)
	t.state.Drills[slices.Index(t.state.Drills, d)] = &c
	t.changed = true
	return &c
}

// drillMoved copies into the drill that an operation belongs to what there is to tell of it.
func (t *txn) drillMoved(o *Operation) {
	for _, d := range t.state.Drills {
		i := slices.IndexFunc(d.Moves, func(m DrillMove) bool { return m.Operation == o.ID })
		if i < 0 {
			continue
		}
		m := &t.editDrill(d).Moves[i]
		m.Run, m.Stages, m.Result, m.Message = o.Run, slices.Clone(o.Stages), o.Result, o.Message
		m.Waited = slices.ContainsFunc(o.Grants, func(g OperationGrant) bool { return g.TRead == TReadWaited })
		return
	}
}

// returnDrill moves the guest of a drill back to where it came from.
func (t *txn) returnDrill(c *ReturnDrill) *Refusal {
	drill := t.state.DrillByID(c.ID)
	switch {
	case drill == nil:
		return refuse(CodeNotFound, "no drill has the number %d", c.ID)
	case !drill.Running() || len(drill.Moves) > 1:
		return nil
	case !drill.Back || drill.Move().Result != OperationDone || drill.Move().FromID != c.Place.Host ||
		drill.Object != "domain/"+c.Place.Name:
		return invalid("drill %d does not go back to %s now", c.ID, t.state.NodeName(c.Place.Host))
	}
	d, r := t.domain(c.Place.Name)
	if r != nil {
		return r
	}
	move, r := t.drillMove(d, &c.Place)
	if r != nil {
		return r
	}
	drill = t.editDrill(drill)
	drill.Moves, drill.Checks = append(drill.Moves, move), slices.Clone(c.Was)
	return nil
}

// endDrill records how a drill ended.
func (t *txn) endDrill(c *EndDrill) *Refusal {
	d := t.state.DrillByID(c.ID)
	switch {
	case d == nil:
		return refuse(CodeNotFound, "no drill has the number %d", c.ID)
	case !d.Running():
		return nil
	case c.Result != DrillOK && c.Result != DrillSlow && c.Result != DrillFailed:
		return invalid("drill %d cannot end as %q", c.ID, c.Result)
	}
	d = t.editDrill(d)
	d.Checks = append(d.Checks, c.Checks...)
	d.Result, d.Message, d.EndedAt = c.Result, c.Message, t.at
	severity, text := SeverityInfo, string(d.Result)
	if d.Result != DrillOK {
		severity, text = SeverityWarning, text+": "+d.Message
	}
	t.event(severity, d.Object, "drill_ended", "drill %d: the move from %s to %s is %s", d.ID, d.Moves[0].From,
		d.Moves[0].To, text)
	return nil
}

// trimDrills forgets drills above DrillsMax that have ended: the oldest first of those that are neither the latest of
// their object nor the latest of it that worked.
func (t *txn) trimDrills() {
	for len(t.state.Drills) > DrillsMax {
		i := slices.IndexFunc(t.state.Drills, func(d *Drill) bool {
			worked := t.state.LatestDrill(func(o *Drill) bool { return o.Object == d.Object && o.Worked() })
			return !d.Running() && t.state.DrillOf(d.Object) != d && worked != d
		})
		if i < 0 {
			i = slices.IndexFunc(t.state.Drills, func(d *Drill) bool { return !d.Running() })
		}
		if i < 0 {
			return
		}
		t.state.Drills = slices.Delete(slices.Clone(t.state.Drills), i, i+1)
	}
}

// forgetDrills forgets the drills of an object that is gone: another one of its name has shown nothing.
func (t *txn) forgetDrills(object string) {
	t.state.Drills = slices.DeleteFunc(slices.Clone(t.state.Drills), func(d *Drill) bool {
		return d.Object == object
	})
	if len(t.state.Drills) == 0 {
		t.state.Drills = nil // so that "none" has one form
	}
}
