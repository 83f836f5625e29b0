package control

import (
	"time"

	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// JobKind is one kind of long work that goes on by itself.
type JobKind string

// The kinds of jobs.
const (
	JobProvision JobKind = "provisioning" // of a volume
	JobPlace     JobKind = "placement"    // of the leg that is to replace one that leaves
	JobCopy      JobKind = "copy"         // onto a leg, until it is in sync and the one that it replaces has gone
	JobScrub     JobKind = "scrub"        // of a volume
	JobClone     JobKind = "clone"        // a volume that is filled with what another one holds
	JobEmpty     JobKind = "emptying"     // of a node that is drained, replaced or removed
	JobRebalance JobKind = "rebalancing"  // of the cluster
	JobFailover  JobKind = "failover"     // an operation
)

// Job is long work under way. It is done when the state asks for it no more.
type Job struct {
	Kind      JobKind
	Volume    *raft.Volume    // of a provisioning, placement, copy, scrub or clone
	Leg       *raft.Leg       // of a placement (the one that leaves) or copy (the one that is filled)
	Node      *raft.Node      // of an emptying
	Operation *raft.Operation // of a failover
	mark      jobMark
}

// jobMark tells how far a job is. Whatever changes in it is progress: also a copy that begins anew.
type jobMark struct {
	state    volume.LegState
	steps    int   // that were taken, or are left to take
	bytes    int64 // that were looked at or copied
	isMade   bool
	isActive bool // an engine is at it
}

// jobID names a job for as long as it goes on.
type jobID struct {
	kind   JobKind
	object volume.UUID
	number uint64
}

func (j *Job) id() jobID {
	id := jobID{kind: j.Kind}
	switch {
	case j.Leg != nil:
		id.object = j.Leg.ID.UUID
	case j.Kind == JobScrub:
		id.object, id.number = j.Volume.ID.UUID, j.Volume.Scrub.ID
	case j.Volume != nil:
		id.object = j.Volume.ID.UUID
	case j.Node != nil:
		id.object = j.Node.ID.UUID
	case j.Operation != nil:
		id.number = j.Operation.ID
	}
	return id
}

// Object names what a finding about the job is about.
func (j *Job) Object() string {
	switch {
	case j.Leg != nil:
		return "leg/" + j.Leg.ID.String()
	case j.Volume != nil:
		return "volume/" + j.Volume.Name
	case j.Node != nil:
		return "node/" + j.Node.Name
	case j.Operation != nil:
		return operationObject(j.Operation)
	}
	return "cluster"
}

// jobs returns all jobs of a state, those of volumes in the order in which they are given.
func (f *Facts) jobs(s *raft.State, volumes []*raft.Volume, nodes []*raft.Node) []Job {
	var all []Job
	for _, vol := range volumes {
		all = f.volumeJobs(all, s, vol)
	}
	for _, n := range nodes {
		if n.Retiring {
			all = append(all, Job{Kind: JobEmpty, Node: n, mark: f.emptyMark(s, volumes, n)})
		}
	}
	if s.Rebalance != nil {
		all = append(all, Job{Kind: JobRebalance, mark: f.rebalanceMark(volumes)})
	}
	for _, o := range s.Operations {
		// The copy of a guest's memory is bounded by Migrations.
		if m := s.MigrationOf(o); o.Running() && (m == nil || m.Switched) {
			all = append(all, Job{Kind: JobFailover, Operation: o, mark: f.failoverMark(s, o)})
		}
	}
	return all
}

func (f *Facts) volumeJobs(all []Job, s *raft.State, vol *raft.Volume) []Job {
	switch {
	case vol.Deleting || vol.Phase == volume.PhaseFrozen:
		return all
	case vol.Phase == volume.PhaseProvisioning:
		m := jobMark{}
		for _, l := range vol.Legs {
			if l.Provisioned {
				m.steps++
			}
		}
		return append(all, Job{Kind: JobProvision, Volume: vol, mark: m})
	}
	for _, l := range vol.Legs {
		n := s.Nodes[l.Node]
		leaves := l.State == volume.LegLost || n == nil || n.Retiring
		unsynced := l.State == volume.LegStale || l.State == volume.LegRebuilding
		switch {
		case vol.Replacement(l.ID) != nil: // the job is that of the one which takes its place
		case leaves:
			all = append(all, Job{Kind: JobPlace, Volume: vol, Leg: l})
		case unsynced || vol.Leg(l.Replaces) != nil:
			all = append(all, Job{Kind: JobCopy, Volume: vol, Leg: l, mark: f.copyMark(vol, l)})
		}
	}
	if vol.Filling() {
		all = append(all, Job{Kind: JobClone, Volume: vol, mark: f.cloneMark(s, vol)})
	}
	if vol.Scrub != nil {
		m := jobMark{bytes: vol.Scrub.From}
		if e := f.engineOf(vol); e != nil && e.ScrubID == vol.Scrub.ID {
			m.isActive, m.bytes = true, max(m.bytes, e.ScrubDone)
		}
		all = append(all, Job{Kind: JobScrub, Volume: vol, mark: m})
	}
	return all
}

func (f *Facts) engineOf(vol *raft.Volume) *EngineFact {
	if vol.Attach == nil {
		return nil
	}
	return f.Engines[vol.Attach.ID]
}

func (f *Facts) copyMark(vol *raft.Volume, l *raft.Leg) jobMark {
	m := jobMark{state: l.State, isMade: l.Provisioned}
	if e := f.engineOf(vol); e != nil {
		for _, el := range e.Legs {
			if el.ID == l.ID {
				m.isActive, m.bytes = el.CopyBytes > 0, el.DoneBytes
			}
		}
	}
	return m
}

// emptyMark counts what is on a node, and what was copied of it.
func (f *Facts) emptyMark(s *raft.State, volumes []*raft.Volume, n *raft.Node) jobMark {
	m := jobMark{}
	for _, vol := range volumes {
		if vol.Attach != nil && vol.Attach.Host == n.ID {
			m.steps++
		}
		for _, l := range vol.Legs {
			if l.Node == n.ID {
				m.steps++
				if heir := vol.Replacement(l.ID); heir != nil {
					m.bytes += f.copyMark(vol, heir).bytes
				}
			}
		}
	}
	for _, tomb := range s.Tombs {
		if tomb.Node == n.ID {
			m.steps++
		}
	}
	return m
}

func (f *Facts) rebalanceMark(volumes []*raft.Volume) jobMark {
	m := jobMark{}
	for _, vol := range volumes {
		for _, l := range vol.Legs {
			if l.Ordered && vol.Leg(l.Replaces) != nil {
				m.steps++
				m.bytes += f.copyMark(vol, l).bytes
			}
		}
	}
	return m
}

func (f *Facts) failoverMark(s *raft.State, o *raft.Operation) jobMark {
	m := jobMark{steps: len(o.Stages)}
	for _, g := range o.Grants {
		if vol := s.Volumes[g.Volume]; vol != nil && vol.Epoch == g.Epoch {
			if e := f.engineOf(vol); e != nil {
				m.steps += len(e.Stages)
			}
		}
	}
	return m
}

// jobSeen is how far a job was, and since when it has been there.
type jobSeen struct {
	mark  jobMark
	since time.Time
}

// seeJobs notes the progress of all jobs, and forgets those that are done.
func (f *Facts) seeJobs(s *raft.State, now time.Time) {
	volumes := make([]*raft.Volume, 0, len(s.Volumes))
	for _, vol := range s.Volumes { // the order does not matter
		volumes = append(volumes, vol)
	}
	nodes := make([]*raft.Node, 0, len(s.Nodes))
	for _, n := range s.Nodes {
		nodes = append(nodes, n)
	}
	seen := make(map[jobID]jobSeen)
	for _, j := range f.jobs(s, volumes, nodes) {
		last, known := f.progress[j.id()]
		if !known || last.mark != j.mark {
			last = jobSeen{mark: j.mark, since: now}
		}
		seen[j.id()] = last
	}
	f.progress = seen
}

// Jobs returns all long work that is under way.
func (v *View) Jobs() []Job { return v.Facts.jobs(v.State, v.sortedVolumes(), v.State.SortedNodes()) }

// stalled returns how long a job has made no progress, zero if it makes some.
func (v *View) stalled(j *Job) time.Duration {
	last, known := v.Facts.progress[j.id()]
	if !known || last.mark != j.mark {
		return 0
	}
	return max(0, v.Now.Sub(last.since))
}

// judgeJobs finds the jobs that make no progress.
func (v *View) judgeJobs() []Finding {
	var out []Finding
	hostsAreFull := v.maintainer(v.maintained(v.cloneSources())) == nil && len(v.hosts(volume.NodeID{})) > 0
	for _, j := range v.Jobs() {
		idle := v.stalled(&j)
		if v.Timing.Stalled == 0 || idle < v.Timing.Stalled || v.isAway(&j) {
			continue
		}
		if j.Kind == JobCopy && (hostsAreFull && v.isDue(j.Volume) || v.isMaintainedLately(j.Volume)) {
			continue // it waits for its turn, or has had it for too short a time to stand still
		}
		why := WhyJob(v, &j)
		if why == "" {
			continue // nothing is left to do: a drained node that stays
		}
		out = append(out, Finding{
			Severity: raft.SeverityWarning, Status: Degraded, Object: j.Object(), Kind: "job_stalled",
			Message: sprintf("%s has made no progress for %s", v.jobSays(&j), idle.Truncate(time.Minute)), Cause: why,
			Next: "it goes on by itself when that ends", Since: v.Now.Add(-idle),
		})
	}
	return out
}

// isAway reports whether a job is the copy onto a leg that fell out, and whose node is silent: nothing was begun
// that could stall, and findings of the leg and the node tell of it.
func (v *View) isAway(j *Job) bool {
	return j.Kind == JobCopy && j.Volume.Leg(j.Leg.Replaces) == nil && !v.speaks(j.Leg.Node)
}

// jobSays names a job for people.
func (v *View) jobSays(j *Job) string {
	switch j.Kind {
	case JobProvision:
		return "the making of volume " + j.Volume.Name
	case JobPlace:
		return sprintf("the replacement of leg %s of volume %s on %s", j.Leg.ID.Short(), j.Volume.Name,
			v.State.NodeName(j.Leg.Node))
	case JobCopy:
		return sprintf("the copy onto leg %s of volume %s on %s", j.Leg.ID.Short(), j.Volume.Name,
			v.State.NodeName(j.Leg.Node))
	case JobScrub:
		return "the scrub of volume " + j.Volume.Name
	case JobClone:
		return sprintf("the filling of volume %s with what %s holds", j.Volume.Name, j.Volume.Clone.SourceName)
	case JobEmpty:
		return "the emptying of node " + j.Node.Name
	case JobRebalance:
		return "the rebalancing"
	}
	return sprintf("operation %d, the %s of %s", j.Operation.ID, j.Operation.Kind, j.Operation.Object)
}
