package control

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// A volume whose row cannot be is frozen, once, and no other.
func TestFlaws(t *testing.T) {
	s := raft.NewState()
	s.Version = raft.VersionLatest
	bad := &raft.Volume{ID: volume.NewID(), Name: "bad", Phase: volume.PhaseDetached}
	good := &raft.Volume{ID: volume.NewID(), Name: "good", Phase: volume.PhaseProvisioning, SizeBytes: 4096,
		Layout: volume.Mirror(2)}
	s.Volumes[bad.ID], s.Volumes[good.ID] = bad, good
	v := &View{State: s}
	out := Flaws(v)
	require.Equal(t, []raft.Command{{FreezeVolume: &raft.FreezeVolume{Volume: bad.ID}}}, out)
	require.Nil(t, s.Apply(out[0]).Err)
	require.Equal(t, volume.PhaseFrozen, s.Volumes[bad.ID].Phase)
	require.Empty(t, Flaws(v))
}
