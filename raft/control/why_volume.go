package control

import (
	"cmp"
	"time"

	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// volume explains a volume: who holds it, which legs it waits for, and why those are away.
func (w *explainer) volume(vol *raft.Volume) Reason {
	r, first := w.once("volume/"+vol.Name, w.volumeSays(vol))
	if !first {
		return r
	}
	if vol.Attach != nil {
		r.Since = vol.Attach.At
	}
	if w.awaitsFound(vol) {
		for _, f := range w.judgeRestore() {
			if _, first := w.once("cluster", ""); first {
				reason := w.take(f)
				reason.Status = Healthy // it is the volume's only when somebody wants it
				r.Because = append(r.Because, reason)
			}
		}
	}
	r.Because = append(r.Because, w.underWay(r.Object)...)
	for _, f := range w.judgeVolume(vol) {
		reason := w.take(f)
		switch f.Kind {
		case "volume_provisioning":
			reason.Because = w.legs(vol, func(l *raft.Leg) bool { return !l.Provisioned })
		case "volume_degraded", "volume_at_risk", "volume_down":
			reason.Because = w.legs(vol, func(l *raft.Leg) bool {
				return l.State != volume.LegInSync || l.SetBack || !w.reaches(vol, l)
			})
		case "volume_not_serving", "volume_held":
			reason = w.notServing(vol, reason)
		}
		r.Because = append(r.Because, reason.settled())
	}
	// Legs that are on their way have a story although the volume is well.
	r.Because = append(r.Because, w.legs(vol, func(l *raft.Leg) bool {
		return !w.seen["leg/"+l.ID.String()] && (l.State != volume.LegInSync || len(w.judgeLeg(vol, l)) > 0)
	})...)
	r.Because = append(r.Because, w.waiting(r.Object)...)
	r.Timers = append(r.Timers, w.attachTimers(vol)...)
	return r.settled()
}

func (w *explainer) volumeSays(vol *raft.Volume) string {
	insync := 0
	for _, l := range vol.Legs {
		if l.State == volume.LegInSync {
			insync++
		}
	}
	legs := sprintf("%d of %d legs in sync", insync, vol.Layout.Legs())
	switch e := w.engine(vol); {
	case vol.Deleting:
		return sprintf("volume %s is being deleted", vol.Name)
	case vol.Attach == nil && vol.Filling() && vol.Phase == volume.PhaseDetached:
		return sprintf("volume %s is to be filled with what %s holds, %s", vol.Name, vol.Clone.SourceName, legs)
	case vol.Attach == nil:
		return sprintf("volume %s is %s, %s", vol.Name, vol.Phase, legs)
	case vol.Attach.Detaching:
		return sprintf("volume %s is to be detached from %s (epoch %s)", vol.Name,
			w.State.NodeName(vol.Attach.Host), vol.Epoch)
	case e == nil:
		return sprintf("volume %s is %s by %s (epoch %s), whose engine was not heard of, %s", vol.Name,
			held(vol), w.State.NodeName(vol.Attach.Host), vol.Epoch, legs)
	default:
		return sprintf("volume %s is %s by %s (epoch %s), its engine is %s, %s", vol.Name, held(vol),
			w.State.NodeName(vol.Attach.Host), vol.Epoch, e.State, legs)
	}
}

func held(vol *raft.Volume) string {
	if vol.Attach.Maintenance {
		return "held for maintenance"
	}
	if vol.Attach.Filling {
		return sprintf("held to be filled with what %s holds", vol.Clone.SourceName)
	}
	return "held"
}

// legs explains the legs that match.
func (w *explainer) legs(vol *raft.Volume, match func(*raft.Leg) bool) []Reason {
	var out []Reason
	for _, l := range vol.Legs {
		if match(l) {
			out = append(out, w.leg(vol, l))
		}
	}
	return out
}

// notServing goes down from a volume that does not serve: to its host, its engine, the legs that the engine
// waits for.
func (w *explainer) notServing(vol *raft.Volume, r Reason) Reason {
	host := w.State.Nodes[vol.Attach.Host]
	if host != nil && (w.Condition(host.ID) != raft.NodeAlive || !w.speaks(host.ID)) {
		r.Because = append(r.Because, w.node(host))
		if w.Condition(host.ID) == raft.NodeDead {
			return r
		}
	}
	e := w.engine(vol)
	if n, why := w.Facts.EngineFailures(vol.ID); n > 0 {
		fail := w.Facts.regrants[vol.ID]
		r.Because = append(r.Because, Reason{Object: "engine/" + vol.Name, Status: Down, Since: fail.last,
			Says: sprintf("%d engines have failed in a row, the last one: %s", n, cmp.Or(why, "no reason was heard")),
			Next: "its host starts another under the next epoch, after a pause that grows",
			Do: []string{sprintf("look at the engine's log on %s (engine.log in its run directory)",
				w.State.NodeName(vol.Attach.Host))}})
	}
	if e == nil {
		return r
	}
	r.Because = append(r.Because, w.legs(vol, func(l *raft.Leg) bool {
		if w.seen["leg/"+l.ID.String()] {
			return false
		}
		for _, el := range e.Legs {
			if el.ID == l.ID {
				return el.State != "in_sync" || el.Error != ""
			}
		}
		return l.State == volume.LegInSync && !w.reaches(vol, l)
	})...)
	return r
}

// attachTimers are the clocks of a volume's grant, or of what is to become of a detached one.
func (w *explainer) attachTimers(vol *raft.Volume) []Timer {
	switch {
	case vol.Phase == volume.PhaseAttaching && w.WaitLeft != nil:
		if left := w.WaitLeft(vol.ID, vol.Epoch); left > 0 {
			return []Timer{{"the wait for reads of the host before, if a leg that it may read is not fenced", left,
				"the grant becomes active"}}
		}
	case vol.Attach == nil && !vol.Deleting && w.joinable(vol):
		out := []Timer{}
		if since, ok := w.Facts.detached[vol.ID]; ok {
			out = append(out, Timer{"how long it has been detached",
				max(0, w.Timing.Maintenance-w.Now.Sub(since)), "a maintenance attach brings its legs in sync"})
		}
		if f := w.Facts.regrants[vol.ID]; !f.due(w.Now) {
			out = append(out, Timer{sprintf("the pause after failure %d in a row", f.count),
				backoff(f.count) - w.Now.Sub(f.last), "maintenance is tried again"})
		}
		return out
	}
	return nil
}

// leg explains one leg down to its node or disk.
func (w *explainer) leg(vol *raft.Volume, l *raft.Leg) Reason {
	fact, condition := w.Leg(l)
	node := w.State.NodeName(l.Node)
	r, first := w.once("leg/"+l.ID.String(), sprintf("leg %s of volume %s on %s is %s, its node says: %s",
		l.ID.Short(), vol.Name, node, l.State, condition))
	if !first {
		return r
	}
	r.Since = fact.Since
	for _, f := range w.judgeLeg(vol, l) {
		reason := w.take(f)
		r.Says, r.Status, r.Progress, r.Next = reason.Says, reason.Status, reason.Progress, reason.Next
		if r.Since.IsZero() {
			r.Since = reason.Since
		}
	}
	if el := w.EngineLeg(vol, l); el != nil && el.Error != "" {
		r.Because = append(r.Because, Reason{Object: "engine/" + vol.Name, Status: Healthy,
			Says: sprintf("its engine says: %s: %s", el.State, el.Error)})
	}
	if n := w.State.Nodes[l.Node]; n != nil && (!w.speaks(n.ID) || w.storeError(n, l) != "") {
		r.Because = append(r.Because, w.node(n))
	}
	if by := vol.Replacement(l.ID); by != nil {
		r.Because = append(r.Because, w.leg(vol, by))
	}
	if w.speaks(l.Node) { // else its node is explained
		r.Because = append(r.Because, w.waiting(r.Object)...)
	}
	r.Timers = append(r.Timers, w.legTimers(vol, l)...)
	return r.settled()
}

// storeError returns what is wrong with the store of a leg, "" if nothing is known.
func (v *View) storeError(n *raft.Node, l *raft.Leg) string {
	if heard := v.Facts.Nodes[n.ID]; heard != nil {
		for _, st := range heard.Stores {
			if st.ID == l.Store {
				return st.Error
			}
		}
	}
	return ""
}

func (w *explainer) legTimers(vol *raft.Volume, l *raft.Leg) []Timer {
	var out []Timer
	if el := w.EngineLeg(vol, l); el != nil && el.BannedFor > 0 {
		out = append(out, Timer{"the pause after it failed again and again", el.BannedFor.Round(time.Second),
			"its engine tries it again"})
	}
	if since, ok := w.Facts.lost[l.ID]; ok && vol.Replacement(l.ID) == nil {
		out = append(out, Timer{"how long it has been lost", max(0, w.Timing.LegLost-w.Now.Sub(since)),
			"another leg takes its place where there is room"})
	}
	return out
}
