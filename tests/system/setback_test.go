package system

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// startGuarded starts four nodes and a volume with legs on n1 and n2 that is attached on n4, and a
// guest's disk on it with one load written.
func startGuarded(t *testing.T) (*cluster, *disk) {
	t.Helper()
	c := up(t, 4)
	c.ok("volume", "create", "disk", "--size", fmt.Sprintf("%dM", guestDiskMiB), "--layout", "mirror=2",
		"--legs-on", "n1,n2")
	d := newDisk(c, "disk", c.attach("disk", "n4"))
	load{d, 1}.start().wait()
	return c, d
}

func (c *cluster) node(verb, node string) { c.t.Helper(); c.ok("dev", verb, node, "--dir", c.dir) }

func (c *cluster) store(node string) string { return filepath.Join(c.dir, node, "store") }

// copyStore replaces to, if it is there, by a copy of the directory from, whose node is down.
func (c *cluster) copyStore(from, to string) {
	c.t.Helper()
	require.NoError(c.t, os.RemoveAll(to))
	r := run(c.t, time.Minute, nil, "cp", "-a", "--sparse=always", from, to)
	require.Zero(c.t, r.code, r.stderr)
}

// alone holds that each of the nodes' legs has what the load wrote, without the other's help.
func (c *cluster) alone(l load, legs ...string) {
	c.t.Helper()
	for _, dead := range legs {
		c.node("kill", dead)
		l.verify()
		c.node("start", dead)
		c.waitInSync("disk", len(legs))
	}
}

// TestSetBack_aStoreFromAnOldImage puts an old copy of a store in the place of the newer one, as the
// restore of a machine's snapshot does, in every state that the volume can be in. Its label is good
// and says that it is clean; its data is old. It is copied before anything is read from it (protocol
// §5 row 47).
func TestSetBack_aStoreFromAnOldImage(t *testing.T) {
	c, d := startGuarded(t)
	image := filepath.Join(c.dir, "old-image")
	c.node("kill", "n1")
	c.copyStore(c.store("n1"), image)
	c.node("start", "n1")
	c.waitInSync("disk", 2)

	setBacks := []struct {
		name string
		do   func(number int)
	}{
		{"at once, under the same engine", func(number int) {
			load{d, number}.start().wait()
			c.node("kill", "n1")
			c.copyStore(image, c.store("n1"))
		}},
		{"while the other leg is written", func(number int) {
			load{d, number - 1}.start().wait()
			c.node("kill", "n1")
			c.copyStore(image, c.store("n1"))
			load{d, number}.start().wait()
		}},
		{"while the volume is detached", func(number int) {
			load{d, number}.start().wait()
			d.powerOff()
			c.ok("volume", "detach", "disk")
			c.node("kill", "n1")
			c.copyStore(image, c.store("n1"))
		}},
	}
	for i, s := range setBacks {
		t.Log(s.name)
		number := 2*i + 3
		s.do(number)
		c.node("start", "n1")
		if d.relay == nil {
			d.plug(c.attach("disk", "n4"))
			d.powerOn()
		}
		load{d, number}.verify()
		c.waitInSync("disk", 2)
		c.alone(load{d, number}, "n1", "n2")
	}
}

// TestSetBack_anEmptyStore empties the disk under a node's identity. The node makes nothing new there,
// and the leg is no leg: it is never counted as one that has the data (protocol §5 row 46).
func TestSetBack_anEmptyStore(t *testing.T) {
	c, d := startGuarded(t)
	c.node("kill", "n1")
	kept := filepath.Join(c.dir, "kept")
	require.NoError(t, os.Rename(c.store("n1"), kept))
	require.NoError(t, os.Mkdir(c.store("n1"), 0o700))
	second := load{d, 2}
	second.start().wait()
	c.node("start", "n1")
	c.eventually(time.Minute, "the leg on n1 is named as missing", func() bool {
		return c.leg("n1").Condition == "missing"
	})
	second.verify()
	require.Equal(t, []string{"n2"}, c.volume("disk").inSync())
	entries, err := os.ReadDir(c.store("n1"))
	require.NoError(t, err)
	for _, e := range entries {
		require.NotEqual(t, "legs", e.Name(), "legs are never made where some were lost")
	}

	t.Log("the disk was not mounted: here it is")
	c.node("kill", "n1")
	require.NoError(t, os.RemoveAll(c.store("n1")))
	require.NoError(t, os.Rename(kept, c.store("n1")))
	c.node("start", "n1")
	c.waitInSync("disk", 2)
	c.alone(second, "n1", "n2")

	t.Log("only the leg's directory is lost: a new leg takes its place, and is built from the other")
	c.node("kill", "n1")
	old := c.leg("n1").ID
	require.NoError(t, os.RemoveAll(filepath.Join(c.store("n1"), "legs", old)))
	c.node("start", "n1")
	c.eventually(2*time.Minute, "a leg is built anew", func() bool {
		v := c.volume("disk")
		for _, l := range v.Legs {
			if l.ID == old {
				return false
			}
		}
		return len(v.inSync()) == 2
	})
	second.verify()
}

type legView struct{ ID, Node, State, Condition, Error string }

// leg returns the leg of the volume named disk that is on a node.
func (c *cluster) leg(node string) legView {
	c.t.Helper()
	var v struct{ Legs []legView }
	c.object(&v, "volume", "show", "disk")
	for _, l := range v.Legs {
		if l.Node == node {
			return l
		}
	}
	return legView{}
}

// TestSetBack_aStoreClonedToAnotherNode gives a second node a copy of a store. That node serves
// nothing of it, and the first goes on (protocol §5 row 48).
func TestSetBack_aStoreClonedToAnotherNode(t *testing.T) {
	c, d := startGuarded(t)
	c.node("kill", "n3")
	c.node("kill", "n1")
	c.copyStore(c.store("n1"), c.store("n3"))
	c.node("start", "n3")
	second := load{d, 2}
	second.start().wait()
	require.Equal(t, []string{"n2"}, c.volume("disk").inSync(), "the copy on n3 stands in for nobody")
	var n struct {
		Stores []struct{ Name, Error string }
	}
	c.object(&n, "node", "show", "n3")
	require.Len(t, n.Stores, 1)
	require.Contains(t, n.Stores[0].Error, "belongs to node")
	c.node("start", "n1")
	c.waitInSync("disk", 2)
	require.ElementsMatch(t, []string{"n1", "n2"}, c.volume("disk").inSync())
	c.alone(second, "n1", "n2")
}

// TestSetBack_swappedPortals lets two storage nodes come back at each other's addresses. A leg is
// known by its name and its secret, never by where it answers (protocol §1.4).
func TestSetBack_swappedPortals(t *testing.T) {
	c, d := startGuarded(t)
	writer := load{d, 2}.start(unhurried)
	c.node("kill", "n1")
	c.node("kill", "n2")
	first, second := c.portal("n1", ""), c.portal("n2", "")
	c.portal("n1", second)
	c.portal("n2", first)
	c.node("start", "n1")
	c.node("start", "n2")
	writer.wait()
	c.waitInSync("disk", 2)
	require.ElementsMatch(t, []string{"n1", "n2"}, c.volume("disk").inSync())
	c.alone(load{d, 2}, "n1", "n2")
}

// portal returns the iSCSI address of a node that is down, after it was set to another unless empty.
func (c *cluster) portal(node, address string) string {
	c.t.Helper()
	path := filepath.Join(c.dir, node, "node.yaml")
	text, err := os.ReadFile(path)
	require.NoError(c.t, err)
	var config map[string]any
	require.NoError(c.t, yaml.Unmarshal(text, &config))
	listen, ok := config["listen"].(map[string]any)
	require.True(c.t, ok)
	if address != "" {
		listen["iscsi"] = address
		text, err = yaml.Marshal(config)
		require.NoError(c.t, err)
		require.NoError(c.t, os.WriteFile(path, text, 0o600))
	}
	portal, ok := listen["iscsi"].(string)
	require.True(c.t, ok)
	return portal
}
