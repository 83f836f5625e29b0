package system

import (
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/export/nbd"
)

// twoDisks is a guest with two volumes, a and b: it writes the next number to a, and when that is acknowledged to b.
// So whenever both are cut at one moment, a holds the number of b or the next.
type twoDisks struct {
	t           *testing.T
	c           *cluster
	a, b        block.Device
	begun, both atomic.Uint64 // the latest number that was submitted to a, and that was acknowledged by both
	longest     atomic.Int64  // nanoseconds that a write took
	stop, end   chan struct{}
	lost        atomic.Pointer[error]
}

func startTwoDisks(t *testing.T) *twoDisks {
	t.Helper()
	c := up(t, 5)
	g := &twoDisks{t: t, c: c, stop: make(chan struct{}), end: make(chan struct{})}
	var disks []block.Device
	for _, name := range []string{"a", "b"} {
		c.ok("volume", "create", name, "--size", "256M", "--layout", "mirror=2", "--legs-on", "n1,n2")
		disks = append(disks, g.open(name, "n4", time.Minute))
	}
	g.a, g.b = disks[0], disks[1]
	random := make([]byte, 64<<20) // something to copy
	for i := range random {
		random[i] = byte(i * 7)
	}
	for off := int64(0); off < int64(len(random)); off += 1 << 20 {
		require.NoError(t, g.a.Write(t.Context(), random[off:off+1<<20], 1<<20+off, 0))
	}
	go g.write()
	t.Cleanup(g.finish)
	return g
}

// open opens a volume's export on a host, which it is attached to.
func (g *twoDisks) open(name, host string, reconnect time.Duration) block.Device {
	g.t.Helper()
	address, err := nbd.ParseURL(g.c.attach(name, host))
	require.NoError(g.t, err)
	d, err := nbd.Dial(g.t.Context(), address, nbd.ClientOptions{Reconnect: reconnect})
	require.NoError(g.t, err)
	g.t.Cleanup(func() { _ = d.Close() })
	return d
}

func (g *twoDisks) write() {
	defer close(g.end)
	p := make([]byte, 4096)
	for n := uint64(1); ; n++ {
		select {
		case <-g.stop:
			return
		default:
		}
		binary.BigEndian.PutUint64(p, n)
		g.begun.Store(n)
		for _, d := range []block.Device{g.a, g.b} {
			began := time.Now()
			if err := d.Write(context.Background(), p, 0, 0); err != nil {
				g.lost.Store(&err)
				return
			}
			g.longest.Store(max(g.longest.Load(), int64(time.Since(began))))
		}
		g.both.Store(n)
	}
}

func (g *twoDisks) finish() {
	select {
	case <-g.stop:
	default:
		close(g.stop)
	}
	<-g.end
}

// number returns the number that a volume holds, which is attached on a host for that.
func (g *twoDisks) number(name, host string) uint64 {
	g.t.Helper()
	d := g.open(name, host, 0)
	p := make([]byte, 4096)
	require.NoError(g.t, d.Read(g.t.Context(), p, 0))
	require.NoError(g.t, d.Close())
	g.c.ok("volume", "detach", name)
	return binary.BigEndian.Uint64(p)
}

// cut clones both at one moment and holds that the clones are of one moment between the begin and the end of that.
func (g *twoDisks) cut(a, b string, during func()) {
	g.t.Helper()
	g.longest.Store(0)
	before := g.both.Load()
	require.NotZero(g.t, before)
	done := make(chan result, 1)
	go func() { done <- g.c.run(3*time.Minute, "volume", "clone", "a:"+a, "b:"+b) }()
	during()
	r := <-done
	require.Zero(g.t, r.code, r.stderr)
	after := g.begun.Load()
	if err := g.lost.Load(); err != nil {
		require.NoError(g.t, *err)
	}
	na, nb := g.number(a, "n5"), g.number(b, "n5")
	require.GreaterOrEqual(g.t, nb, before)
	require.LessOrEqual(g.t, na, after)
	require.True(g.t, na == nb || na == nb+1, "the clones are of two moments: %d, %d", na, nb)
	g.t.Logf("written %d to %d meanwhile; the clones hold %d and %d; the longest write took %s", before, after, na, nb,
		time.Duration(g.longest.Load()).Round(time.Millisecond))
	require.Less(g.t, time.Duration(g.longest.Load()), 30*time.Second)
}

// TestClone_twoVolumesAtOneMoment clones two volumes beside their guest, in peace, then while the engines of a source
// and of a clone are killed in the middle, then while the host's daemon is.
func TestClone_twoVolumesAtOneMoment(t *testing.T) {
	g := startTwoDisks(t)
	g.c.eventually(time.Minute, "the guest writes", func() bool { return g.both.Load() > 100 })
	g.cut("a1", "b1", func() {})
	require.Equal(t, g.content("a"), g.content("a1"), "beside the number")

	g.cut("a2", "b2", func() {
		g.filling("b2")
		g.c.endEngine("b2")
	})
	g.cut("a3", "b3", func() {
		g.filling("a3")
		for _, n := range g.c.nodes() {
			if n.Name == "n4" {
				require.NoError(t, syscall.Kill(n.PID, syscall.SIGKILL))
				g.c.eventually(time.Minute, "the daemon is gone", func() bool {
					return errors.Is(syscall.Kill(n.PID, 0), syscall.ESRCH)
				})
			}
		}
		g.c.start(5)
	})
	g.finish()
	for _, name := range []string{"a", "b"} {
		require.NoError(t, map[string]block.Device{"a": g.a, "b": g.b}[name].Close())
		g.c.ok("volume", "detach", name)
	}

	// Of volumes that nobody has attached, too. A clone is a volume like any other, and a source as well.
	g.c.ok("volume", "clone", "a3", "a4", "--layout", "mirror=1")
	require.Equal(t, g.number("a3", "n5"), g.number("a4", "n4"))
	for _, name := range []string{"a1", "b1", "a2", "b2", "a3", "b3", "a4"} {
		g.c.ok("volume", "delete", name)
	}
	require.NotContains(t, g.c.ok("volume", "list"), "a4")
}

// filling waits until a clone is attached to be filled, and serves.
func (g *twoDisks) filling(name string) {
	g.t.Helper()
	g.c.eventually(time.Minute, name+" is filled", func() bool {
		r := g.c.run(10*time.Second, "volume", "show", name, "-o", "json")
		if r.code != 0 || !strings.Contains(r.stdout, "filling") {
			return false
		}
		v := g.c.volume(name)
		return v.Attachment != nil && v.Attachment.EnginePID != 0
	})
}

// content returns what a volume holds behind its first block.
func (g *twoDisks) content(name string) []byte {
	g.t.Helper()
	d := g.a
	if name != "a" {
		d = g.open(name, "n5", 0)
		defer func() {
			require.NoError(g.t, d.Close())
			g.c.ok("volume", "detach", name)
		}()
	}
	p := make([]byte, d.Limits().SizeBytes-4096)
	for off := int64(0); off < int64(len(p)); off += 1 << 20 {
		part := p[off:min(off+1<<20, int64(len(p)))]
		require.NoError(g.t, d.Read(g.t.Context(), part, 4096+off))
	}
	return p
}
