package system

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// settleMarks waits until an idle volume's marks have been cleared, which takes a second.
func settleMarks(t *testing.T) {
	t.Helper()
	select {
	case <-time.After(3 * time.Second):
	case <-t.Context().Done():
	}
}

// waitSetBacks waits until so many set-backs were noticed. Until one is, the coordinators still count the leg as in
// sync, and to take the other one away then leaves nothing to read from.
func (c *cluster) waitSetBacks(n int) {
	c.t.Helper()
	c.eventually(time.Minute, fmt.Sprintf("set-back %d is noticed", n), func() bool {
		return strings.Count(c.ok("events"), "was set back to an older state:") >= n
	})
}

// TestSetBack_byLittle sets a store back to a state whose label was written since by nothing but the engine that
// is attached, or by its detachment: what the disk has after a power cut that had lied about its flushes for a
// moment. The marks were cleared before and after, so nothing but the label's progress shows it (protocol §5 rows
// 31 and 47).
func TestSetBack_byLittle(t *testing.T) {
	c, d := startGuarded(t)
	settleMarks(t)
	image := filepath.Join(c.dir, "image")

	t.Log("under the same engine, after one load")
	c.copyStore(c.store("n1"), image)
	second := load{d, 2}
	second.start().wait()
	settleMarks(t)
	c.node("kill", "n1")
	c.copyStore(image, c.store("n1"))
	c.node("start", "n1")
	c.waitSetBacks(1)
	c.waitInSync("disk", 2)
	c.alone(second, "n1", "n2")

	t.Log("across a clean detachment")
	settleMarks(t)
	c.copyStore(c.store("n1"), image)
	third := load{d, 3}
	third.start().wait()
	d.powerOff()
	c.ok("volume", "detach", "disk")
	c.node("kill", "n1")
	c.copyStore(image, c.store("n1"))
	c.node("start", "n1")
	d.plug(c.attach("disk", "n4"))
	d.powerOn()
	third.verify()
	c.waitSetBacks(2)
	c.waitInSync("disk", 2)
	c.alone(third, "n1", "n2")
}

// TestSetBack_everyStoreFromAnOldImage starts every storage node of a volume from an image of before its latest
// attachment. Nothing is served from it until the right disks are back, or the operator accepts the loss (protocol
// §5 rows 32 and 47).
func TestSetBack_everyStoreFromAnOldImage(t *testing.T) {
	c, d := startGuarded(t)
	nodes := []string{"n1", "n2"}
	d.powerOff()
	c.ok("volume", "detach", "disk")
	at := func(node, what string) string { return filepath.Join(c.dir, what+"-"+node) }
	for _, n := range nodes {
		c.node("kill", n)
		c.copyStore(c.store(n), at(n, "old"))
		c.node("start", n)
	}
	d.plug(c.attach("disk", "n4"))
	d.powerOn()
	second := load{d, 2}
	second.start().wait()
	d.powerOff()
	c.ok("volume", "detach", "disk")
	for _, n := range nodes {
		c.node("kill", n)
		c.copyStore(c.store(n), at(n, "right"))
		c.copyStore(at(n, "old"), c.store(n))
		c.node("start", n)
	}
	for _, n := range nodes {
		c.eventually(time.Minute, "the leg on "+n+" is named as rolled back", func() bool {
			return strings.Contains(c.leg(n).Error, "rolled back")
		})
	}

	t.Log("the right disks come back")
	for _, n := range nodes {
		c.node("kill", n)
		c.copyStore(at(n, "right"), c.store(n))
		c.node("start", n)
	}
	d.plug(c.attach("disk", "n4"))
	d.powerOn()
	second.verify()
	c.waitInSync("disk", 2)
	c.alone(second, nodes...)

	t.Log("they are gone for good: the operator goes on from the images")
	d.powerOff()
	c.ok("volume", "detach", "disk")
	for _, n := range nodes {
		c.node("kill", n)
		c.copyStore(at(n, "old"), c.store(n))
		c.node("start", n)
	}
	d.plug(c.attach("disk", "n4", "--accept-loss"))
	d.powerOn()
	load{d, 1}.verify()
	c.waitInSync("disk", 2)
}
