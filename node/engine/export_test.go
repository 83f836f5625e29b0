package engine

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/volume"
)

// Coordinators that are newer than the engine may ask for what it does not know.
func TestExports_oneThatIsUnknownIsToldAndHarmsNothing(t *testing.T) {
	c := newCluster(t, 1)
	c.createVolume("root", 1)
	ticket := c.grant("root")
	ticket.Exports = []volume.ExportSetting{{Kind: "telepathy", Address: "127.0.0.1:1"}}
	e := c.startEngine(ticket)
	e.waitState(peer.EngineServing)
	d := guest(t, e, 0)
	require.NoError(t, d.Write(t.Context(), make([]byte, 4096), 0, 0))
	require.Eventually(t, func() bool { return len(e.status().Faults) == 1 }, time.Minute, 5*time.Millisecond)
	fault := e.status().Faults[0]
	require.Equal(t, volume.ExportKind("telepathy"), fault.Kind)
	require.Contains(t, fault.Error, "does not know")
}

func TestFrontends_areThoseOfAllKinds(t *testing.T) {
	kinds := slices.Collect(maps.Keys(frontends()))
	require.ElementsMatch(t, volume.ExportKinds(), kinds)
}
