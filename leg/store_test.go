package leg_test

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/leg"
	"github.com/holdfast-storage/holdfast/volume"
)

const testSize = 64 << 10

var (
	testNode  = volume.NodeID{UUID: volume.UUID{15: 1}}
	testStore = volume.StoreID{UUID: volume.UUID{15: 2}}
)

func testSpec() leg.Spec {
	return leg.Spec{
		Leg: volume.LegID{UUID: volume.UUID{15: 3}}, Volume: volume.ID{UUID: volume.UUID{15: 4}},
		VolumeName:  "vol",
		Incarnation: volume.ClusterID{UUID: volume.UUID{15: 5}}, DataGen: volume.UUID{15: 6},
		Layout: volume.Mirror(2), Slot: 1, Durability: volume.DurabilityFlush, SizeBytes: testSize,
	}
}

func openStore(t *testing.T, fsys leg.FS, boot string) *leg.Store {
	t.Helper()
	s, err := openWitnessed(fsys, leg.StoreOptions{BootID: boot, Instance: 7})
	require.NoError(t, err)
	return s
}

// openWitnessed opens a store; one in memory has a witness.
func openWitnessed(fsys leg.FS, o leg.StoreOptions) (*leg.Store, error) {
	s, err := leg.OpenStore(fsys, o)
	if err != nil {
		return nil, err
	}
	if _, ok := fsys.(*memFS); ok {
		err = s.KeepWitness("/memory")
	}
	if errors.Is(err, errors.ErrUnsupported) {
		err = nil // a test wants none
	}
	return s, err
}

// newStore makes a store with one leg in it.
func newStore(t *testing.T, fsys leg.FS) *leg.Store {
	t.Helper()
	require.NoError(t, leg.InitStore(fsys, testStore, testNode))
	s := openStore(t, fsys, "boot 1")
	require.NoError(t, s.Provision(testSpec()))
	return s
}

func TestStore_isNeverMadeOverAnother(t *testing.T) {
	fsys := newMemFS()
	_, err := leg.OpenStore(fsys, leg.StoreOptions{BootID: "b"})
	require.ErrorIs(t, err, leg.ErrNoStore)
	s := newStore(t, fsys)
	require.Equal(t, testStore, s.ID())
	require.Equal(t, testNode, s.Node())
	require.ErrorContains(t, leg.InitStore(fsys, testStore, testNode), "holds a store already")
	require.NoError(t, fsys.RemoveAll("store.json"))
	require.ErrorContains(t, leg.InitStore(fsys, testStore, testNode), "legs of another store")
}

func TestStore_refusesAnIdentityItCannotTrust(t *testing.T) {
	for name, text := range map[string]string{
		"no json":         "{",
		"newer format":    `{"format": 2}`,
		"bad checksum":    `{"format": 1, "store_id": "00000000-0000-0000-0000-000000000002", "crc32c": 1}`,
		"no store at all": `{"format": 1}`,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(dir, "store.json"), []byte(text), 0o600))
			_, err := leg.OpenStore(leg.OSFS(dir), leg.StoreOptions{BootID: "b"})
			require.ErrorContains(t, err, "store.json")
			require.NotErrorIs(t, err, leg.ErrNoStore)
		})
	}
}

func TestStore_hasOneProcess(t *testing.T) {
	fsys := leg.OSFS(t.TempDir())
	s := newStore(t, fsys)
	_, err := leg.OpenStore(fsys, leg.StoreOptions{BootID: "b"})
	require.ErrorIs(t, err, leg.ErrInUse)
	require.NoError(t, s.Close())
	require.NoError(t, openStore(t, fsys, "b").Close())
}

func TestProvision_isIdempotentForTheVerySameLeg(t *testing.T) {
	s := newStore(t, newMemFS())
	require.NoError(t, s.Provision(testSpec()))
	for name, change := range map[string]func(*leg.Spec){
		"volume":      func(s *leg.Spec) { s.Volume = volume.NewID() },
		"incarnation": func(s *leg.Spec) { s.Incarnation = volume.NewClusterID() },
		"lineage":     func(s *leg.Spec) { s.DataGen = volume.NewUUID() },
		"size":        func(s *leg.Spec) { s.SizeBytes *= 2 },
		"slot":        func(s *leg.Spec) { s.Slot = 0 },
		"layout":      func(s *leg.Spec) { s.Layout = volume.Mirror(3) },
		"durability":  func(s *leg.Spec) { s.Durability = volume.DurabilitySync },
	} {
		spec := testSpec()
		change(&spec)
		require.ErrorIs(t, s.Provision(spec), leg.ErrMismatch, name)
	}
	bad := testSpec()
	bad.SizeBytes = 4097
	require.ErrorContains(t, s.Provision(bad), "no multiple of the block")
}

// Power fails before each operation in turn: afterwards there is no leg or a whole one, and one that
// Provision answered for is there.
func TestProvision_powerCutAtEveryStep(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for cut := 1; ; cut++ {
		fsys := newMemFS()
		require.NoError(t, leg.InitStore(fsys, testStore, testNode))
		s := openStore(t, fsys, "boot 1")
		fsys.cutAt = fsys.ops + cut
		provisioned := s.Provision(testSpec()) == nil
		for range 8 {
			after := openStore(t, fsys.powerCut(rng), "boot 2")
			ids, err := after.List()
			require.NoError(t, err)
			if provisioned {
				require.Len(t, ids, 1)
			}
			if len(ids) == 1 {
				l, err := after.OpenLeg(testSpec().Leg)
				require.NoError(t, err, "cut before operation %d", cut)
				require.Equal(t, volume.Epoch(0), l.Label().FenceEpoch)
			}
			require.NoError(t, after.Provision(testSpec()), "the order is repeated")
		}
		if provisioned {
			require.Greater(t, cut, 10)
			return
		}
	}
}

func TestInitStore_powerCutAtEveryStep(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for cut := 1; ; cut++ {
		fsys := newMemFS()
		fsys.cutAt = cut
		made := leg.InitStore(fsys, testStore, testNode) == nil
		for range 8 {
			after := fsys.powerCut(rng)
			s, err := leg.OpenStore(after, leg.StoreOptions{BootID: "b"})
			if errors.Is(err, leg.ErrNoStore) && !made {
				require.NoError(t, leg.InitStore(after, testStore, testNode), "it is made again")
				continue
			}
			require.NoError(t, err)
			require.NoError(t, s.Provision(testSpec()))
		}
		if made {
			return
		}
	}
}

func TestOpenLeg_tellsLostFromUnusable(t *testing.T) {
	id := testSpec().Leg.String()
	corrupt := func(t *testing.T, path string, off int64) {
		file, err := os.OpenFile(path, os.O_RDWR, 0)
		require.NoError(t, err)
		_, err = file.WriteAt([]byte{0xff, 0xfe, 0xfd}, off)
		require.NoError(t, err)
		require.NoError(t, file.Close())
	}
	for name, c := range map[string]struct {
		damage func(t *testing.T, dir string)
		lost   string // part of the reason; empty = not lost
		is     error  // if not lost
	}{
		"no directory": {func(t *testing.T, dir string) { require.NoError(t, os.RemoveAll(dir)) },
			"directory is missing", nil},
		"no label": {func(t *testing.T, dir string) { require.NoError(t, os.Remove(dir+"/label")) },
			"label is missing", nil},
		"empty label": {func(t *testing.T, dir string) {
			require.NoError(t, os.Truncate(dir+"/label", 0))
		}, "label is corrupt", nil},
		"both slots": {func(t *testing.T, dir string) {
			corrupt(t, dir+"/label", 100)
			corrupt(t, dir+"/label", 4096+100)
		}, "label is corrupt", nil},
		"no regions": {func(t *testing.T, dir string) { require.NoError(t, os.Remove(dir+"/regions")) },
			"region file is missing", nil},
		"short regions": {func(t *testing.T, dir string) {
			require.NoError(t, os.Truncate(dir+"/regions", 1100))
		}, "region file ends at byte 1100", nil},
		"newer regions": {func(t *testing.T, dir string) { newerRegions(t, dir+"/regions") },
			"", volume.ErrLabelVersion},
		"every sector of regions": {func(t *testing.T, dir string) {
			require.NoError(t, os.WriteFile(dir+"/regions", make([]byte, 3*512), 0o600))
		}, "", nil},
		"no data": {func(t *testing.T, dir string) { require.NoError(t, os.Remove(dir+"/data")) },
			"data is missing", nil},
		"short data": {func(t *testing.T, dir string) {
			require.NoError(t, os.Truncate(dir+"/data", 4096))
		}, "has 4096 bytes", nil},
		"long data": {func(t *testing.T, dir string) {
			require.NoError(t, os.Truncate(dir+"/data", 2*testSize))
		}, "", leg.ErrMismatch},
		"one slot": {func(t *testing.T, dir string) { corrupt(t, dir+"/label", 4096+100) }, "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			s := newStore(t, leg.OSFS(root))
			c.damage(t, filepath.Join(root, "legs", id))
			l, err := s.OpenLeg(testSpec().Leg)
			lost := (*leg.LostError)(nil)
			switch {
			case c.lost != "":
				require.ErrorAs(t, err, &lost)
				require.ErrorContains(t, err, c.lost)
				if name != "no directory" {
					require.ErrorContains(t, s.Provision(testSpec()), "lost",
						"a lost leg is never made again")
				}
			case c.is != nil:
				require.ErrorIs(t, err, c.is)
				require.False(t, errors.As(err, &lost))
			default:
				require.NoError(t, err)
				require.Equal(t, testSpec().Leg, l.ID())
			}
			require.NoError(t, s.Close())
		})
	}
}

// newerRegions makes the header of a region file one of the next version.
func newerRegions(t *testing.T, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	text[9]++
	sum := crc32.Checksum(text[:508], crc32.MakeTable(crc32.Castagnoli))
	binary.BigEndian.PutUint32(text[508:], sum)
	require.NoError(t, os.WriteFile(path, text, 0o600))
}

// The region file of another leg is not taken for this one's, whatever it says.
func TestOpenLeg_refusesTheRegionsOfAnother(t *testing.T) {
	root := t.TempDir()
	s := newStore(t, leg.OSFS(root))
	other := testSpec()
	other.Leg = volume.LegID{UUID: volume.UUID{15: 9}}
	require.NoError(t, s.Provision(other))
	legs := filepath.Join(root, "legs")
	text, err := os.ReadFile(filepath.Join(legs, other.Leg.String(), "regions"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(legs, testSpec().Leg.String(), "regions"), text, 0o600))
	_, err = s.OpenLeg(testSpec().Leg)
	require.ErrorIs(t, err, leg.ErrMismatch)
	require.ErrorIs(t, s.Provision(testSpec()), leg.ErrMismatch)
}

func TestOpenLeg_refusesACopyUnderAnotherName(t *testing.T) {
	root := t.TempDir()
	s := newStore(t, leg.OSFS(root))
	other := volume.LegID{UUID: volume.UUID{15: 9}}
	legs := filepath.Join(root, "legs")
	require.NoError(t, os.CopyFS(filepath.Join(legs, other.String()),
		os.DirFS(filepath.Join(legs, testSpec().Leg.String()))))
	_, err := s.OpenLeg(other)
	require.ErrorIs(t, err, leg.ErrMismatch)
	ids, err := s.List()
	require.NoError(t, err)
	require.Len(t, ids, 2)
}

func TestDelete_removesForGood(t *testing.T) {
	fsys := newMemFS()
	s := newStore(t, fsys)
	l, err := s.OpenLeg(testSpec().Leg)
	require.NoError(t, err)
	require.NoError(t, s.Delete(l.ID()))
	require.NoError(t, s.Delete(l.ID()), "a leg that is not there is deleted")
	rng := rand.New(rand.NewPCG(5, 6))
	for range 8 {
		ids, err := openStore(t, fsys.powerCut(rng), "boot 2").List()
		require.NoError(t, err)
		require.Empty(t, ids)
	}
}

// Another file system mounted over the store, or its own gone from under it, looks like a store whose
// legs were removed. That is no evidence against any leg, and no place for a new one.
func TestStore_outOfPlaceIsNoLoss(t *testing.T) {
	root := filepath.Join(t.TempDir(), "store")
	require.NoError(t, os.Mkdir(root, 0o700))
	s := newStore(t, leg.OSFS(root))
	require.NoError(t, os.Rename(root, root+".away"))
	for _, name := range []string{"legs", "tmp"} {
		require.NoError(t, os.MkdirAll(filepath.Join(root, name), 0o700))
	}
	fresh := testSpec()
	fresh.Leg = volume.LegID{UUID: volume.UUID{15: 31}}
	_, opened := s.OpenLeg(testSpec().Leg)
	_, read := s.ReadLabel(testSpec().Leg)
	lost := (*leg.LostError)(nil)
	for _, err := range []error{opened, read, s.Provision(testSpec()), s.Provision(fresh)} {
		require.ErrorIs(t, err, leg.ErrNoStore)
		require.False(t, errors.As(err, &lost))
	}
	require.NoError(t, os.RemoveAll(root))
	require.NoError(t, os.Rename(root+".away", root))
	_, err := s.OpenLeg(testSpec().Leg)
	require.NoError(t, err, "it is back")
	require.NoError(t, s.Close())
}
