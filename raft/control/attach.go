package control

import (
	"fmt"

	"github.com/holdfast-storage/holdfast/raft"
)

// Detachments ends attachments that a dead host will not end.
//
// It guarantees that an attachment which is wanted detached, or was for maintenance or to fill a clone,
// ends although its host is dead; it ends unclean, so the next epoch reconciles. Nothing is lost by it: what the
// old engine may still write, the next grant fences. On a host that lives an engine that is gone is
// the host's own business: its daemon knows first, and either renews the attachment (an engine that
// restarts takes a new epoch, protocol-flush B.1) or gives it up.
func Detachments(v *View) []raft.Command {
	var out []raft.Command
	for _, vol := range v.sortedVolumes() {
		if vol.Attach == nil || !vol.Attach.Detaching && !vol.Attach.NoGuests() {
			continue
		}
		if v.Condition(vol.Attach.Host) == raft.NodeDead {
			out = append(out, raft.Command{Detach: &raft.Detach{Volume: vol.ID, Epoch: vol.Epoch}})
		}
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
	case host == nil || !v.speaks(vol.Attach.Host) || host.Looking || host.Engines[vol.Attach.ID]:
		return ""
	case v.Now.Sub(v.Facts.grants[vol.Attach.ID]) < v.Timing.EngineGone:
		return ""
	case e != nil && v.Now.Sub(later(e.Heard, e.Since)) < v.Timing.EngineGone:
		return ""
	}
	return "its engine is gone"
}
