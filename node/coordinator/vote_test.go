package coordinator

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/api"
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
	heir := &raft.Node{ID: volume.NewNodeID(), Name: "n1", Raft: "10.0.0.1:7"}
	state := raft.NewState()
	state.Nodes[old] = &raft.Node{ID: old, Name: "n1"}
	require.ErrorContains(t, freeAddress(t.Context(), r, state, heir), "address",
		"a slip in a configuration takes the vote of a machine that lives")
	require.Equal(t, "10.0.0.1:7", r.members[0].Addr)
	state.Nodes[old].ReplacedBy = heir.ID
	for range 2 { // again after a lost answer
		require.NoError(t, freeAddress(t.Context(), r, state, heir))
		require.NoError(t, r.AddMember(t.Context(), raft.Member{ID: heir.ID, Addr: heir.Raft}))
		require.Len(t, r.members, 3)
		require.Equal(t, old, r.members[0].ID, "it keeps its vote until the new one has its own")
		require.Equal(t, raft.Member{ID: other, Addr: "10.0.0.2:7"}, r.members[1])
	}
}

// follow lets a coordinator report to the leader, as one that has the log, until the test ends.
func (w *world) follow(id volume.NodeID) {
	w.group.Go(func() {
		for w.ctx.Err() == nil {
			_, revision := w.raft.State()
			w.c.takeHeard(heardReport{Node: id, Revision: revision})
			pass(500 * time.Millisecond)
		}
	})
}

// TestVotes_aVoteIsNotLost: a coordinator leaves only when another takes its vote, which gets the log
// before it counts.
func TestVotes_aVoteIsNotLost(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		voters := func() (ids []volume.NodeID) {
			members, err := w.raft.Members()
			require.NoError(t, err)
			for _, m := range members {
				if !m.Learner {
					ids = append(ids, m.ID)
				}
			}
			return ids
		}
		c2 := w.add("c2", volume.NewNodeID(), raft.RoleCoordinator)
		c3 := w.add("c3", volume.NewNodeID(), raft.RoleCoordinator)
		for _, id := range []volume.NodeID{w.id("n1"), c2.node.ID, c3.node.ID} {
			require.NoError(t, w.raft.AddMember(t.Context(), raft.Member{ID: id}))
			w.follow(id)
		}
		pass(3 * time.Second)
		err := w.api.ReplaceNode(t.Context(), "c3", api.ReplaceNode{New: "n2"}, discard)
		require.ErrorContains(t, err, "2 would be left, 3 are needed")
		require.ErrorContains(t, w.api.RemoveNode(t.Context(), "c3", api.Wait{}, discard), "2 would be left")

		c4 := w.add("c4", volume.NewNodeID(), raft.RoleCoordinator)
		pass(3 * time.Second)
		err = w.api.ReplaceNode(t.Context(), "c3",
			api.ReplaceNode{New: "n2", Wait: api.Wait{NoWait: true}}, discard)
		require.NoError(t, err, "c4 can take the vote")
		pass(10 * time.Second)
		require.Len(t, voters(), 3, "c4 does not have the log")
		require.Contains(t, voters(), c3.node.ID)
		w.follow(c4.node.ID)
		pass(5 * time.Second)
		require.ElementsMatch(t, []volume.NodeID{w.id("n1"), c2.node.ID, c4.node.ID}, voters())
		state, _ := w.raft.State()
		require.Nil(t, state.NodeByName("c3"))
	})
}
