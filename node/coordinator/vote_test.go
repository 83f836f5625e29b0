package coordinator

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// roster is a raft group that, as the real one, refuses two members of one address.
type roster struct {
	Raft
	t       *testing.T
	members []raft.Member
}

func (r *roster) Members() ([]raft.Member, error) { return r.members, nil }

func (r *roster) AddMember(_ context.Context, m raft.Member) error {
	for i, old := range r.members {
		if old.ID == m.ID {
			r.members[i] = m
			return nil
		}
		require.NotEqual(r.t, old.Addr, m.Addr, "duplicate address in configuration")
	}
	r.members = append(r.members, m)
	return nil
}

func TestFreeAddress_aFreshMachineTakesTheAddressOfTheOldOne(t *testing.T) {
	old, other := volume.NewNodeID(), volume.NewNodeID()
	r := &roster{t: t, members: []raft.Member{{ID: old, Addr: "10.0.0.1:7"}, {ID: other, Addr: "10.0.0.2:7"}}}
	heir := &raft.Node{ID: volume.NewNodeID(), Raft: "10.0.0.1:7"}
	for range 2 { // again after a lost answer
		require.NoError(t, freeAddress(t.Context(), r, heir))
		require.NoError(t, r.AddMember(t.Context(), raft.Member{ID: heir.ID, Addr: heir.Raft}))
		require.Len(t, r.members, 3)
		require.Equal(t, old, r.members[0].ID, "it keeps its vote until the new one has its own")
		require.Equal(t, raft.Member{ID: other, Addr: "10.0.0.2:7"}, r.members[1])
	}
}
