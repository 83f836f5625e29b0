package system

import (
	"crypto/rand"
	"crypto/sha256"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// rot is something that a medium did to one leg's data file behind everybody's back.
type rot struct {
	what   string
	node   string
	offset int64
	spoil  func(f *os.File, offset int64) error
	blocks int64 // of 4 KiB that are wrong by it
}

// rots are all in different places, so that another leg is good wherever one is not; and each time in
// others, since blocks that turn bad again after they were rewritten mean that the whole disk is dying.
func rots(time int64) []rot {
	shift := time << 17
	garbage := func(n int) func(*os.File, int64) error {
		return func(f *os.File, offset int64) error {
			p := make([]byte, n)
			_, _ = rand.Read(p) // never fails
			_, err := f.WriteAt(p, offset)
			return err
		}
	}
	flip := func(f *os.File, offset int64) error {
		p := make([]byte, 1)
		if _, err := f.ReadAt(p, offset); err != nil {
			return err
		}
		p[0] ^= 0x10
		_, err := f.WriteAt(p, offset)
		return err
	}
	misdirected := func(f *os.File, offset int64) error {
		p := make([]byte, 4096) // a good block, but it belongs elsewhere
		if _, err := f.ReadAt(p, offset+8192); err != nil {
			return err
		}
		_, err := f.WriteAt(p, offset)
		return err
	}
	return []rot{
		{"garbage in a block", "n1", shift + 1<<20, garbage(4096), 1},
		{"garbage over an edge of blocks", "n1", shift + 3<<20 + 4096 - 100, garbage(200), 2},
		{"a run of blocks", "n2", shift + 40<<20, garbage(64 << 10), 16},
		{"one bit", "n2", shift + 33<<20 + 1234, flip, 1},
		{"a misdirected write", "n1", shift + 100<<20, misdirected, 1},
		{"data where nothing was ever written", "n2", shift + 200<<20, garbage(512), 1},
	}
}

func (c *cluster) data(node string) string {
	c.t.Helper()
	found, err := filepath.Glob(filepath.Join(c.store(node), "legs", "*", "data"))
	require.NoError(c.t, err)
	require.Lenf(c.t, found, 1, "legs of %s", node)
	return found[0]
}

// spoil lets all the rots happen and returns how many blocks are wrong.
func (c *cluster) spoil(time int64) (blocks int64) {
	c.t.Helper()
	for _, r := range rots(time) {
		f, err := os.OpenFile(c.data(r.node), os.O_RDWR, 0)
		require.NoError(c.t, err)
		require.NoError(c.t, r.spoil(f, r.offset), r.what)
		require.NoError(c.t, f.Sync())
		require.NoError(c.t, f.Close())
		blocks += r.blocks
	}
	return blocks
}

// TestScrub_findsAndHealsRealRot writes garbage into the legs' files under a volume that is attached
// and in use. The guest reads the right bytes before anything is healed; a scrub finds every wrong
// block, heals it from the other leg, and a second one finds nothing (protocol §5 rows 33 and 35).
func TestScrub_findsAndHealsRealRot(t *testing.T) {
	c, d := startGuarded(t)
	written := load{d, 1}
	before := hashOf(t, c.data("n1"))
	require.Equal(t, before, hashOf(t, c.data("n2")), "the legs agree to begin with")

	c.spoil(0)
	require.NotEqual(t, before, hashOf(t, c.data("n1")))
	written.verify()

	c.scrub() // whatever the guest did not read
	wrong := c.spoil(1)
	found := c.scrub()
	require.Equal(t, wrong, found.Bad)
	require.Equal(t, wrong, found.Healed)
	require.Zero(t, found.Diverged)
	require.Zero(t, found.Unreadable)
	require.Equal(t, before, hashOf(t, c.data("n1")))
	require.Equal(t, before, hashOf(t, c.data("n2")))
	require.Zero(t, c.scrub().Bad, "nothing is left to find")
	require.Len(t, c.volume("disk").inSync(), 2, "rot in some blocks costs no leg")
	c.alone(written, "n1", "n2")
}

type scrubView struct{ Bad, Healed, Diverged, Unreadable int64 }

// scrub scrubs the volume named disk and returns what was found.
func (c *cluster) scrub() scrubView {
	c.t.Helper()
	var found scrubView
	c.object(&found, "volume", "scrub", "disk", "--rate", "1G")
	return found
}

func hashOf(t *testing.T, path string) [sha256.Size]byte {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	require.NoError(t, err)
	return [sha256.Size]byte(h.Sum(nil))
}
