package system

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// coldOrders are the orders in which three nodes can come back. Two of them are tried always, the others
// in the long rounds: between them each node is the first, the last and the one that is missing.
func coldOrders(t *testing.T) [][]string {
	orders := [][]string{{"n1", "n2", "n3"}, {"n3", "n1", "n2"}}
	if rounds(t, 0) > 0 {
		orders = append(orders, []string{"n2", "n3", "n1"}, []string{"n3", "n2", "n1"}, []string{"n2", "n1", "n3"},
			[]string{"n1", "n3", "n2"})
	}
	return orders
}

// TestColdStart_anyOrderOneMissing takes the power of a whole site of three nodes that do everything, with
// a guest that writes and volumes that are attached, and gives it back node by node. With the first two a
// quorum is back: what has its data there serves again by itself; what lacks evidence waits, and the node
// that it waits for is named. With the third everything serves, and all that was flushed is there.
func TestColdStart_anyOrderOneMissing(t *testing.T) {
	need(t, "qemu-io")
	s := upSite(t, 3)
	// A volume that may go on from what was flushed needs none of the missing caches; one that waits for
	// them is the default.
	g := guestOn(t, s.cluster, "n1, n2, n3", "--size", "512M", "--layout", "mirror=3", "--unflushed-loss", "accept")
	s.ok("volume", "create", "any", "--size", "64M", "--layout", "mirror=3", "--unflushed-loss", "accept")
	s.ok("volume", "create", "wait", "--size", "64M", "--layout", "mirror=2", "--legs-on", "n1,n2")

	for round, order := range coldOrders(t) {
		began := time.Now()
		pattern := round + 1
		flushed := fmt.Sprintf("write -P %d 0 256k", pattern)
		host, missing := order[0], order[2]
		for _, name := range []string{"any", "wait"} {
			qemuIO(t, s.attach(name, host, "--takeover"), flushed, "flush")
		}
		book := newLedger(t, 1<<20)
		d := dial(t, s.attach("wait", host))
		enough, ended := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(ended)
			book.run(t.Context(), d, func() { close(enough) })
		}()
		<-enough
		s.cutPower("n1", "n2", "n3")
		<-ended
		_ = d.Close() // the connection is lost already

		s.ok("dev", "start", order[0], "--no-wait", "--dir", s.dir)
		s.ok("dev", "start", order[1], "--dir", s.dir)
		require.NotEmpty(t, s.leader(), "two of three are a quorum")
		s.serves("any", host, pattern)
		g.progress(time.Minute)
		if missing == "n3" {
			s.serves("wait", host, pattern) // both of its legs are there
		} else {
			s.waitsFor("wait", missing)
		}

		s.dev("start", missing)
		for _, name := range []string{"any", "wait"} {
			s.serves(name, host, pattern)
		}
		s.waitInSync("any", 3)
		s.waitInSync("wait", 2)
		url := s.attach("wait", host)
		d = dial(t, url)
		fell := book.settle(d)
		require.Zero(t, book.settle(d), "what was found stands")
		require.NoError(t, d.Close())
		qemuIO(t, url, "write -z 1M 8M", "flush") // the next round's ledger begins with zeroes
		s.waitInSync("disk", 3)
		g.check()
		t.Logf("order %v: %.1f s, %d blocks fell back to what was flushed", order, time.Since(began).Seconds(), fell)
	}
	g.verify()
}

// serves waits until a volume serves on its host again, and reads what was flushed.
func (s *site) serves(name, host string, pattern int) {
	s.t.Helper()
	var last result
	s.eventually(time.Minute, fmt.Sprintf("volume %s serves on %s", name, host), func() bool {
		last = s.run(time.Minute, "volume", "attach", name, "--host", host)
		return last.code == 0
	})
	qemuIO(s.t, s.attach(name, host), fmt.Sprintf("read -P %d 0 256k", pattern))
}

// waitsFor holds that a volume does not serve without a node, and that health says for which one it waits.
func (s *site) waitsFor(name, node string) {
	s.t.Helper()
	s.eventually(time.Minute, fmt.Sprintf("volume %s waits for %s", name, node), func() bool {
		v := s.volume(name)
		r := s.run(time.Minute, "health")
		return v.State == "attaching" && strings.Contains(r.stdout, "volume "+name) &&
			strings.Contains(r.stdout, "waits for "+node)
	})
}
