package rescue_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/leg"
	"github.com/holdfast-storage/holdfast/node/rescue"
	"github.com/holdfast-storage/holdfast/volume"
)

// The volume of the tests: a mirror of two legs, each in a store of its own.
const (
	testSize = 5 << 20 // more than a whole number of checkpoints or regions would hide
	thisBoot = "boot 1"
	nextBoot = "boot 2"
)

func testVolume() volume.ID     { return volume.ID{UUID: volume.UUID{0: 1, 15: 1}} }
func legID(n byte) volume.LegID { return volume.LegID{UUID: volume.UUID{0: 2, 15: n}} }

// world is the disks of a cluster that is gone, and what its guest wrote.
type world struct {
	t    *testing.T
	dirs []string // of the stores of leg 0, leg 1
	want []byte
}

// provision makes the legs of a volume.
func provision(t *testing.T, layout volume.Layout) *world {
	t.Helper()
	w := &world{t: t, want: make([]byte, testSize)}
	for n := range byte(layout.Legs()) {
		dir := filepath.Join(t.TempDir(), fmt.Sprintf("disk%d", n))
		require.NoError(t, os.Mkdir(dir, 0o700))
		w.dirs = append(w.dirs, dir)
		fsys := leg.OSFS(dir)
		id := volume.UUID{0: 3, 15: n}
		require.NoError(t, leg.InitStore(fsys, volume.StoreID{UUID: id}, volume.NodeID{UUID: id}))
		store := w.open(n)
		require.NoError(t, store.Provision(leg.Spec{
			Leg: legID(n), Volume: testVolume(), VolumeName: "web1", DataGen: volume.UUID{15: 9},
			Layout: layout, Slot: int(n), Durability: volume.DurabilityFlush, SizeBytes: testSize,
		}))
		require.NoError(t, store.Close())
	}
	return w
}

// newWorld makes the legs of a mirror, attaches them once, writes, flushes and detaches in order.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := provision(t, volume.Mirror(2))
	guest := w.attach(1, 0, 1)
	random := rand.NewChaCha8([32]byte{7})
	for _, off := range []int64{0, 8192, 1<<20 - 4096, 1 << 20, 3<<20 + 4096, testSize - 4096} {
		p := make([]byte, 4096)
		_, _ = random.Read(p)
		guest.write(p, off)
	}
	guest.detach()
	return w
}

func (w *world) open(n byte) *leg.Store {
	w.t.Helper()
	store, err := leg.OpenStore(leg.OSFS(w.dirs[n]), leg.StoreOptions{BootID: thisBoot, Instance: 1})
	require.NoError(w.t, err)
	return store
}

// guest is an attachment over some of the legs.
type guest struct {
	w        *world
	stores   []*leg.Store
	sessions []*leg.Session
}

// attach logs in to legs with an epoch and brings them a configuration of the same number, whose list they
// are.
func (w *world) attach(epoch volume.Epoch, legs ...byte) *guest {
	w.t.Helper()
	g := &guest{w: w}
	var list []volume.LegID
	for _, n := range legs {
		list = append(list, legID(n))
	}
	for _, n := range legs {
		store := w.open(n)
		l, err := store.OpenLeg(legID(n))
		require.NoError(w.t, err)
		s, err := l.Login(w.t.Context(), loginOf(epoch), func(string) {})
		require.NoError(w.t, err)
		config := volume.Config{CfgVer: volume.CfgVer(epoch), InSync: list}
		require.NoError(w.t, s.Config(w.t.Context(), epoch, config))
		g.stores, g.sessions = append(g.stores, store), append(g.sessions, s)
	}
	return g
}

func loginOf(epoch volume.Epoch) leg.Login {
	return leg.Login{Epoch: epoch, Attach: volume.AttachID{UUID: volume.UUID{15: byte(epoch)}}}
}

// write is a write that the guest was answered: it is on all legs.
func (g *guest) write(p []byte, off int64) {
	g.w.t.Helper()
	copy(g.w.want[off:], p)
	for i := range g.sessions {
		g.writeOne(i, p, off)
	}
}

// writeOne is a write that reached one leg.
func (g *guest) writeOne(i int, p []byte, off int64) {
	g.w.t.Helper()
	require.NoError(g.w.t, g.sessions[i].Write(g.w.t.Context(), p, off, 0))
}

// detach flushes, clears the marks and ends the attachment.
func (g *guest) detach() {
	g.w.t.Helper()
	ctx := g.w.t.Context()
	for _, s := range g.sessions {
		require.NoError(g.w.t, s.Flush(ctx))
		for range 2 { // what was touched in a window is cleared after the next one
			gen, _, err := s.Rotate()
			require.NoError(g.w.t, err)
			require.NoError(g.w.t, s.Stable(ctx, gen))
		}
		require.NoError(g.w.t, s.Detach(ctx, true))
	}
	g.die()
}

// die ends the processes of the nodes.
func (g *guest) die() {
	g.w.t.Helper()
	for _, s := range g.stores {
		require.NoError(g.w.t, s.Close())
	}
}

func (w *world) scan(boot string, dirs ...string) *rescue.Catalogue {
	w.t.Helper()
	if len(dirs) == 0 {
		dirs = w.dirs
	}
	c, err := rescue.Scan(w.t.Context(), dirs, boot)
	require.NoError(w.t, err)
	w.t.Cleanup(func() { require.NoError(w.t, c.Close()) })
	return c
}

func (w *world) options() rescue.Options {
	return rescue.Options{Volume: "web1", To: filepath.Join(w.t.TempDir(), "web1.img")}
}

// damage inverts a byte in a file of a leg.
func (w *world) damage(n byte, name string, off int64) {
	w.t.Helper()
	file, err := os.OpenFile(w.path(n, name), os.O_RDWR, 0)
	require.NoError(w.t, err)
	p := make([]byte, 1)
	_, err = file.ReadAt(p, off)
	require.NoError(w.t, err)
	p[0] ^= 0xff
	_, err = file.WriteAt(p, off)
	require.NoError(w.t, err)
	require.NoError(w.t, file.Close())
}

func (w *world) path(n byte, name string) string {
	return filepath.Join(w.dirs[n], "legs", legID(n).String(), name)
}

// copyStore makes a copy of a store elsewhere.
func (w *world) copyStore(n byte) string {
	w.t.Helper()
	to := filepath.Join(w.t.TempDir(), "copy")
	require.NoError(w.t, os.CopyFS(to, os.DirFS(w.dirs[n])))
	return to
}

// digest is of every file's name, content and time of change.
func digest(t *testing.T, dirs ...string) string {
	t.Helper()
	sum := sha256.New()
	for _, dir := range dirs {
		require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			require.NoError(t, err)
			info, err := d.Info()
			require.NoError(t, err)
			fmt.Fprintln(sum, path, info.Size(), info.ModTime().UnixNano())
			if d.Type().IsRegular() {
				text, err := os.ReadFile(path)
				require.NoError(t, err)
				sum.Write(text)
			}
			return nil
		}))
	}
	return fmt.Sprintf("%x", sum.Sum(nil))
}

func requireContent(t *testing.T, want []byte, path string) {
	t.Helper()
	have, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Len(t, have, len(want))
	for off := 0; off < len(want); off += volume.BlockBytes {
		if !bytes.Equal(want[off:off+volume.BlockBytes], have[off:off+volume.BlockBytes]) {
			t.Fatalf("block at byte %d is not what it should be", off)
		}
	}
}

func blocks(n int) []byte { return bytes.Repeat([]byte{0xa5}, n*volume.BlockBytes) }

func span(off, n int64, leg volume.LegID) rescue.Span {
	r := block.Range{Off: off, Len: n * volume.BlockBytes}
	return rescue.Span{Off: r.Off, Len: r.Len, Leg: leg}
}
