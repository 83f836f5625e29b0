package control

import (
	"encoding/binary"
	"time"

	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// scrubStopped is how long a scrub that an operator stopped is not begun again by its schedule.
const scrubStopped = 24 * time.Hour

// Scrubs begins the scrubs that are due.
//
// It guarantees that a volume which serves a guest is scrubbed as often as its schedule says, as long
// as its host has the time: no host is at two scrubs at once, and volumes that were made together are not
// scrubbed together. A detached volume waits until it is attached.
func Scrubs(v *View) []raft.Command {
	busy := make(map[volume.NodeID]bool)
	for _, vol := range v.State.Volumes {
		if vol.Scrub != nil && scrubbable(vol) {
			busy[vol.Attach.Host] = true
		}
	}
	var out []raft.Command
	for _, vol := range v.sortedVolumes() {
		if !scrubbable(vol) || vol.Scrub != nil || busy[vol.Attach.Host] || !v.scrubDue(vol) {
			continue
		}
		if e := v.engine(vol); e == nil || e.State != EngineServing {
			continue
		}
		busy[vol.Attach.Host] = true
		out = append(out, raft.Command{RequestScrub: &raft.RequestScrub{
			Volume: vol.ID, Epoch: vol.Epoch, Request: v.NewID(), By: raft.ScrubBySchedule,
		}})
	}
	return out
}

// scrubbable reports whether the volume has an attachment whose engine takes a scrub. One that is wanted
// of another volume waits, and keeps no host from scrubbing the rest.
func scrubbable(vol *raft.Volume) bool {
	return vol.Phase == volume.PhaseAttached && !vol.Attach.NoGuests() && !vol.Attach.Detaching && !vol.Deleting
}

// scrubDue reports whether a volume's schedule wants it scrubbed now. Up to a tenth of the interval is
// taken off, by the volume's identity.
func (v *View) scrubDue(vol *raft.Volume) bool {
	if vol.ScrubEvery <= 0 {
		return false
	}
	if s := vol.StoppedScrub; s != nil && v.Now.Sub(s.FinishedAt) < min(scrubStopped, vol.ScrubEvery) {
		return false
	}
	spread := time.Duration(binary.BigEndian.Uint32(vol.ID.UUID[12:])) * (vol.ScrubEvery / 10) >> 32
	return v.Now.Sub(vol.ScrubbedAt()) >= vol.ScrubEvery-spread
}

// ScrubProgress returns how far the scrub that is wanted is: bytes that were looked at. running is false
// when no engine is at it.
func (v *View) ScrubProgress(vol *raft.Volume) (done int64, running bool) {
	if vol.Scrub == nil {
		return 0, false
	}
	e := v.engine(vol)
	if e == nil || e.ScrubID != vol.Scrub.ID || !e.State.Serves() {
		return vol.Scrub.From, false
	}
	return max(vol.Scrub.From, e.ScrubDone), true
}
