package control

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// versionWorld is a cluster of three coordinators and what they say of versions.
type versionWorld struct {
	view *View
	ids  []volume.NodeID
}

func newVersionWorld() *versionWorld {
	w := &versionWorld{ids: []volume.NodeID{volume.NewNodeID(), volume.NewNodeID(), volume.NewNodeID()}}
	w.view = &View{State: raft.NewState(), Facts: NewFacts(), Now: time.Unix(1000, 0), Timing: DefaultTiming(),
		Members: w.ids[:2], Learners: w.ids[2:]}
	w.view.State.Cluster.ID = volume.ClusterID{UUID: volume.NewUUID()}
	return w
}

// pass lets time pass, in which each coordinator says its word every half second.
func (w *versionWorld) pass(d time.Duration, words ...VersionWord) {
	for end := w.view.Now.Add(d); w.view.Now.Before(end); w.view.Now = w.view.Now.Add(500 * time.Millisecond) {
		for i, word := range words {
			w.view.Facts.HearVersion(w.ids[i], word, w.view.Timing.DaemonSilent, w.view.Now)
		}
	}
}

func (w *versionWorld) raises() bool { return len(Versions(w.view)) > 0 }

func TestVersions_anUpgradedClusterWaits(t *testing.T) {
	w := newVersionWorld()
	upgraded, old := VersionWord{Knows: 2, Born: 1}, VersionWord{}
	w.pass(time.Hour, upgraded, upgraded, old)
	require.False(t, w.raises(), "one does not understand it, and a learner reads the log too")
	_, against := w.view.NextVersion()
	require.Equal(t, w.ids[2:], against)

	w.pass(9*time.Minute, upgraded, upgraded, upgraded)
	next, against := w.view.NextVersion()
	require.Equal(t, 2, next)
	require.Empty(t, against, "an operator may raise it now")
	require.False(t, w.raises(), "the former release may still be put back")
	w.pass(10*time.Second, upgraded, upgraded, old) // as is done here
	w.pass(9*time.Minute, upgraded, upgraded, upgraded)
	require.False(t, w.raises(), "the time begins anew")
	w.pass(5*time.Second, upgraded, upgraded) // silent
	w.pass(9*time.Minute, upgraded, upgraded, upgraded)
	require.False(t, w.raises(), "the time begins anew")
	w.pass(2*time.Minute, upgraded, upgraded, upgraded)
	require.Equal(t, []raft.Command{{RaiseVersion: &raft.RaiseVersion{To: 2}}}, Versions(w.view))
	w.view.State.Version = 2
	require.False(t, w.raises(), "it is raised")
}

func TestVersions_aNewClusterDoesNotWait(t *testing.T) {
	w := newVersionWorld()
	fresh := VersionWord{Knows: 2, Born: 2}
	w.pass(5*time.Second, fresh, fresh)
	require.False(t, w.raises(), "one was never heard")
	w.pass(time.Second, fresh, fresh, fresh)
	require.True(t, w.raises())
	w.view.Now = w.view.Now.Add(3 * time.Second)
	require.False(t, w.raises(), "nobody was heard lately")
	w.pass(time.Second, fresh, fresh, VersionWord{Knows: 2, Born: 1})
	require.False(t, w.raises(), "an older release ran on one of them")
}

func TestVersions_notBeforeTheMembersAreKnown(t *testing.T) {
	w := newVersionWorld()
	w.view.Members, w.view.Learners = nil, nil
	require.False(t, w.raises())
}
