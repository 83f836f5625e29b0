package system

import (
	"path/filepath"
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
	c.waitInSync("disk", 2)
	c.alone(third, "n1", "n2")
}
