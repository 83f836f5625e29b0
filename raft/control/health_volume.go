package control

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// attachPatience is how long an attach may take before it is a finding.
const attachPatience = 3 * time.Second

// redundancy says what it means that of a volume's legs so many are in sync and can be reached.
//
//	reached < quorum            down       not readable
//	reached = quorum < legs     at risk    the next failure stops it
//	quorum < reached < legs     degraded   one more failure is survived
//	reached = legs              healthy
func redundancy(reached, quorum, legs int) Status {
	switch {
	case reached < quorum:
		return Down
	case reached >= legs:
		return Healthy
	case reached == quorum:
		return AtRisk
	}
	return Degraded
}

// JudgeVolume returns how well a volume is.
func JudgeVolume(v *View, vol *raft.Volume) Status { return Worst(v.judgeVolume(vol)) }

func (v *View) judgeVolume(vol *raft.Volume) []Finding {
	object := "volume/" + vol.Name
	switch {
	case vol.Deleting:
		return nil
	case vol.Phase == volume.PhaseFrozen:
		return []Finding{{
			Severity: raft.SeverityError, Status: Down, Object: object, Kind: "volume_frozen",
			Message: sprintf("volume %s is frozen: a leg's label contradicts the coordinators", vol.Name),
			Cause:   vol.FrozenWhy,
			Next: sprintf("nothing is touched until an operator decides: holdfast volume unfreeze %s lets it go on "+
				"once all legs have answered, holdfast volume promote %s from one leg", vol.Name, vol.Name),
		}}
	case vol.Phase == volume.PhaseProvisioning:
		return v.judgeProvisioning(vol)
	}
	return slices.Concat(v.judgeRedundancy(vol), v.judgeAttachment(vol), v.judgeScrub(vol), v.judgeUnreadable(vol),
		v.judgeEngine(vol), v.judgeExports(vol))
}

func (v *View) judgeProvisioning(vol *raft.Volume) []Finding {
	missing := v.legNames(vol, func(l *raft.Leg) bool { return !l.Provisioned && !v.speaks(l.Node) })
	if missing == "" {
		return nil
	}
	return []Finding{{
		Severity: raft.SeverityWarning, Status: Degraded, Object: "volume/" + vol.Name,
		Kind:    "volume_provisioning",
		Message: sprintf("volume %s is not made yet", vol.Name), Cause: "waits for " + missing,
		Next: sprintf("start the node, or holdfast volume delete %s", vol.Name),
	}}
}

// judgeRedundancy looks at the legs that can be reached.
func (v *View) judgeRedundancy(vol *raft.Volume) []Finding {
	reached := v.reached(vol)
	status := redundancy(reached, vol.Layout.Quorum(), vol.Layout.Legs())
	if status == Healthy {
		return nil
	}
	f := Finding{
		Severity: raft.SeverityWarning, Status: status, Object: "volume/" + vol.Name,
		Kind: "volume_" + string(status),
		Message: sprintf("volume %s has %d of %d legs in sync and within reach", vol.Name, reached,
			vol.Layout.Legs()),
		Cause: v.legNames(vol, func(l *raft.Leg) bool {
			return l.State != volume.LegInSync || l.SetBack || !v.reaches(vol, l)
		}),
		Next: v.repair(vol),
	}
	switch status {
	case AtRisk:
		f.Severity = raft.SeverityError
		f.Message += "; the next failure stops it"
	case Down:
		f.Severity = raft.SeverityError
		needs := v.legNames(vol, func(l *raft.Leg) bool {
			return l.State == volume.LegInSync && !v.reaches(vol, l)
		})
		f.Message = sprintf("volume %s cannot be read: it waits for %s", vol.Name, needs)
		f.Next = "nothing else can take its place; start its node"
		if needs == "" {
			f.Message = sprintf("volume %s cannot be read: every leg in sync was set back to an older state", vol.Name)
			f.Next = v.setBackNext(vol)
		}
	}
	return []Finding{f}
}

// repair says what happens to the legs that are not in sync.
func (v *View) repair(vol *raft.Volume) string {
	for _, l := range vol.Legs {
		progress, _, total := v.LegProgress(vol, l)
		if total > 0 {
			return sprintf("leg %s on %s is being copied, %.0f %%", l.ID.Short(), v.State.NodeName(l.Node),
				100*progress)
		}
	}
	switch {
	case v.joinable(vol) && v.readable(vol) < vol.Layout.Quorum():
		return "the leg is brought in sync once one that is in sync can be read"
	case v.joinable(vol) && vol.Attach != nil:
		return "its engine brings the leg in sync"
	case v.joinable(vol):
		return "a maintenance attach brings the leg in sync"
	}
	for _, l := range vol.Legs {
		if next := v.replacedNext(vol, l); next != "" {
			return next
		}
	}
	return "a leg comes back in sync when its node returns; else holdfast node replace OLD NEW"
}

// replacedNext says when a leg that cannot be used is replaced by itself, or why that is not done; "" if
// nothing of the kind is going to happen.
func (v *View) replacedNext(vol *raft.Volume, l *raft.Leg) string {
	at, why := v.LeavesAt(vol, l)
	name := sprintf("leg %s on %s", l.ID.Short(), v.State.NodeName(l.Node))
	switch wait := at.Sub(v.Now); {
	case why == "" || vol.Replacement(l.ID) != nil:
		return ""
	case wait > 0:
		unless := ", unless it comes back"
		if l.State == volume.LegLost {
			unless = ""
		}
		return sprintf("%s will be replaced at %s, in %s%s", name,
			at.UTC().Format(time.TimeOnly+" UTC"), wait.Round(time.Second), unless)
	case v.mostAreSilent():
		return sprintf("%s is not replaced while so much is silent: start its node, or holdfast node replace "+
			"OLD NEW", name)
	}
	if _, err := v.placeReplacement(vol, l, v.Stores()); err != nil {
		return sprintf("%s is replaced as soon as there is a place: %s", name, err)
	}
	return name + " is being replaced"
}

// reaches reports whether a leg can be read: its node says that it is well, or an engine uses it.
func (v *View) reaches(vol *raft.Volume, l *raft.Leg) bool {
	_, condition := v.Leg(l)
	switch condition {
	case ConditionOK:
		return true
	case ConditionUnreachable, ConditionUnknown:
		e := v.engine(vol)
		if e == nil || !e.State.Serves() || v.Condition(e.Node) == raft.NodeDead {
			return false
		}
		for _, el := range e.Legs {
			if el.ID == l.ID {
				return el.State == "in_sync"
			}
		}
	}
	return false
}

// judgeAttachment looks at whoever holds the volume.
func (v *View) judgeAttachment(vol *raft.Volume) []Finding {
	if vol.Attach == nil || vol.Attach.NoGuests() {
		return nil // nobody waits for it; what stands still is told by its job
	}
	host := v.State.NodeName(vol.Attach.Host)
	f := Finding{
		Severity: raft.SeverityError, Status: Down, Object: "volume/" + vol.Name, Kind: "volume_not_serving",
		Message: sprintf("volume %s does not serve on %s", vol.Name, host),
	}
	e := v.engine(vol)
	switch gone := v.engineGone(vol); {
	case v.Condition(vol.Attach.Host) == raft.NodeDead:
		f.Cause = sprintf("host %s is silent", host)
		f.Next = sprintf("holdfast volume attach %s --host OTHER --takeover", vol.Name)
		if d := v.State.DomainOf(vol.Name); d != nil {
			f.Next = v.failoverNext(d)
		}
	case gone != "":
		f.Cause, f.Next = gone, "the host takes the next epoch and starts another engine"
	case v.hangs(e):
		// Its daemon's word is not enough: it tells the last that it heard of an engine that hangs.
		f.Cause, f.Since = sprintf("its engine (process %d) is there but silent", e.PID), e.Heard
		f.Next = "the guest waits; end the engine if it does not go on, then the host starts another"
	case e != nil && e.State == EngineHeld:
		f.Kind, f.Message = "volume_held", sprintf("writes to volume %s wait", vol.Name)
		f.Cause, f.Next, f.Since = e.Reason, "they go on when that is there; the guest sees no error", e.Since
	case e != nil && e.State.Serves():
		return nil
	case v.Now.Sub(v.Facts.grants[vol.Attach.ID]) < attachPatience:
		return nil // an attach that just began
	default:
		f.Cause, f.Next = "the engine is not heard of yet", "it serves when it has fenced the legs"
		if e != nil {
			f.Cause = cmp.Or(e.Reason, "the engine is fencing the legs")
		}
	}
	return []Finding{f}
}

// hangs reports whether an engine that is said to serve is silent itself, although its daemon speaks.
func (v *View) hangs(e *EngineFact) bool {
	return e != nil && e.State.Serves() && v.speaks(e.Node) &&
		v.Now.Sub(later(e.Heard, e.Since)) > 2*v.Timing.DaemonSilent
}

func (v *View) judgeLeg(vol *raft.Volume, l *raft.Leg) []Finding {
	if vol.Deleting || vol.Phase == volume.PhaseProvisioning {
		return nil
	}
	node := v.State.NodeName(l.Node)
	fact, condition := v.Leg(l)
	f := Finding{Object: "leg/" + l.ID.String(), Severity: raft.SeverityWarning, Status: Degraded,
		Cause: fact.Error}
	name := sprintf("leg %s of volume %s on %s", l.ID.Short(), vol.Name, node)
	switch {
	case l.State == volume.LegLost || condition == ConditionMissing:
		f.Severity, f.Kind, f.Message = raft.SeverityError, "leg_missing", name+" is lost: its data is gone"
		f.Next = "a fresh leg takes its place where there is room and is rebuilt"
	case l.State == volume.LegQuarantined || condition == ConditionQuarantined:
		f.Severity, f.Kind, f.Message = raft.SeverityError, "leg_quarantined",
			name+" contradicts the coordinators"
		f.Next = "it is kept and never used; replace its node, or delete the volume"
	case l.SetBack:
		f.Severity, f.Kind, f.Message = raft.SeverityError, "leg_set_back", name+" was set back to an older state"
		f.Cause = "its machine or disk was restored from an old copy, or its disk lost what it had said was durable"
		f.Progress, _, _ = v.LegProgress(vol, l)
		f.Next = v.setBackNext(vol)
	case condition == ConditionBad:
		f.Severity, f.Kind, f.Message = raft.SeverityError, "leg_bad", name+" cannot be read"
		f.Next = sprintf("its engine leaves it out; replace the disk, then holdfast node replace %s NEW",
			node)
		v.whatEngineSees(vol, l, &f)
	case l.State == volume.LegStale || l.State == volume.LegRebuilding:
		f.Progress, _, _ = v.LegProgress(vol, l)
		f.Kind, f.Message = "leg_"+string(l.State),
			sprintf("%s is %s, %.0f %% done", name, l.State, 100*f.Progress)
		f.Next = v.repair(vol)
		if vol.Replacement(l.ID) != nil {
			return nil // it is on its way out; the leg that replaces it has its own finding
		}
		v.whatEngineSees(vol, l, &f)
	default:
		return v.judgeMedium(vol, l)
	}
	f.Since = fact.Since
	return append(v.judgeMedium(vol, l), f)
}

// setBackNext says what becomes of a volume with a leg that was set back.
func (v *View) setBackNext(vol *raft.Volume) string {
	for _, id := range vol.InSync {
		if l := vol.Leg(id); l == nil || !l.SetBack {
			return "it is copied in full from another leg before it is used; find out why, before it happens again"
		}
	}
	takeover := ""
	if vol.Attach != nil {
		takeover = "--takeover " // from the attachment that waits
	}
	return sprintf("nothing is served by itself: bring the right disk back if there is one, then holdfast volume "+
		"attach %s --host HOST %s--accept-loss goes on from the newest leg", vol.Name, takeover)
}

// legNames names the legs that match, for people.
func (v *View) legNames(vol *raft.Volume, match func(*raft.Leg) bool) string {
	var names []string
	for _, l := range vol.Legs {
		if match(l) {
			_, condition := v.Leg(l)
			names = append(names, sprintf("leg %s on %s (%s, %s)", l.ID.Short(), v.State.NodeName(l.Node),
				l.State, condition))
		}
	}
	return strings.Join(names, ", ")
}
