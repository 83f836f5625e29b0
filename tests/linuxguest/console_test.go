package linuxguest

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSynced_onlyWholeLinesCount(t *testing.T) {
	console := "SeaBIOS\nguest: mounts its root\r\nguest: goes on from 41\r\nguest: synced 42\r\n" +
		"guest# guest: synced 43\r\necho guest: synced\r\nguest: synced 4"
	require.Equal(t, []uint64{41}, Began(console))
	require.Equal(t, []uint64{42, 43}, Synced(console))
	require.Empty(t, Synced("guest: synced 4"))
}
