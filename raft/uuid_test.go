package raft

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/volume"
)

// A domain is salted when it is defined, once and for all: one from before never, and none anew, so that no guest gets
// another UUID.
func TestDefineDomain_saltsOnce(t *testing.T) {
	s := NewState()
	define := func(name, command string) *Domain {
		spec := DomainSpec{Name: name, Driver: driverExec, Exec: &ExecSpec{Command: []string{command}},
			Volumes: []DomainVolume{{Name: "root"}}}
		require.Nil(t, s.Apply(Command{DefineDomain: &DefineDomain{ID: volume.NewUUID(), Spec: spec}}).Err)
		return s.Domains[name]
	}
	id := volume.NewClusterID()
	require.Nil(t, s.Apply(Command{InitCluster: &InitCluster{Name: "c", ID: id, Incarnation: id}}).Err)
	require.True(t, define("old", "a").Salt.IsZero())
	require.Nil(t, s.Apply(Command{RaiseVersion: &RaiseVersion{To: VersionLatest}}).Err)
	require.True(t, define("old", "b").Salt.IsZero())
	require.Equal(t, id, define("new", "a").Salt)
	s.Cluster.ID = volume.NewClusterID()
	require.Equal(t, id, define("new", "b").Salt)
}
