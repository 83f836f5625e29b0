package peer

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/volume"
)

func TestLineage_Judge(t *testing.T) {
	a, b := volume.NewClusterID(), volume.NewClusterID()
	for _, c := range []struct {
		have, heard Lineage
		want        Heard
		why         string
	}{
		{Lineage{}, Lineage{}, HeardNothing, "a coordinator that waits to be added"},
		{Lineage{a, 1}, Lineage{}, HeardNothing, "a coordinator of an older release"},
		{Lineage{}, Lineage{a, 0}, HeardNewer, "the first that is heard"},
		{Lineage{a, 0}, Lineage{a, 0}, HeardSame, "as ever"},
		{Lineage{a, 0}, Lineage{b, 1}, HeardNewer, "a restore"},
		{Lineage{b, 1}, Lineage{a, 0}, HeardOutdated, "coordinators of before it"},
		{Lineage{b, 1}, Lineage{a, 1}, HeardRival, "two restores of one generation"},
		{Lineage{a, 1}, Lineage{a, 2}, HeardNewer, "a promotion"},
		{Lineage{a, 2}, Lineage{a, 1}, HeardSame, "a coordinator that lags"},
	} {
		require.Equal(t, c.want, c.have.Judge(c.heard), c.why)
	}
}
