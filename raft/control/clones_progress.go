package control

import (
	"cmp"
	"time"

	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// CopyState is how far the copy of a volume onto a clone is.
type CopyState string

// The states of a copy.
const (
	CopyRuns  CopyState = "copying"  // more has to be copied than can be while the guest waits
	CopyNear  CopyState = "near"     // so little is left that it can be cut
	CopyHeld  CopyState = "held"     // the guest waits while the rest is copied
	CopyEnded CopyState = "complete" // the clone holds what the volume held at the cut
)

// CopyFact is what an engine says of the copy of its volume onto a clone.
type CopyFact struct {
	Volume     volume.ID    // the clone
	Epoch      volume.Epoch // of the clone's attachment
	State      CopyState
	DoneBytes  int64 // of the first pass
	TotalBytes int64
	RestBytes  int64  // that are left to copy, as far as is known
	Error      string // why it stands still
}

// Progress is how much of the first pass is done, 0 to 1.
func (c *CopyFact) Progress() float64 {
	if c.TotalBytes <= 0 {
		return 0
	}
	return min(1, float64(c.DoneBytes)/float64(c.TotalBytes))
}

// CloneCopy returns what the engine of a clone's source says of the copy onto the clone as it is attached now, nil if
// none is at it, or if the clone was cut.
func (v *View) CloneCopy(vol *raft.Volume) *CopyFact {
	if !vol.Filling() || v.State.Volumes[vol.Clone.Source] == nil {
		return nil
	}
	e := v.engine(v.State.Volumes[vol.Clone.Source])
	if e == nil || e.Copy == nil || e.Copy.Volume != vol.ID || e.Copy.Epoch != vol.Epoch {
		return nil
	}
	return e.Copy
}

// cloneMark tells how far the filling of a clone is. Epochs do not count, else one that fails again and again would.
func (f *Facts) cloneMark(s *raft.State, vol *raft.Volume) jobMark {
	source := s.Volumes[vol.Clone.Source]
	if source == nil {
		return jobMark{}
	}
	e := f.engineOf(source)
	if e == nil || e.Copy == nil || e.Copy.Volume != vol.ID {
		return jobMark{}
	}
	m := jobMark{isActive: true, bytes: e.Copy.DoneBytes}
	if e.Copy.State != CopyRuns {
		m.steps++ // it could be cut
	}
	return m
}

// FillingWaits says what keeps a clone from being filled now, "" when its source's engine is at it, also if that says
// that it stands still, and of a clone that was cut.
func (v *View) FillingWaits(vol *raft.Volume) string {
	if !vol.Filling() {
		return ""
	}
	if why := v.CloneWaits(vol); why != "" {
		if n, reason := v.Facts.EngineFailures(vol.ID); n > 0 {
			why = sprintf("%s: %d engines of it have failed in a row, the last one: %s", why, n,
				cmp.Or(reason, "no reason was heard"))
		}
		return why
	}
	source := v.State.Volumes[vol.Clone.Source]
	for _, needed := range []*raft.Volume{source, vol} {
		if why := v.whyEngineIdle(needed); why != "" {
			return sprintf("volume %s: %s", needed.Name, why)
		}
	}
	own := v.CloneCopy(vol)
	switch {
	case own == nil:
		return sprintf("the engine of volume %s has not begun", source.Name)
	}
	return ""
}

// whyNotFilled says why a clone is not filled, or not cut, now.
func (v *View) whyNotFilled(j *Job) string {
	vol := j.Volume
	if why := v.FillingWaits(vol); why != "" {
		return why
	}
	source, own := v.State.Volumes[vol.Clone.Source], v.CloneCopy(vol)
	if own.Error != "" {
		return sprintf("the engine of volume %s says: %s", source.Name, own.Error)
	}
	idle := v.stalled(j)
	if v.Timing.Stalled == 0 || idle < v.Timing.Stalled {
		return ""
	}
	since := idle.Truncate(time.Minute)
	switch {
	case own.State != CopyRuns:
		return sprintf("it could be cut, and host %s has not done so for %s: its log says why",
			v.State.NodeName(source.Attach.Host), since)
	case own.DoneBytes >= own.TotalBytes:
		return sprintf("volume %s is written to as fast as it is copied, and %s are left: give it a higher rate, or "+
			"the guest a limit", source.Name, volume.FormatSize(own.RestBytes))
	}
	return sprintf("the engine of volume %s is at it and has stood at %d bytes for %s", source.Name, own.DoneBytes,
		since)
}
