package system

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestParity_nothingIsLostUnderVerifiedLoad is TestFaults_nothingIsLostUnderVerifiedLoad with parity: the writer's host
// and a leg may go at once, and every stripe is old or new afterwards. A scrub reads each of them.
func TestParity_nothingIsLostUnderVerifiedLoad(t *testing.T) {
	r := startRounds(t, "parity=2+1", "n1", "n2", "n3")
	more := append(faults(), fault{"host's and a storage node's power cut, takeover", (*faultRounds).cutHostAndStorage})
	r.play(rounds(t, 10), more, func() {
		require.Equal(t, scrubView{}, r.c.scrub(), "a stripe is not whole")
	})
}

// cutHostAndStorage is the write hole: what the host had sent to some legs only, and one of the legs, are gone at once.
func (r *faultRounds) cutHostAndStorage() {
	node, old := r.storageNode(), r.host
	r.cutPower(node, old)
	r.takeOver()
	r.pause(frozen)
	r.dev("start", node)
	r.dev("start", old)
}

// TestParity_twoStorageNodesAndTheHostAtOnce is what parity=4+2 is bought for: two of its six nodes and the host of the
// guest lose their power together under load, and the volume goes on elsewhere from what was written.
func TestParity_twoStorageNodesAndTheHostAtOnce(t *testing.T) {
	s := upSite(t, 8)
	s.ok("volume", "create", "p", "--size", "256M", "--layout", "parity=4+2", "--legs-on", "n1,n2,n3,n4,n5,n6")
	d := newDisk(s.cluster, "p", s.attach("p", "n7"))
	l := load{d, 1}
	writer := l.start(unhurried)
	<-time.After(2 * time.Second)
	s.cutPower("n2", "n5", "n7")
	d.plug(s.attach("p", "n8", "--takeover"))
	writer.wait()
	l.verify()
	require.Len(t, s.volume("p").inSync(), 4)

	for _, n := range []string{"n2", "n5", "n7"} {
		s.dev("start", n)
	}
	s.waitInSync("p", 6)
	l.verify()
	s.cutPower("n4", "n6") // what came back can stand in for others
	l.verify()
}
