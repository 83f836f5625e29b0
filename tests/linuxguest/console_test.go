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

func TestDependency(t *testing.T) {
	name, err := dependency("Package: linux-image-cloud-amd64\nVersion: 6.1.1\n" +
		"Depends: linux-image-6.1.0-9-cloud-amd64 (= 6.1.1)\nDescription: x\n")
	require.NoError(t, err)
	require.Equal(t, "linux-image-6.1.0-9-cloud-amd64", name)
	_, err = dependency("Package: linux-image-cloud-amd64\n")
	require.ErrorContains(t, err, "no kernel")
}
