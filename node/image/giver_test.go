package image

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// giver is a node that gives one content, in a bubble.
type giver struct {
	id    volume.NodeID
	data  []byte
	every time.Duration // of one byte; 0 is all at once
	down  bool

	mu    sync.Mutex
	asked []int64 // the offsets
}

func (g *giver) RoundTrip(r *http.Request) (*http.Response, error) {
	if g.down {
		return nil, errors.New("nobody is there")
	}
	var at int64
	if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &at); err != nil {
		return nil, err
	}
	g.mu.Lock()
	g.asked = append(g.asked, at)
	g.mu.Unlock()
	res := &http.Response{StatusCode: http.StatusPartialContent, Header: http.Header{}, Request: r,
		Body: io.NopCloser(&drops{ctx: r.Context(), left: g.data[at:], every: g.every})}
	res.Header.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", at, len(g.data)-1, len(g.data)))
	return res, nil
}

func (g *giver) offsets() []int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.asked)
}

// drops gives a byte now and then.
type drops struct {
	ctx   context.Context
	left  []byte
	every time.Duration
}

func (d *drops) Read(p []byte) (int, error) {
	if len(d.left) == 0 {
		return 0, io.EOF
	}
	if d.every > 0 {
		wait := time.NewTimer(d.every)
		defer wait.Stop()
		select {
		case <-d.ctx.Done():
			return 0, d.ctx.Err()
		case <-wait.C:
		}
		p = p[:1]
	}
	n := copy(p, d.left)
	d.left = d.left[n:]
	return n, nil
}

// pulling is a keeper in a bubble that pulls what givers have, in the order in which it asks them.
type pulling struct {
	keeper *Keeper
	order  peer.ImageOrder
	givers []*giver
}

// startPulling begins a keeper, which has nothing to pull before p.from.
func startPulling(t *testing.T, data []byte, d volume.Digest, givers ...*giver) *pulling {
	t.Helper()
	p := &pulling{order: peer.ImageOrder{Digest: d, SizeBytes: int64(len(data))}}
	k, err := New(Options{Dir: t.TempDir(), Node: volume.NewNodeID(), Reach: p.reach,
		Report: func(context.Context, raft.BlobHeld) error { return nil }})
	require.NoError(t, err)
	p.keeper = k
	for range givers {
		p.order.From = append(p.order.From, peer.Peer{ID: volume.NewNodeID(), API: "x"})
	}
	for i, from := range k.holders(p.order) {
		givers[i].id, givers[i].data = from.ID, data
	}
	p.givers = givers
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan struct{})
	go func() {
		defer close(over)
		k.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-over
	})
	return p
}

func (p *pulling) reach(id volume.NodeID) http.RoundTripper {
	return p.givers[slices.IndexFunc(p.givers, func(g *giver) bool { return g.id == id })]
}

// from orders the content from the first n givers.
func (p *pulling) from(n int) {
	o := p.order
	o.From = slices.DeleteFunc(slices.Clone(o.From), func(from peer.Peer) bool { // whose order decides, too
		return !slices.ContainsFunc(p.givers[:n], func(g *giver) bool { return g.id == from.ID })
	})
	p.keeper.Assign(peer.Assignment{Registered: true, Images: []peer.ImageOrder{o}})
}

// whole reports whether the content comes within a time.
func (p *pulling) whole(within time.Duration) bool {
	for end := time.Now().Add(within); time.Now().Before(end); <-time.After(time.Second) {
		if p.keeper.Sound(p.order.Digest) == nil {
			return true
		}
	}
	return false
}

const drop = time.Second // a byte of one that trickles

// A node that gives next to nothing does not keep a pull from the one that would give all, and what came of it stays.
func TestPull_leavesOneThatTrickles(t *testing.T) {
	data, d := content(1, 100<<10)
	synctest.Test(t, func(t *testing.T) {
		slow, fast := &giver{every: drop}, &giver{}
		p := startPulling(t, data, d, slow, fast)
		p.from(2)
		require.True(t, p.whole(2*slowWindow))
		require.Equal(t, []int64{0}, slow.offsets())
		require.Len(t, fast.offsets(), 1)
		require.Positive(t, fast.offsets()[0])
		require.EqualValues(t, len(data), p.keeper.Counts().PulledBytes)
	})
}

// One that is alone is waited for: the little that it gives is all there is. Who comes to have it later is asked.
func TestPull_waitsForOneThatTricklesAlone(t *testing.T) {
	data, d := content(1, 100<<10)
	synctest.Test(t, func(t *testing.T) {
		slow, fast := &giver{every: drop}, &giver{}
		p := startPulling(t, data, d, slow, fast)
		p.from(1)
		require.False(t, p.whole(20*slowWindow))
		require.Equal(t, []int64{0}, slow.offsets())
		p.from(2)
		require.True(t, p.whole(2*slowWindow))
	})
}

// Nor is it left again and again for one that gives nothing: each time all that is there is read.
func TestPull_doesNotLeaveForOneThatIsDown(t *testing.T) {
	data, d := content(1, 100<<10)
	synctest.Test(t, func(t *testing.T) {
		slow, down := &giver{every: drop}, &giver{down: true}
		p := startPulling(t, data, d, slow, down)
		p.from(2)
		require.False(t, p.whole(2*time.Hour))
		require.LessOrEqual(t, len(slow.offsets()), 10)
		require.Greater(t, p.keeper.Counts().PulledBytes, int64(7000), "it goes on meanwhile")
	})
}

// Of two that trickle one gives all of it in the end, also when it has to come from one alone.
func TestPull_fromTwoThatTrickle(t *testing.T) {
	data, d := content(1, 3000)
	for _, lonely := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			a, b := &giver{every: drop}, &giver{every: drop}
			p := startPulling(t, data, d, a, b)
			p.from(2)
			p.keeper.mu.Lock()
			p.keeper.about[d].lonely = lonely
			p.keeper.mu.Unlock()
			require.True(t, p.whole(8*time.Hour), lonely)
			require.NotEmpty(t, b.offsets())
		})
	}
}

// What this node cannot write is no fault of who gave it, and the next one is not asked for the same.
func TestPull_ownDiskIsNoGiversFault(t *testing.T) {
	data, d := content(1, 1000)
	synctest.Test(t, func(t *testing.T) {
		a, b := &giver{}, &giver{}
		p := startPulling(t, data, d, a, b)
		p.keeper.Assign(peer.Assignment{Registered: true, Images: []peer.ImageOrder{{Digest: d}}})
		part := p.keeper.store.part(d)
		require.NoError(t, os.WriteFile(part, nil, 0o600))
		f, err := os.Open(part) // which cannot be written to
		require.NoError(t, err)
		defer f.Close()
		err = p.keeper.gather(t.Context(), p.order, &partial{file: f, sum: sha256.New()})
		require.ErrorAs(t, err, new(*os.PathError))
		require.Empty(t, b.offsets())
		require.Empty(t, p.keeper.about[d].poor)
	})
}

func TestGiving_slow(t *testing.T) {
	for _, c := range []struct {
		name  string
		bytes int
		reads int
		wait  time.Duration
		slow  bool
	}{
		{"fast", 1 << 20, 100, time.Second, false},
		{"as little as may be", slowRate, 100, time.Second, false},
		{"less", slowRate - 1, 100, time.Second, true},
		{"not for long yet", 1, 1, slowWindow - 1, false},
		{"a window in one read", 1, 1, slowWindow, true},
	} {
		var g giving
		slow := false
		for range c.reads {
			slow = g.slow(c.bytes, c.wait) || slow
		}
		require.Equal(t, c.slow, slow, c.name)
	}
	var g giving
	require.False(t, g.slow(1<<30, slowWindow))
	require.True(t, g.slow(1, slowWindow), "what came before counts no more")
}

// Who gave too little is asked last for a while, the next time for twice as long, however often it failed meanwhile.
func TestStrike(t *testing.T) {
	_, d := content(1, 1)
	synctest.Test(t, func(t *testing.T) {
		a, b := &giver{}, &giver{}
		p := startPulling(t, nil, d, a, b)
		k := p.keeper
		k.Assign(peer.Assignment{Registered: true, Images: []peer.ImageOrder{p.order}})
		first := func() volume.NodeID { return k.holders(p.order)[0].ID }
		for _, long := range []time.Duration{poorFirst, 2 * poorFirst, 4 * poorFirst} {
			require.Equal(t, a.id, first())
			require.True(t, k.another(d, peer.Peer{ID: b.id}))
			for range 5 {
				k.strike(d, peer.Peer{ID: a.id})
			}
			<-time.After(long - 1)
			require.Equal(t, b.id, first())
			require.False(t, k.another(d, peer.Peer{ID: b.id}))
			require.True(t, k.another(d, peer.Peer{ID: a.id}))
			<-time.After(1)
		}
		require.Equal(t, a.id, first())
	})
}
