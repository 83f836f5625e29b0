package control

import (
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// Flaws freezes volumes whose rows cannot be.
//
// It guarantees that such a volume is frozen, with the reason, before anybody touches it; nothing else is
// held up by it.
func Flaws(v *View) []raft.Command {
	var out []raft.Command
	for _, vol := range v.State.SortedVolumes() {
		if vol.Phase != volume.PhaseFrozen && vol.Flaw() != "" {
			out = append(out, raft.Command{FreezeVolume: &raft.FreezeVolume{Volume: vol.ID}})
		}
	}
	return out
}
