package leg_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/leg"
	"github.com/holdfast-storage/holdfast/volume"
)

// A leg of parity holds a part of its volume: its files are as long as the part, and its label says how large
// the volume is, without which it could not be put together again.
func TestProvision_parityLegHoldsItsPart(t *testing.T) {
	fsys := newMemFS()
	s := newStore(t, fsys)
	spec := testSpec()
	spec.Leg, spec.Layout, spec.Slot = volume.LegID{UUID: volume.UUID{15: 9}}, volume.Parity(4, 2), 5
	spec.SizeBytes = 4*(5<<20) + volume.BlockBytes // one block more than 80 stripes
	require.NoError(t, s.Provision(spec))
	require.NoError(t, s.Provision(spec), "the order is repeated")

	l, err := s.OpenLeg(spec.Leg)
	require.NoError(t, err)
	data, err := fsys.OpenData("legs/"+spec.Leg.String()+"/data", 512)
	require.NoError(t, err)
	require.Equal(t, int64(5<<20+volume.DefaultChunkBytes(4)), data.Limits().SizeBytes)
	require.NoError(t, data.Close())
	require.Equal(t, spec.SizeBytes, l.Label().SizeBytes)
	require.NoError(t, s.Close())

	s = openStore(t, fsys, "boot 2")
	l, err = s.OpenLeg(spec.Leg)
	require.NoError(t, err)
	require.Equal(t, spec.Layout, l.Label().Layout)
	require.NoError(t, s.Provision(spec))
	for name, change := range map[string]func(*leg.Spec){
		"chunk": func(s *leg.Spec) { s.Layout.Chunk = 4096 },
		"size":  func(s *leg.Spec) { s.SizeBytes += volume.BlockBytes }, // of the volume: the leg's is the same
		"slot":  func(s *leg.Spec) { s.Slot = 4 },
	} {
		other := spec
		change(&other)
		require.ErrorIs(t, s.Provision(other), leg.ErrMismatch, name)
	}
	bad := spec
	bad.Leg, bad.Layout.Chunk = volume.LegID{UUID: volume.UUID{15: 10}}, 12288
	require.ErrorContains(t, s.Provision(bad), "power of two")
	require.NoError(t, s.Close())
}
