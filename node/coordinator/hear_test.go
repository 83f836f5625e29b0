package coordinator

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/raft/control"
	"github.com/holdfast-storage/holdfast/volume"
)

// wire carries a coordinator's requests straight to another's handler.
type wire struct {
	from volume.NodeID
	to   func() http.Handler
}

func (w wire) RoundTrip(r *http.Request) (*http.Response, error) {
	r.Header.Set("X-Test-Node", w.from.String())
	rec := httptest.NewRecorder()
	w.to().ServeHTTP(rec, r)
	return rec.Result(), nil
}

// TestHeard_aHostLivesAsLongAsAnyCoordinatorHearsIt: the leader is cut off from a host that a follower
// hears. It fails nothing over until the follower hears nothing either.
func TestHeard_aHostLivesAsLongAsAnyCoordinatorHearsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		leaderID, followerID, host := volume.NewNodeID(), volume.NewNodeID(), volume.NewNodeID()
		log := newMemoryRaft(leaderID)
		for id, n := range map[volume.NodeID]raft.Node{
			leaderID:   {Name: "n1", Roles: []raft.Role{raft.RoleCoordinator}, Raft: "n1:2"},
			followerID: {Name: "n2", Roles: []raft.Role{raft.RoleCoordinator}, Raft: "n2:2"},
			host:       {Name: "h1", Roles: []raft.Role{raft.RoleHost}},
		} {
			n.ID, n.API = id, n.Name+":1"
			result, _, err := log.Apply(t.Context(), raft.Command{RegisterNode: &raft.RegisterNode{Node: n}})
			require.NoError(t, err)
			require.Nil(t, result.Err)
		}
		replica := newMemoryRaft(followerID)
		replica.leading, replica.leader, replica.state, replica.index = false, leaderID, log.state, log.index

		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		start := func(r Raft, self volume.NodeID, to func() http.Handler) *Coordinator {
			c, err := New(Options{Raft: r, Self: self, Identify: identifyTest, Reach: by(wire{self, to})})
			require.NoError(t, err)
			running.Go(func() { c.Run(ctx) })
			return c
		}
		leader := start(log, leaderID, nil)
		follower := start(replica, followerID, leader.PeerHandler)
		defer func() {
			cancel()
			running.Wait()
		}()
		verdict := func() (condition raft.Condition, dead []volume.NodeID) {
			leader.look(func(v *control.View) { condition, dead = v.Condition(host), v.Dead })
			return condition, dead
		}
		for seq := range uint64(40) {
			follower.hearNode(peer.Heartbeat{Version: peer.Version, Node: host, Start: 1, Seq: seq + 1})
			time.Sleep(500 * time.Millisecond)
		}
		condition, dead := verdict()
		require.NotEqual(t, raft.NodeDead, condition, "20 s in which the leader itself heard nothing")
		require.Empty(t, dead)

		time.Sleep(2 * time.Second) // 2.5 s since its last heartbeat, with a timeout of 2 s
		condition, dead = verdict()
		require.Equal(t, raft.NodeDead, condition, "the follower's word does not keep it alive")
		require.Equal(t, []volume.NodeID{host}, dead)

		// A new leader knows since when it is so.
		var since time.Time
		leader.look(func(v *control.View) {
			_, findings := leader.judge(v)
			for _, f := range findings {
				if f.Kind == "node_silent" && f.Object == "node/h1" {
					since = f.Since
				}
			}
		})
		require.NotZero(t, since)
		time.Sleep(5 * time.Second)
		follower.mu.Lock()
		defer follower.mu.Unlock()
		require.Equal(t, since.Round(0), follower.judged.history["node/h1 node_silent"].Local())
	})
}

// However many engines a host has, together they are heard four times in every interval, and none is silent
// for longer than the timeout.
func TestEnginePace(t *testing.T) {
	var l raft.LivenessOptions
	require.Equal(t, 500*time.Millisecond, enginePace(0, l))
	require.Equal(t, 500*time.Millisecond, enginePace(4, l))
	require.Equal(t, time.Second, enginePace(8, l))
	require.Equal(t, 4*time.Second, enginePace(1000, l))
	require.Equal(t, 2*time.Second, enginePace(1000, raft.LivenessOptions{Interval: 100 * time.Millisecond,
		Timeout: time.Second}))
}
