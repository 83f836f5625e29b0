package engine

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// dataFile returns the path of the data of the node's only leg.
func (n *storageNode) dataFile() string {
	n.cluster.t.Helper()
	var found []string
	require.NoError(n.cluster.t, filepath.WalkDir(filepath.Join(n.dir, "store"), func(path string, d os.DirEntry,
		err error) error {
		if err == nil && d.Name() == "data" && !d.IsDir() {
			found = append(found, path)
		}
		return err
	}))
	require.Len(n.cluster.t, found, 1)
	return found[0]
}

// A block that rots on one leg's disk is found by a scrub, told, and rewritten from the other leg.
func TestScrub_healsWhatRots(t *testing.T) {
	c := newCluster(t, 2)
	c.createVolume("root", 2)
	e := c.startEngine(c.grant("root"))
	e.waitState(peer.EngineServing)
	d := guest(t, e, 0)
	want := bytes.Repeat([]byte{0x5a}, 64<<10)
	require.NoError(t, d.Write(t.Context(), want, 1<<20, 0))
	require.NoError(t, d.Flush(t.Context()))

	f, err := os.OpenFile(c.nodes[1].dataFile(), os.O_RDWR, 0)
	require.NoError(t, err)
	defer f.Close()
	_, err = f.WriteAt([]byte("rot"), 1<<20+8192+77)
	require.NoError(t, err)
	require.NoError(t, f.Sync())

	r := c.apply(raft.Command{RequestScrub: &raft.RequestScrub{Volume: e.ticket.Volume, Request: volume.NewUUID(),
		By: raft.ScrubByOperator}})
	require.Eventually(t, func() bool {
		v := c.volume("root")
		return v.LastScrub != nil && v.LastScrub.ID == r.Scrub
	}, 30*time.Second, 5*time.Millisecond)
	v := c.volume("root")
	require.True(t, v.LastScrub.Complete)
	require.EqualValues(t, volumeBytes, v.LastScrub.Bytes)
	require.Equal(t, raft.ScrubFound{Legs: []raft.ScrubbedLeg{{Leg: v.Legs[1].ID, Bad: 1, Healed: 1}}},
		v.LastScrub.Found)
	require.Len(t, v.InSync, 2, "the leg stays")
	got := make([]byte, len(want))
	_, err = f.ReadAt(got, 1<<20)
	require.NoError(t, err)
	require.True(t, bytes.Equal(want, got))
	e.waitFor("the healed block is told", func(s peer.EngineStatus) bool {
		return len(s.Legs) == 2 && s.Legs[1].Healed == 1
	})
}

// A store that was restored from an image of the same epoch (one of an older epoch its node finds itself)
// is found out by what was confirmed, although every checksum on it is right. It is copied in full.
func TestSetBack_betweenAttachments(t *testing.T) {
	c := newCluster(t, 2)
	c.createVolume("root", 2)
	e := c.startEngine(c.grant("root"))
	e.waitState(peer.EngineServing)
	d := guest(t, e, 0)
	write := func(b byte) {
		require.NoError(t, d.Write(t.Context(), bytes.Repeat([]byte{b}, 4096), 0, 0))
		require.NoError(t, d.Flush(t.Context()))
	}
	write(1)
	restored := c.nodes[1]
	store, image := filepath.Join(restored.dir, "store"), filepath.Join(t.TempDir(), "image")
	restored.stop()
	require.NoError(t, os.CopyFS(image, os.DirFS(store)))
	e.waitFor("the leg left", func(s peer.EngineStatus) bool { return !inSync(2)(s) })
	restored.restart()
	e.waitFor("both legs in sync", inSync(2))
	write(2)
	leg := c.volume("root").Legs[1].ID
	require.Eventually(t, func() bool {
		v := c.volume("root")
		return v.Leg(leg).LabelCfg == v.CfgVer
	}, 10*time.Second, 5*time.Millisecond, "it is confirmed")
	c.apply(raft.Command{RequestDetach: &raft.RequestDetach{Volume: e.ticket.Volume, Epoch: e.ticket.Epoch}})
	require.NoError(t, e.wait())
	restored.stop()
	require.NoError(t, os.RemoveAll(store))
	require.NoError(t, os.CopyFS(store, os.DirFS(image)))
	restored.restart()

	e = c.startEngine(c.grant("root"))
	e.waitState(peer.EngineServing)
	require.Contains(t, c.events(), "leg_set_back")
	e.waitFor("both legs in sync", inSync(2))
	v := c.volume("root")
	require.False(t, v.Leg(leg).SetBack, "it was copied")
	c.nodes[0].stop()
	got := make([]byte, 4096)
	require.NoError(t, guest(t, e, 0).Read(t.Context(), got, 0))
	require.Equal(t, bytes.Repeat([]byte{2}, 4096), got)
}

// events returns the kinds of all events.
func (c *cluster) events() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var kinds []string
	for _, e := range c.state.Events {
		kinds = append(kinds, e.Kind)
	}
	return kinds
}
