package control

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/holdfast-storage/holdfast/raft"
)

// The times that a failover is promised to take when every leg answers, which drills are held against.
const (
	FirstReadMax = time.Second     // from the decision
	FailoverMax  = 5 * time.Second // from the host's last word
)

// failoverSlack is what is promised in all beside FailoverMax and T_read when that has to be waited for: with the
// default of 2 s it makes 8 s.
const failoverSlack = 500 * time.Millisecond

// DrillBounds returns the times that a move of a drill is promised to take: from the decision to the first read, and
// from the host's last word. 1.25 T_read is added if that was waited for.
func DrillBounds(m raft.DrillMove) (firstRead, total time.Duration) {
	if !m.Waited {
		return FirstReadMax, FailoverMax
	}
	wait := cmp.Or(m.ReadFor, raft.TRead)
	wait += wait / 4
	return FirstReadMax + wait, FailoverMax + failoverSlack + wait
}

const (
	// drillMoveMax is how long the guest of a drill may take to come up elsewhere. Its failover goes on afterwards.
	drillMoveMax = time.Minute
	// drillSettle is how long after that every check may take to hold.
	drillSettle = time.Minute
)

// Drills takes fire drills to their end, whoever leads and whoever watches.
//
// It guarantees that a drill ends: a minute after its move was decided if the guest is not up, a minute later if
// something that is checked does not hold, and else when the guest is back, if that was wanted. A failover that
// a drill began is ended by Operations, whatever becomes of the drill.
func Drills(v *View) []raft.Command {
	var out []raft.Command
	for _, d := range v.State.Drills {
		if !d.Running() {
			continue
		}
		if c := v.nextOfDrill(d); c != nil {
			out = append(out, *c)
		}
	}
	return out
}

// drillStep is one of the places where a drill waits: for a move, or for the checks after it.
type drillStep struct {
	drill uint64
	moves int
	moved bool
}

func stepOf(d *raft.Drill) drillStep {
	return drillStep{d.ID, len(d.Moves), d.Move().Result != raft.OperationRuns}
}

// seeDrills notes where the drills are that run.
func (f *Facts) seeDrills(s *raft.State, now time.Time) {
	seen := make(map[drillStep]time.Time)
	for _, d := range s.Drills {
		if !d.Running() {
			continue
		}
		step := stepOf(d)
		if seen[step] = now; !f.drills[step].IsZero() {
			seen[step] = f.drills[step]
		}
	}
	f.drills = seen
}

// nextOfDrill returns what a drill that runs does now, nil while it waits.
func (v *View) nextOfDrill(d *raft.Drill) *raft.Command {
	m, since := d.Move(), v.Now
	if at, ok := v.Facts.drills[stepOf(d)]; ok {
		since = at
	}
	fail := func(checks []raft.DrillCheck, format string, args ...any) *raft.Command {
		return &raft.Command{EndDrill: &raft.EndDrill{ID: d.ID, Result: raft.DrillFailed, Checks: checks,
			Message: fmt.Sprintf(format, args...)}}
	}
	switch m.Result {
	case raft.OperationDone:
	case raft.OperationRuns:
		if v.Now.Sub(since) < drillMoveMax {
			return nil
		}
		why := v.DrillWaits(d)
		if dom := v.State.Domains[drilled(d)]; dom != nil && v.Domain(dom) != nil && v.Domain(dom).Error != "" {
			why += ": " + v.Domain(dom).Error
		}
		return fail(nil, "the guest is not up on %s after %s: its failover waits for %s", m.To, drillMoveMax, why)
	default:
		return fail(nil, "the move to %s is %s: %s", m.To, m.Result, m.Message)
	}
	checks, waits := v.drillChecks(d)
	if waits != "" && v.Now.Sub(since) < drillSettle {
		return nil
	}
	var failed []string
	for _, c := range checks {
		if !c.OK {
			failed = append(failed, c.Detail)
		}
	}
	if len(failed) > 0 {
		return fail(checks, "%s", strings.Join(failed, "; "))
	}
	if d.Back && len(d.Moves) == 1 {
		dom, from := v.State.Domains[drilled(d)], v.State.Nodes[m.FromID]
		if from == nil || !v.hostable(from) {
			return fail(checks, "it worked, but the guest stays on %s: %s takes no guests now", m.To, m.From)
		}
		if why := v.lacksImage(dom.Spec, m.FromID); why != "" {
			return fail(checks, "it worked, but the guest stays on %s: %s", m.To, why)
		}
		place := v.Place(dom, m.FromID, sprintf("drill %d, on the way back", d.ID))
		return &raft.Command{ReturnDrill: &raft.ReturnDrill{ID: d.ID, Place: *place.PlaceDomain, Was: checks}}
	}
	end := &raft.EndDrill{ID: d.ID, Result: raft.DrillOK, Checks: checks}
	for _, m := range d.Moves {
		if late := Late(m); late != "" {
			end.Result = raft.DrillSlow
			end.Message = strings.TrimPrefix(end.Message+"; "+late, "; ")
		}
	}
	return &raft.Command{EndDrill: end}
}

func drilled(d *raft.Drill) string { return strings.TrimPrefix(d.Object, "domain/") }

// Late says by how much a move that is done took longer than is promised, "" if it did not.
func Late(m raft.DrillMove) string {
	bound, _ := DrillBounds(m)
	if at, ok := raft.StageAt(m.Stages, raft.StageFirstRead); ok && at > bound {
		return sprintf("on %s the first read came %s after the decision, %s is promised", m.To,
			at.Round(time.Millisecond), bound)
	}
	return ""
}

// DrillWaits says what a drill waits for, "" when it has ended or nothing is known.
func (v *View) DrillWaits(d *raft.Drill) string {
	if !d.Running() {
		return ""
	}
	if m := d.Move(); m.Result == raft.OperationRuns {
		if o := v.State.OperationByID(m.Operation); o != nil {
			return v.Progress(o).Waits
		}
		return ""
	}
	_, waits := v.drillChecks(d)
	return waits
}
