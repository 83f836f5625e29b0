package node

import (
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
