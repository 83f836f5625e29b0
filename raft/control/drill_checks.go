package control

import (
	"slices"
	"strings"
	"time"

	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// The checks of a drill, in the order in which they are made.
const (
	CheckGuest         = "guest"         // it runs on the new host
	CheckFirstRead     = "first_read"    // its disk answered it
	CheckOldHost       = "old_host"      // nothing of it is left there
	CheckConfiguration = "configuration" // its volumes are those that they were
	CheckLoss          = "no_loss"       // no volume went on from an older state
	CheckLegs          = "legs"          // every leg is in sync, and every volume serves
)

// finding is what a check of a drill found.
type finding struct {
	ok     bool
	waits  bool   // it does not hold yet, and may become so
	detail string // a sentence without its end
}

func holds(format string, args ...any) finding {
	return finding{ok: true, detail: sprintf(format, args...)}
}
func broken(format string, args ...any) finding { return finding{detail: sprintf(format, args...)} }
func notYet(format string, args ...any) finding {
	return finding{waits: true, detail: sprintf(format, args...)}
}

// drillChecks looks at what a drill checks once its latest move is done. waits names what does not hold yet and
// may become so; it is "" when nothing is to be waited for: all holds, or something never will.
func (v *View) drillChecks(d *raft.Drill) (checks []raft.DrillCheck, waits string) {
	var waiting []string
	final := false
	for _, c := range []struct {
		name string
		find func(*raft.Drill) finding
	}{
		{CheckGuest, v.checkGuest}, {CheckFirstRead, v.checkFirstRead}, {CheckOldHost, v.checkOldHost},
		{CheckConfiguration, v.checkConfiguration}, {CheckLoss, v.checkLoss}, {CheckLegs, v.checkLegs},
	} {
		f := c.find(d)
		checks = append(checks, raft.DrillCheck{Name: c.name, OK: f.ok, Detail: f.detail})
		if f.waits {
			waiting = append(waiting, f.detail)
		}
		final = final || !f.ok && !f.waits
	}
	if final {
		return checks, ""
	}
	return checks, strings.Join(waiting, "; ")
}

func (v *View) checkGuest(d *raft.Drill) finding {
	m, dom := d.Move(), v.State.Domains[drilled(d)]
	switch {
	case dom == nil:
		return broken("the domain was deleted meanwhile")
	case !dom.Running:
		return broken("the domain was stopped meanwhile")
	case dom.Host != m.ToID:
		return broken("the guest was moved on to %s meanwhile", v.State.NodeName(dom.Host))
	}
	if fact := v.Domain(dom); fact == nil || fact.State != DomainRunning {
		return notYet("the guest does not run on %s", m.To)
	}
	return holds("the guest runs on %s", m.To)
}

func (v *View) checkFirstRead(d *raft.Drill) finding {
	m := d.Move()
	at, ok := raft.StageAt(m.Stages, raft.StageFirstRead)
	if !ok {
		return broken("the guest on %s has read nothing of its disk within %s", m.To, readPatience)
	}
	return holds("the first read on %s was answered %s after the decision", m.To, at.Round(time.Millisecond))
}

func (v *View) checkOldHost(d *raft.Drill) finding {
	m := d.Move()
	n := v.Facts.Nodes[m.FromID]
	if n == nil || !v.speaks(m.FromID) || n.Looking {
		return notYet("%s does not say whether it has ended the guest", m.From)
	}
	if fact := n.Domains[drilled(d)]; fact != nil && !fact.State.over() {
		return notYet("%s has not ended the guest, whose writes are refused", m.From)
	}
	for id := range n.Engines { // any one will do, so the order of the map does not matter
		e := v.Facts.Engines[id]
		if e != nil && !e.State.over() && slices.ContainsFunc(d.Volumes, func(dv raft.DrillVolume) bool {
			return dv.ID == e.Volume
		}) {
			return notYet("%s has not ended its engine, whose writes are refused", m.From)
		}
	}
	return holds("nothing of the guest is left on %s", m.From)
}

func (v *View) checkConfiguration(d *raft.Drill) finding {
	for _, was := range d.Volumes {
		vol := v.State.Volumes[was.ID]
		switch {
		case vol == nil || vol.Deleting:
			return broken("volume %s is gone", was.Name)
		case vol.Name != was.Name || vol.SizeBytes != was.SizeBytes || vol.Layout != was.Layout ||
			vol.DataGen != was.DataGen:
			return broken("volume %s is not what it was: another name, size, layout or lineage of its data", was.Name)
		}
	}
	return holds("name, size, layout and lineage of the data of every volume are what they were")
}

func (v *View) checkLoss(d *raft.Drill) finding {
	for _, e := range v.State.Events {
		if e.Seq <= d.Seq || e.Kind != "unflushed_loss" && e.Kind != "set_back_loss" && e.Kind != "loss_accepted" {
			continue
		}
		if slices.ContainsFunc(d.Volumes, func(dv raft.DrillVolume) bool { return e.Object == "volume/"+dv.Name }) {
			return broken("%s", e.Message)
		}
	}
	return holds("no volume went on from an older state: what was acknowledged is there")
}

func (v *View) checkLegs(d *raft.Drill) finding {
	legs := 0
	for _, was := range d.Volumes {
		vol := v.State.Volumes[was.ID]
		if vol == nil {
			continue // CheckConfiguration says so
		}
		if why := v.NotWhole(vol); why != "" {
			return notYet("%s", why)
		}
		legs += len(vol.Legs)
	}
	return holds("all %d legs are in sync", legs)
}

// NotWhole returns why an attached volume does not serve with every leg in sync, "" if it does.
func (v *View) NotWhole(vol *raft.Volume) string {
	switch {
	case vol.Phase != volume.PhaseAttached:
		return sprintf("volume %s is %s", vol.Name, vol.Phase)
	case v.Serving(vol) == nil:
		return sprintf("volume %s does not serve", vol.Name)
	case v.Serving(vol).State == EngineHeld:
		return sprintf("the engine of volume %s is held: %s", vol.Name, v.Serving(vol).Reason)
	}
	for _, l := range vol.Legs {
		_, condition := v.Leg(l)
		switch {
		case l.State != volume.LegInSync:
			return sprintf("the leg of volume %s on %s is %s", vol.Name, v.State.NodeName(l.Node), l.State)
		case condition != ConditionOK:
			return sprintf("the leg of volume %s on %s is %s", vol.Name, v.State.NodeName(l.Node), condition)
		}
	}
	return ""
}
