package node

import (
	"math"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/volume"
)

// What a node follows only goes forward, and a restart does not forget it.
func TestGeneration_isKept(t *testing.T) {
	d := &dataDir{path: t.TempDir()}
	g, err := d.generation()
	require.NoError(t, err)
	require.Zero(t, g.lineage())
	first, second := peer.Lineage{Incarnation: volume.NewClusterID()},
		peer.Lineage{Incarnation: volume.NewClusterID(), Generation: 1}
	for _, l := range []peer.Lineage{first, second} {
		verdict, err := g.follow(l)
		require.NoError(t, err)
		require.Equal(t, peer.HeardNewer, verdict)
		g, err = d.generation()
		require.NoError(t, err)
		require.Equal(t, l, g.lineage())
	}
	verdict, err := g.follow(first)
	require.NoError(t, err)
	require.Equal(t, peer.HeardOutdated, verdict)
	require.Equal(t, second, g.lineage())
	require.NoError(t, os.WriteFile(d.file(generationFile), []byte("{"), 0o600))
	_, err = d.generation()
	require.ErrorContains(t, err, generationFile)
}

// A restore from a backup that was taken before promotions makes no generation that they have used, nor one that
// cannot be.
func TestGenerationFor(t *testing.T) {
	for least, want := range map[uint32]uint32{1: 1000, 2: 1000, 1000: 1000, 1001: 2000, 2999: 3000,
		math.MaxUint32: math.MaxUint32} {
		require.Equal(t, want, generationFor(least), least)
	}
}

// Another restore of the same generation is told of once.
func TestGeneration_rival(t *testing.T) {
	d := &dataDir{path: t.TempDir()}
	g, err := d.generation()
	require.NoError(t, err)
	a, b := peer.Lineage{Incarnation: volume.NewClusterID(), Generation: 7},
		peer.Lineage{Incarnation: volume.NewClusterID(), Generation: 7}
	_, err = g.follow(a)
	require.NoError(t, err)
	verdict, err := g.follow(b)
	require.NoError(t, err)
	require.Equal(t, peer.HeardRival, verdict)
	require.True(t, g.newRival(b))
	require.False(t, g.newRival(b))
}
