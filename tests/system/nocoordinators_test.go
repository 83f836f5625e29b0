package system

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestNoCoordinators_theDataPathGoesOn kills every coordinator. A guest writes, flushes and reads on. A leg
// that fails then cannot leave the in-sync list, so the guest waits, without an error; when the
// coordinators are back, the leg leaves and the guest goes on under the same epoch, and nothing is lost.
func TestNoCoordinators_theDataPathGoesOn(t *testing.T) {
	need(t, "qemu-io")
	c := up(t, 6)
	coordinators := []string{"n1", "n2", "n3"}
	c.ok("volume", "create", "web1", "--size", "64M", "--layout", "mirror=2", "--legs-on", "n4,n5")
	url := c.attach("web1", "n6")
	qemuIO(t, url, "write -P 1 0 64k", "flush")
	before := c.volume("web1")
	for _, n := range coordinators {
		c.node("kill", n)
	}
	c.eventually(30*time.Second, "health says that no coordinator decides", func() bool {
		var h struct{ Status string }
		r := c.run(time.Minute, "health", "-o", "json")
		return r.code == 4 && decode(r.stdout, &h) && h.Status == "no_quorum"
	})
	for i := range 5 {
		qemuIO(t, url, pattern("write", 2+i, 64*i), "flush", pattern("read", 2+i, 64*i))
	}

	t.Log("a leg fails: the write that lacks it is held")
	c.node("kill", "n5")
	held := make(chan result, 1)
	go func() { held <- tryQemuIO(t, url, pattern("write", 9, 512), "flush", pattern("read", 9, 512)) }()
	select {
	case r := <-held:
		t.Fatalf("a write was answered without the leg and without a decision: %s%s", r.stdout, r.stderr)
	case <-time.After(4 * time.Second):
	}

	t.Log("the coordinators are back")
	for _, n := range coordinators {
		c.ok("dev", "start", n, "--no-wait", "--dir", c.dir)
	}
	select {
	case r := <-held:
		require.Zerof(t, r.code, "%s%s", r.stdout, r.stderr)
		require.NotContains(t, r.stdout, "verification failed")
	case <-time.After(time.Minute):
		t.Fatal("the write is held although the coordinators decide again")
	}
	after := c.volume("web1")
	require.Equal(t, before.Epoch, after.Epoch, "nothing was attached anew")
	require.Equal(t, before.Attachment.EnginePID, after.Attachment.EnginePID)
	require.Equal(t, []string{"n4"}, after.inSync())
	c.node("start", "n5")
	c.waitInSync("web1", 2)
	for _, alone := range []string{"n4", "n5"} {
		c.node("kill", map[string]string{"n4": "n5", "n5": "n4"}[alone])
		for i := range 5 {
			qemuIO(t, url, pattern("read", 2+i, 64*i))
		}
		qemuIO(t, url, pattern("read", 9, 512))
		c.node("start", map[string]string{"n4": "n5", "n5": "n4"}[alone])
		c.waitInSync("web1", 2)
	}
}
