package control

import (
	"strings"
	"time"

	"github.com/holdfast-storage/holdfast/raft"
)

// healedNews is for how long blocks that a scrub healed are a finding.
const healedNews = 3 * 24 * time.Hour

// judgeScrub looks at what the last scrubs found, and whether one is overdue.
func (v *View) judgeScrub(vol *raft.Volume) []Finding {
	var out []Finding
	object := "volume/" + vol.Name
	found := worstFound(vol)
	if found.Unreadable > 0 {
		out = append(out, Finding{
			Severity: raft.SeverityError, Status: AtRisk, Object: object, Kind: "blocks_unreadable",
			Message: sprintf("%d blocks of volume %s cannot be read from any leg", found.Unreadable, vol.Name),
			Cause:   "every leg in sync has them damaged, or only one leg is in sync",
			Next: sprintf("the guest gets a read error there until it writes them anew; restore what was in them, "+
				"then holdfast volume scrub %s", vol.Name),
		})
	}
	if found.Diverged > 0 {
		out = append(out, Finding{
			Severity: raft.SeverityError, Status: AtRisk, Object: object, Kind: "legs_diverged",
			Message: sprintf("the legs of volume %s differ in %d blocks%s", vol.Name, found.Diverged, ranges(found)),
			Cause:   "each leg has what was written to it last, and no majority tells which is right",
			Next: sprintf("nothing is changed by itself: check the guest's files, replace the leg that is wrong, then "+
				"holdfast volume scrub %s", vol.Name),
		})
	}
	if r := vol.LastScrub; r != nil && r.Found.Healed() > 0 && v.Now.Sub(r.FinishedAt) < healedNews {
		out = append(out, Finding{
			Severity: raft.SeverityWarning, Status: Healthy, Object: object, Kind: "blocks_healed",
			Message: sprintf("a scrub of volume %s healed %d of %d bad blocks", vol.Name, r.Found.Healed(),
				r.Found.Bad()),
			Cause: "on " + v.scrubbedLegs(vol, &r.Found), Since: r.FinishedAt,
			Next: "watch the disk: one that loses blocks loses more; holdfast node replace moves its legs",
		})
	}
	return append(out, v.judgeOverdue(vol)...)
}

// worstFound returns what the last complete scrub found, with what one that was stopped since adds.
func worstFound(vol *raft.Volume) *raft.ScrubFound {
	worst := &raft.ScrubFound{}
	for _, r := range []*raft.ScrubResult{vol.LastScrub, vol.StoppedScrub} {
		if r == nil {
			continue
		}
		if r.Found.Diverged > worst.Diverged {
			worst.Diverged, worst.Ranges = r.Found.Diverged, r.Found.Ranges
		}
		worst.Unreadable = max(worst.Unreadable, r.Found.Unreadable)
	}
	return worst
}

// ranges names the first ranges that diverged.
func ranges(f *raft.ScrubFound) string {
	if len(f.Ranges) == 0 {
		return ""
	}
	texts := make([]string, 0, 3)
	for _, r := range f.Ranges[:min(3, len(f.Ranges))] {
		texts = append(texts, sprintf("%d+%d", r.Off, r.Len))
	}
	return ", the first at bytes " + strings.Join(texts, ", ")
}

// scrubbedLegs names the legs with bad blocks.
func (v *View) scrubbedLegs(vol *raft.Volume, f *raft.ScrubFound) string {
	var names []string
	for _, s := range f.Legs {
		name := "a leg that is no longer part of it"
		if l := vol.Leg(s.Leg); l != nil {
			name = sprintf("leg %s on %s", l.ID.Short(), v.State.NodeName(l.Node))
		}
		names = append(names, sprintf("%s (%d of %d)", name, s.Healed, s.Bad))
	}
	return strings.Join(names, ", ")
}

// judgeOverdue tells of a volume whose schedule is not kept.
func (v *View) judgeOverdue(vol *raft.Volume) []Finding {
	late := v.Now.Sub(vol.ScrubbedAt())
	if vol.ScrubEvery <= 0 || late < vol.ScrubEvery+vol.ScrubEvery/4 {
		return nil
	}
	f := Finding{
		Severity: raft.SeverityInfo, Status: Healthy, Object: "volume/" + vol.Name, Kind: "scrub_overdue",
		Message: sprintf("volume %s was last scrubbed %d days ago", vol.Name, int(late.Hours()/24)),
		Cause:   "its host has other volumes to scrub, or is busy", Since: vol.ScrubbedAt().Add(vol.ScrubEvery),
		Next: sprintf("holdfast volume scrub %s", vol.Name),
	}
	if late >= 2*vol.ScrubEvery {
		f.Severity = raft.SeverityWarning
	}
	if vol.LastScrub == nil {
		f.Message = sprintf("volume %s was never scrubbed", vol.Name)
	}
	switch {
	case vol.Scrub != nil && vol.Attach != nil:
		done, _ := v.ScrubProgress(vol)
		f.Cause, f.Next = "a scrub is under way", "nothing is to be done"
		f.Progress = float64(done) / float64(vol.SizeBytes)
	case vol.Attach == nil || vol.Attach.NoGuests():
		f.Cause, f.Next = "it is not attached", "it is scrubbed once it is attached again"
	}
	return []Finding{f}
}

// judgeUnreadable tells of a guest that got read errors.
func (v *View) judgeUnreadable(vol *raft.Volume) []Finding {
	e := v.engine(vol)
	if e == nil || e.Unreadable == 0 {
		return nil
	}
	return []Finding{{
		Severity: raft.SeverityError, Status: AtRisk, Object: "volume/" + vol.Name, Kind: "guest_read_errors",
		Message: sprintf("the guest of volume %s got %d read errors", vol.Name, e.Unreadable),
		Cause:   "no leg in sync could read what it asked for",
		Next:    sprintf("holdfast volume scrub %s tells how much is lost; restore it from a backup", vol.Name),
	}}
}

// judgeMedium tells of a leg that is in use and whose disk loses blocks.
func (v *View) judgeMedium(vol *raft.Volume, l *raft.Leg) []Finding {
	el := v.EngineLeg(vol, l)
	if el == nil || el.MediumErrors == 0 {
		return nil
	}
	node := v.State.NodeName(l.Node)
	return []Finding{{
		Severity: raft.SeverityWarning, Status: Healthy, Object: "leg/" + l.ID.String(), Kind: "leg_medium_errors",
		Message: sprintf("leg %s of volume %s on %s had %d reads that failed; %d blocks were healed",
			l.ID.Short(), vol.Name, node, el.MediumErrors, el.Healed),
		Cause: "its disk has defects",
		Next: sprintf("holdfast volume scrub %s heals what can be; holdfast node replace %s NEW before the disk dies",
			vol.Name, node),
	}}
}

// whatEngineSees adds to the finding of a leg that is not in use what its engine says of it: the engine
// reads other blocks than the node's own check does, and waits for answers, so it may know of a dead disk
// behind a node that says that all is well.
func (v *View) whatEngineSees(vol *raft.Volume, l *raft.Leg, f *Finding) {
	el := v.EngineLeg(vol, l)
	if el == nil || el.State != "down" && el.State != "connecting" && el.State != "lost" {
		return
	}
	switch {
	case el.Error == "":
	case f.Cause == "":
		f.Cause = "its engine says: " + el.Error
	default:
		f.Cause += "; its engine says: " + el.Error
	}
	if el.BannedFor > 0 {
		f.Next = sprintf("it failed again and again, so it is tried again in %s; if that goes on, look at the disk "+
			"and the network, or holdfast node replace %s NEW",
			el.BannedFor.Round(time.Second), v.State.NodeName(l.Node))
	}
}

// EngineLeg returns what the engine that serves the volume says of a leg, nil if nothing.
func (v *View) EngineLeg(vol *raft.Volume, l *raft.Leg) *EngineLeg {
	e := v.engine(vol)
	if e == nil || !e.State.Serves() {
		return nil
	}
	for i := range e.Legs {
		if e.Legs[i].ID == l.ID {
			return &e.Legs[i]
		}
	}
	return nil
}
