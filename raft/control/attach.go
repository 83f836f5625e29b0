package control

import (
	"fmt"

	"github.com/holdfast-storage/holdfast/raft"
)

// Attachments gives a host that lost its engine the next epoch.
//
// It guarantees that an attachment whose engine is over (it failed, was fenced although its epoch is
// current, or is gone without a word) gets a new epoch on the same host, with back-off, as long as
// the host's daemon speaks: an engine that restarts takes a new epoch (protocol-flush B.1). An
// attachment that is wanted detached, or is for maintenance, is not renewed but ended by
// Detachments. An operator's order to accept a loss held for one attachment and is not carried on.
func Attachments(v *View) []raft.Command {
	var out []raft.Command
	for _, vol := range v.State.SortedVolumes() {
		if vol.Attach == nil || vol.Attach.Maintenance || vol.Attach.Detaching || vol.Deleting {
			continue
		}
		why := v.engineGone(vol)
		if why == "" || !v.speaks(vol.Attach.Host) || !v.Facts.regrants[vol.ID].due(v.Now) {
			continue
		}
		host := v.State.NodeName(vol.Attach.Host)
		out = append(out,
			raft.Command{BeginAttach: &raft.BeginAttach{
				Volume: vol.ID, Host: vol.Attach.Host, AttachID: v.attachID(), Takeover: true, After: vol.Epoch,
			}},
			event(raft.SeverityWarning, "volume/"+vol.Name, "engine_gone",
				"volume %s got the next epoch on %s: %s", vol.Name, host, why))
	}
	return out
}

// engineGone returns why nothing serves the volume's current attachment any more, "" while something
// does or may.
func (v *View) engineGone(vol *raft.Volume) string {
	e := v.engine(vol)
	if e != nil && e.State.over() {
		if e.Reason == "" {
			return "its engine is " + string(e.State)
		}
		return fmt.Sprintf("its engine is %s: %s", e.State, e.Reason)
	}
	host := v.Facts.Nodes[vol.Attach.Host]
	switch {
	case host == nil || !v.speaks(vol.Attach.Host) || host.Engines[vol.Attach.ID]:
		return ""
	case v.Now.Sub(v.Facts.grants[vol.Attach.ID]) < v.Timing.EngineGone:
		return ""
	case e != nil && v.Now.Sub(later(e.Heard, e.Since)) < v.Timing.EngineGone:
		return ""
	}
	return "its engine is gone"
}

// Detachments ends attachments that nobody can end cleanly any more.
//
// It guarantees that an attachment which is wanted detached, or was for maintenance, ends although
// its engine is over or its host is dead; it ends unclean, so the next epoch reconciles. Nothing is
// lost by it: what the old engine may still write, the next grant fences.
func Detachments(v *View) []raft.Command {
	var out []raft.Command
	for _, vol := range v.State.SortedVolumes() {
		if vol.Attach == nil || !vol.Attach.Detaching && !vol.Attach.Maintenance {
			continue
		}
		if v.engineGone(vol) != "" || v.Condition(vol.Attach.Host) == raft.NodeDead {
			out = append(out, raft.Command{Detach: &raft.Detach{Volume: vol.ID, Epoch: vol.Epoch}})
		}
	}
	return out
}
