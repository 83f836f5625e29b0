package system

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestSiteCut_whatWasFlushedIsThere takes the power of every leg at once, in turn with the host and
// under a host that lives. What was flushed is there; what was not is old or new, block by block,
// and stays what it was found to be; both legs agree on it. HOLDFAST_ROUNDS/10 times, at least four.
func TestSiteCut_whatWasFlushedIsThere(t *testing.T) {
	s := upWithDisks(t)
	s.ok("volume", "create", "disk", "--size", fmt.Sprintf("%dM", guestDiskMiB), "--layout", "mirror=2",
		"--legs-on", "n1,n2")
	url := s.attach("disk", "n4")
	guest := newDisk(s.cluster, "disk", url)
	book := newLedger(t, 160<<20)
	lost := 0
	for round := range max(4, rounds(t, 0)/10) {
		l := load{guest, round + 1}
		l.start().wait() // it ends with a flush
		guest.powerOff()
		nodes := []string{"n1", "n2", "n3"}
		if round%2 == 0 {
			nodes = append(nodes, "n4", "n5")
		}
		epoch := s.volume("disk").Epoch
		s.cutUnder(book, url, nodes...)
		url = s.attachAfter("disk", "n4", epoch)

		d := dial(t, url)
		gone := book.settle(d)
		require.Zero(t, book.settle(d), "what was found stands")
		require.NoError(t, d.Flush(t.Context()))
		require.NoError(t, d.Close())
		guest.plug(url)
		guest.powerOn()
		l.verify()
		s.waitInSync("disk", 2)
		s.sameBytes("n1", "n2")
		t.Logf("power of %v cut: %d blocks fell back to what was flushed", nodes, gone)
		lost += gone
	}
	require.NotZero(t, lost, "no cut dropped anything: that proves nothing")
}

// cutUnder cuts the power of nodes while a ledger is written, starts them again, and returns when
// the guest has lost its disk: it must not go on as if nothing had been.
func (s *site) cutUnder(book *ledger, url string, nodes ...string) {
	s.t.Helper()
	d := dial(s.t, url)
	ctx, stop := context.WithTimeout(s.t.Context(), 3*time.Minute)
	defer stop()
	enough, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		book.run(ctx, d, func() { close(enough) })
	}()
	select {
	case <-enough:
	case <-ended:
		s.t.Fatal("the disk failed before the power did")
	}
	s.cutPower(nodes...)
	s.start(siteNodes)
	<-ended
	require.NoError(s.t, ctx.Err(), "the guest still has its disk, which forgot what was acknowledged")
	_ = d.Close() // the connection is lost already
}

// attachAfter attaches a volume once more and holds that it is under a newer epoch.
func (s *site) attachAfter(name, host string, epoch uint64) string {
	s.t.Helper()
	s.eventually(2*time.Minute, "the volume serves again", func() bool {
		if r := s.run(time.Minute, "volume", "attach", name, "--host", host); r.code != 0 {
			return false
		}
		v := s.volume(name)
		return v.Attachment != nil && v.Epoch > epoch
	})
	return s.attach(name, host)
}
