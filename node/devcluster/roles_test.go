package devcluster

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/raft"
)

func TestParseRoles(t *testing.T) {
	roles, err := ParseRoles("coordinator, storage")
	require.NoError(t, err)
	require.Equal(t, []raft.Role{raft.RoleCoordinator, raft.RoleStorage}, roles)
	roles, err = ParseRoles("")
	require.NoError(t, err)
	require.Equal(t, AllRoles(), roles)
	_, err = ParseRoles("storage,king")
	require.ErrorContains(t, err, "king")
}
