package coordinator

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// certify has a join token give a certificate to a node that does not register.
func (w *world) certify(name string) volume.NodeID {
	w.t.Helper()
	id, now := volume.NewNodeID(), time.Now()
	hash := "0000000000000000000000000000000000000000000000000000000000000000"
	for _, c := range []raft.Command{
		{RaiseVersion: &raft.RaiseVersion{To: raft.VersionLatest}},
		{CreateJoin: &raft.CreateJoin{ID: name, Hash: hash, Now: now, Expires: now.Add(time.Hour)}},
		{UseJoin: &raft.UseJoin{ID: name, Node: id, Name: name, Key: hash, Cert: []byte("x"), Now: now}},
	} {
		r, _, err := w.raft.Apply(w.t.Context(), c)
		require.NoError(w.t, err)
		require.Nil(w.t, r.Err)
	}
	return id
}

// TestGuard_whoIsNotRegistered: a certificate alone has the right to register, whatever it says of who calls and
// whoever it goes through. Registered, it is a node.
func TestGuard_whoIsNotRegistered(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ghost, node := w.certify("ghost"), w.id("n2")
		as := func(id volume.NodeID, via ...volume.NodeID) api.Caller {
			return api.Caller{Kind: api.CallerNode, Node: id, Via: via}
		}
		root := func(via ...volume.NodeID) api.Caller { return api.Caller{Kind: api.CallerRoot, Via: via} }
		for name, x := range map[string]struct {
			caller api.Caller
			code   api.Code // "" is let in
		}{
			"a node":                        {as(node), ""},
			"a node through another":        {as(node, w.id("h1")), ""},
			"root here":                     {root(), ""},
			"root on a node":                {root(node), ""},
			"it itself":                     {as(ghost), api.CodeRefused},
			"it through a node":             {as(ghost, node), api.CodeRefused},
			"it as root":                    {root(ghost), api.CodeNoLeader},
			"it as root, through a node":    {root(ghost, node), api.CodeNoLeader},
			"it as another node":            {as(node, ghost), api.CodeNoLeader},
			"who nobody ever gave anything": {as(volume.NewNodeID()), api.CodeRefused},
		} {
			role, refusal := w.c.guard(x.caller)
			if x.code == "" {
				require.Nil(t, refusal, name)
				require.Equal(t, api.RoleAdmin, role, name)
				continue
			}
			require.NotNil(t, refusal, name)
			require.Equal(t, x.code, refusal.Code, name)
			require.Equal(t, api.RoleNone, role, name)
			require.NotNil(t, w.c.Unregistered(x.caller), name)
		}
		require.Nil(t, w.c.Unregistered(api.Caller{Kind: api.CallerNode, Node: w.id("n1")}), "a node sees its own")
		state, _ := w.raft.State()
		require.Equal(t, []volume.NodeID{ghost}, BuildAssignment(state, node, raft.TRead).Unregistered)

		leg := raft.Command{LegDeleted: &raft.LegDeleted{Leg: volume.NewLegID()}}
		require.Equal(t, http.StatusForbidden, w.call(ghost, http.MethodPost, peer.PathCommand, leg, nil))
		require.Equal(t, http.StatusOK, w.call(node, http.MethodPost, peer.PathCommand, leg, nil))
		watched := make(chan peer.Assignment)
		path := peer.PathAssignment + "?node=" + node.String()
		var a peer.Assignment
		require.Equal(t, http.StatusOK, w.call(node, http.MethodGet, path, nil, &a))
		go func() {
			var next peer.Assignment
			w.call(node, http.MethodGet, path+"&after="+uintText(a.Revision), nil, &next)
			watched <- next
		}()
		w.add("ghost", ghost, raft.RoleHost)
		require.Empty(t, (<-watched).Unregistered, "others hear of it at once")
		pass(time.Second)
		_, refusal := w.c.guard(api.Caller{Kind: api.CallerNode, Node: ghost})
		require.Nil(t, refusal)
	})
}

// TestRemoveNode_whoIsNotKnown: a node that never registered is put out by its name or id, and one that nobody knows by
// its id, but no coordinator that is only late.
func TestRemoveNode_whoIsNotKnown(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ghost, unknown, late := w.certify("ghost"), volume.NewNodeID(), volume.NewNodeID()
		for _, id := range []volume.NodeID{w.id("n1"), late} {
			require.NoError(t, w.raft.AddMember(t.Context(), raft.Member{ID: id}))
		}
		pass(2 * time.Second)
		tokens, err := w.api.JoinTokens(t.Context())
		require.NoError(t, err)
		require.True(t, tokens[0].Unregistered)

		err = w.api.RemoveNode(t.Context(), late.String(), api.Wait{}, discard)
		refusedWith(t, err, api.CodeRefused, "one of the coordinators")
		for name, id := range map[string]volume.NodeID{"ghost": ghost, unknown.String(): unknown} {
			plan, err := w.foresee(api.PlanRequest{Verb: api.PlanNodeRemove, Name: name})
			require.NoError(t, err)
			require.Equal(t, []string{"leave", "node/" + name, ""}, short(plan.Steps[0]))
			require.NoError(t, w.api.RemoveNode(t.Context(), name, api.Wait{}, discard))
			_, refusal := w.c.guard(api.Caller{Kind: api.CallerNode, Node: id})
			require.ErrorContains(t, refusal, "left the cluster")
			refusedWith(t, w.api.RemoveNode(t.Context(), name, api.Wait{}, discard), api.CodeNotFound)
		}
		tokens, err = w.api.JoinTokens(t.Context())
		require.NoError(t, err)
		require.False(t, tokens[0].Unregistered)
		refusedWith(t, w.api.RemoveNode(t.Context(), "nobody", api.Wait{}, discard), api.CodeNotFound)
	})
}
