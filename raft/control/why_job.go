package control

import (
	"cmp"
	"time"

	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// WhyJob says what a job waits for, as a sentence without its end; "" if it goes on as far as is known, or if
// there is nothing left to do.
func WhyJob(v *View, j *Job) string {
	switch j.Kind {
	case JobProvision:
		return "it waits for " + v.legNames(j.Volume, func(l *raft.Leg) bool { return !l.Provisioned })
	case JobPlace:
		return v.whyNotPlaced(j.Volume, j.Leg)
	case JobCopy:
		return cmp.Or(v.whyNotCopied(j.Volume, j.Leg), v.whyStands(j))
	case JobScrub:
		return cmp.Or(v.whyNotScrubbed(j.Volume), v.whyStands(j))
	case JobClone:
		return v.whyNotFilled(j)
	case JobEmpty:
		return v.whyNotEmpty(j.Node)
	case JobRebalance:
		return cmp.Or(v.Unfit(), v.whyNotMoved(func(l *raft.Leg) bool { return l.Ordered }))
	}
	return v.Progress(j.Operation).Waits
}

// whyStands tells of a job at which an engine is that gets no further.
func (v *View) whyStands(j *Job) string {
	if v.Timing.Stalled == 0 || v.stalled(j) < v.Timing.Stalled {
		return ""
	}
	return sprintf("its engine is at it and has stood at %d bytes for %s", j.mark.bytes,
		v.stalled(j).Truncate(time.Minute))
}

// whyNotPlaced says why no other leg takes the place of one that leaves.
func (v *View) whyNotPlaced(vol *raft.Volume, l *raft.Leg) string {
	if at, why := v.LeavesAt(vol, l); why != "" && v.Now.Before(at) {
		return sprintf("another leg takes its place in %s", at.Sub(v.Now).Round(time.Second))
	}
	if _, err := v.placeReplacement(vol, l, v.Stores()); err != nil {
		return err.Error()
	}
	return ""
}

// whyNotCopied says why a leg is not filled now, or why the one that it replaces does not go.
func (v *View) whyNotCopied(vol *raft.Volume, l *raft.Leg) string {
	node := v.State.NodeName(l.Node)
	_, condition := v.Leg(l)
	switch {
	case !v.speaks(l.Node):
		return sprintf("its node %s is silent", node)
	case v.State.Nodes[l.Node] != nil && v.storeError(v.State.Nodes[l.Node], l) != "":
		return sprintf("its store on %s cannot be used: %s", node, v.storeError(v.State.Nodes[l.Node], l))
	case !l.Provisioned:
		return sprintf("%s has not made it yet", node)
	case condition != ConditionOK:
		return sprintf("%s says that it is %s", node, condition)
	case vol.Attach == nil:
		return v.whyNoMaintenance(vol)
	}
	if why := v.whyEngineIdle(vol); why != "" {
		return why
	}
	own := v.EngineLeg(vol, l)
	switch {
	case l.State == volume.LegInSync:
		return "its engine has not let the leg go that it replaces"
	case own != nil && own.BannedFor > 0:
		return sprintf("it failed again and again, its engine tries it again in %s: %s",
			own.BannedFor.Round(time.Second), cmp.Or(own.Error, "no reason was heard"))
	case own != nil && own.CopyBytes > 0:
		return ""
	case own != nil && own.Error != "":
		return sprintf("its engine says: %s: %s", own.State, own.Error)
	}
	for _, el := range v.engine(vol).Legs {
		if el.ID != l.ID && el.CopyBytes > 0 && vol.Leg(el.ID) != nil && vol.Leg(el.ID).State != volume.LegInSync {
			return sprintf("its engine copies leg %s first", el.ID.Short())
		}
	}
	return "its engine has not begun"
}

// whyNoMaintenance says why nobody maintains a volume that is attached nowhere.
func (v *View) whyNoMaintenance(vol *raft.Volume) string {
	since, fail := v.Facts.detached[vol.ID], v.Facts.regrants[vol.ID]
	switch {
	case v.readable(vol) < vol.Layout.Quorum():
		return "no leg to copy from can be read: " + v.legNames(vol, func(l *raft.Leg) bool {
			_, condition := v.Leg(l)
			return l.State == volume.LegInSync && condition != ConditionOK
		})
	case v.Now.Sub(since) < v.Timing.Maintenance:
		return sprintf("its volume is attached nowhere, maintenance begins in %s",
			(v.Timing.Maintenance - v.Now.Sub(since)).Round(time.Second))
	case !fail.due(v.Now):
		return sprintf("maintenance failed %d times in a row, the next attempt is in %s", fail.count,
			(backoff(fail.count) - v.Now.Sub(fail.last)).Round(time.Second))
	case v.leastBusy(volume.NodeID{}) == nil:
		return "its volume is attached nowhere, and no host lives that could maintain it"
	case v.isDue(vol) && v.maintainer(v.maintained(v.cloneSources())) == nil:
		return sprintf("its volume is attached nowhere, and every host maintains %d volumes already: it waits for its "+
			"turn, which comes later the more legs it can lose", maintainedMax)
	}
	return "its volume is attached nowhere, maintenance is about to begin"
}

// whyEngineIdle says why the engine of an attached volume does no work, "" if it serves.
func (v *View) whyEngineIdle(vol *raft.Volume) string {
	host, e := v.State.NodeName(vol.Attach.Host), v.engine(vol)
	switch {
	case v.Condition(vol.Attach.Host) == raft.NodeDead:
		return sprintf("host %s, which holds its volume, is silent", host)
	case e == nil:
		return sprintf("its engine on %s was not heard of", host)
	case v.hangs(e):
		return sprintf("its engine (process %d) is there but silent", e.PID)
	case e.State != EngineServing:
		return sprintf("its engine is %s: %s", e.State, cmp.Or(e.Reason, "no reason was heard"))
	}
	return ""
}

func (v *View) whyNotScrubbed(vol *raft.Volume) string {
	if vol.Attach == nil {
		return "its volume is attached nowhere: a scrub needs an engine that serves it"
	}
	if why := v.whyEngineIdle(vol); why != "" {
		return why
	}
	if _, running := v.ScrubProgress(vol); !running {
		return "its engine has not begun"
	}
	return ""
}

// whyNotEmpty says what keeps a node from being empty: what is amiss with one of its legs first.
func (v *View) whyNotEmpty(n *raft.Node) string {
	why := v.whyNotMoved(func(l *raft.Leg) bool { return l.Node == n.ID })
	return cmp.Or(why, v.Left(n))
}

// whyNotMoved returns what the first leg that waits, of those that match or that replace one that does, waits for.
func (v *View) whyNotMoved(match func(*raft.Leg) bool) string {
	for _, vol := range v.sortedVolumes() {
		for _, j := range v.Facts.volumeJobs(nil, v.State, vol) {
			if j.Leg == nil {
				continue
			}
			old := vol.Leg(j.Leg.Replaces)
			if !match(j.Leg) && (old == nil || !match(old)) {
				continue
			}
			if why := WhyJob(v, &j); why != "" {
				return v.jobSays(&j) + " waits: " + why
			}
		}
	}
	return ""
}

// waiting tells of the jobs about an object that wait for something, or have stood for long.
func (w *explainer) waiting(object string) []Reason {
	var out []Reason
	for _, j := range w.Jobs() {
		if j.Kind == JobFailover || j.Object() != object { // an operation tells that itself
			continue
		}
		why := WhyJob(w.View, &j)
		if why == "" {
			continue
		}
		r := Reason{Object: object, Status: Healthy, Says: sprintf("%s waits: %s", w.jobSays(&j), why)}
		if idle := w.stalled(&j); idle > 0 {
			r.Since = w.Now.Add(-idle)
			if w.Timing.Stalled > 0 && idle >= w.Timing.Stalled {
				r.Status = Degraded
			}
		}
		out = append(out, r)
	}
	return out
}
