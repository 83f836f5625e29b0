package control

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// readPatience is how long the first read of a guest that runs, or of a volume that serves, is waited for
// before a failover counts as done without it.
const readPatience = 5 * time.Second

// Operations ends failovers.
//
// It guarantees that an operation ends, with the times of its stages, when the guest runs on the new host
// and has read its disk, or runs without reading for readPatience; a volume alone has no guest to wait for.
// Until then it goes on, whoever leads: what the stages took is told again by engine and host.
func Operations(v *View) []raft.Command {
	var out []raft.Command
	for _, o := range v.State.Operations {
		if !o.Running() {
			continue
		}
		if p := v.Progress(o); p.Done {
			out = append(out, raft.Command{EndOperation: &raft.EndOperation{ID: o.ID, Stages: p.Stages}})
		}
	}
	return out
}

// OperationProgress is how far an operation is.
type OperationProgress struct {
	Stages []raft.OperationStage // those that were reached, in time
	Done   bool
	Waits  string // what it waits for, as a sentence without its end; empty when nothing is known
}

// operationSeen is when a coordinator saw an operation committed.
type operationSeen struct {
	at      time.Time
	late    bool          // it had begun before this coordinator followed the state
	granted time.Duration // since the decision, zero if that is not known
	// switched is when it was seen that a migration has switched.
	switched time.Time
}

// grantedMax is how long a decision takes to be committed. What is longer says that the clocks of two
// coordinators differ.
const grantedMax = time.Second

// see notes the operations that run.
func (f *Facts) see(s *raft.State, now time.Time) {
	seen := make(map[uint64]operationSeen)
	for _, o := range s.Operations {
		if !o.Running() {
			continue
		}
		first, ok := f.operations[o.ID]
		if !ok {
			first.at, first.late = now, f.operations == nil
			if took := now.Sub(o.At); took > 0 && took <= grantedMax && !first.late {
				first.granted = took
			}
		}
		if m := s.MigrationOf(o); m != nil && m.Switched && first.switched.IsZero() {
			first.switched = now
		}
		seen[o.ID] = first
	}
	f.operations = seen
}

// stageAt returns a time as the operation counts it. The decision was taken by the clock of the leader of
// then, so this coordinator counts by its own from when it saw the decision committed, if it did.
func (f *Facts) stageAt(o *raft.Operation, t time.Time) time.Duration {
	since := t.Sub(o.At)
	if seen, ok := f.operations[o.ID]; ok && !seen.late && !t.Before(seen.at) {
		since = seen.granted + t.Sub(seen.at)
	}
	return max(0, since)
}

// Progress returns how far an operation is; one that has ended is as it was committed.
func (v *View) Progress(o *raft.Operation) OperationProgress {
	if !o.Running() {
		return OperationProgress{Stages: o.Stages, Done: true}
	}
	stages := slices.Clone(o.Stages)
	add := func(name string, at time.Duration) {
		stages = append(stages, raft.OperationStage{Name: name, At: at})
	}
	if seen := v.Facts.operations[o.ID]; seen.granted > 0 {
		add(raft.StageGranted, seen.granted)
	}
	for _, name := range []string{raft.StageFenced, raft.StageActivated, raft.StageConfigured, raft.StageServing} {
		if at, ok := v.allReached(o, name); ok {
			add(name, at)
		}
	}
	ready, runs := raft.StageAt(stages, raft.StageServing)
	if o.Domain != "" {
		if ready, runs = v.guestRuns(o); runs {
			add(raft.StageGuest, ready)
		}
	}
	read, wasRead := v.firstRead(o)
	if wasRead {
		add(raft.StageFirstRead, read)
	}
	slices.SortStableFunc(stages, func(a, b raft.OperationStage) int { return cmp.Compare(a.At, b.At) })
	p := OperationProgress{Stages: stages}
	p.Done = runs && (wasRead || v.Facts.stageAt(o, v.Now)-ready >= readPatience)
	if !p.Done {
		p.Waits = v.waitsFor(o, runs)
	}
	return p
}

// grantEngine returns a granted volume and its engine, nil for what is not there.
func (v *View) grantEngine(g raft.OperationGrant) (*raft.Volume, *EngineFact) {
	vol := v.State.Volumes[g.Volume]
	if vol == nil || vol.Attach == nil || vol.Epoch != g.Epoch {
		return vol, nil
	}
	return vol, v.engine(vol)
}

// allReached returns when the last of an operation's engines reached a stage, false if one has not.
func (v *View) allReached(o *raft.Operation, stage string) (last time.Duration, ok bool) {
	for _, g := range o.Grants {
		_, e := v.grantEngine(g)
		at, reached := e.reached(stage)
		if !reached {
			return 0, false
		}
		last = max(last, v.Facts.stageAt(o, at))
	}
	return last, len(o.Grants) > 0
}

// firstRead returns when the first of an operation's volumes answered a read of the guest.
func (v *View) firstRead(o *raft.Operation) (first time.Duration, ok bool) {
	for _, g := range o.Grants {
		_, e := v.grantEngine(g)
		if at, reached := e.reached(raft.StageFirstRead); reached {
			if since := v.Facts.stageAt(o, at); !ok || since < first {
				first, ok = since, true
			}
		}
	}
	return first, ok
}

// reached returns when an engine reached a stage; no engine has reached none.
func (e *EngineFact) reached(stage string) (time.Time, bool) {
	if e == nil {
		return time.Time{}, false
	}
	i := slices.IndexFunc(e.Stages, func(s Stage) bool { return s.Name == stage })
	if i < 0 {
		return time.Time{}, false
	}
	return e.Began.Add(e.Stages[i].At), true
}

// guestRuns returns when the operation's guest was started, false if it does not run. One that is paused counts:
// whether it was started or is to be once it is resumed, its disks serve, and nothing else is waited for.
func (v *View) guestRuns(o *raft.Operation) (time.Duration, bool) {
	d := v.State.Domains[o.Domain]
	if d == nil || d.Run != o.Run {
		return 0, false
	}
	if fact := v.Domain(d); fact != nil && (fact.State == DomainRunning || fact.State == DomainPaused) {
		return v.Facts.stageAt(o, fact.Since), true
	}
	return 0, false
}

// waitsFor says what an operation waits for.
func (v *View) waitsFor(o *raft.Operation, runs bool) string {
	if runs {
		return "its first read"
	}
	if why := v.migrationWaitsFor(o); why != "" {
		return why
	}
	var waits []string
	for _, g := range o.Grants {
		if why := v.grantWaits(o, g); why != "" {
			waits = append(waits, why)
		}
	}
	if len(waits) == 0 && o.Domain != "" {
		waits = append(waits, "the start of domain "+o.Domain+" on "+o.To)
	}
	return strings.Join(waits, "; ")
}

// grantWaits says what the attachment of one volume waits for, "" when it serves.
func (v *View) grantWaits(o *raft.Operation, g raft.OperationGrant) string {
	vol, e := v.grantEngine(g)
	open := []string(nil)
	if vol != nil {
		open = v.State.OpenToOthers(vol)
	}
	switch {
	case vol == nil:
		return "volume " + g.Name + ", which is gone"
	case e == nil:
		return sprintf("an engine of volume %s on %s", g.Name, o.To)
	case e.State.Serves():
		return ""
	case len(open) > 0 && v.anyFenced(vol):
		return sprintf("volume %s: T_read, as the leg on %s is not fenced and may be read on %s: %s left",
			g.Name, strings.Join(open, ", "), o.From, v.readWait(vol).Round(10*time.Millisecond))
	case e.Reason != "":
		return sprintf("volume %s: %s", g.Name, e.Reason)
	}
	return sprintf("volume %s: its engine is %s", g.Name, e.State)
}

// anyFenced reports whether the wait for T_read has begun: a leg in sync is fenced.
func (v *View) anyFenced(vol *raft.Volume) bool {
	return slices.ContainsFunc(vol.InSync, func(id volume.LegID) bool {
		l := vol.Leg(id)
		return l != nil && l.FencedEpoch == vol.Epoch
	})
}

func (v *View) readWait(vol *raft.Volume) time.Duration {
	if v.WaitLeft == nil {
		return 0
	}
	return v.WaitLeft(vol.ID, vol.Epoch)
}

// silent returns how long a node that may be dead has been silent, zero for one that is heard.
func (v *View) silent(id volume.NodeID) time.Duration {
	if c := v.Condition(id); v.Silent == nil || c != raft.NodeSuspect && c != raft.NodeDead {
		return 0
	}
	return v.Silent(id)
}
