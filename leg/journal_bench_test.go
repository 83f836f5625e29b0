package leg_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/leg"
	"github.com/holdfast-storage/holdfast/volume"
)

// BenchmarkStage compares a record in the journal, its part of a round included, with a write around it, within the
// page cache. Steady state allocates next to nothing for a record.
func BenchmarkStage(b *testing.B) {
	for _, size := range []int64{4 << 10, 64 << 10} {
		for _, how := range []string{"write", "image", "delta", "read", "read staged"} {
			b.Run(fmt.Sprintf("%s/%dk", how, size>>10), func(b *testing.B) { benchmarkStage(b, size, how) })
		}
	}
}

func benchmarkStage(b *testing.B, size int64, how string) {
	fsys := leg.OSFS(b.TempDir())
	require.NoError(b, leg.InitStore(fsys, testStore, testNode))
	store, err := leg.OpenStore(fsys, leg.StoreOptions{BootID: "boot 1", Instance: 7})
	require.NoError(b, err)
	defer func() { require.NoError(b, store.Close()) }()
	spec := paritySpec()
	spec.Layout, spec.SizeBytes = volume.Parity(2, 1), 1<<30
	require.NoError(b, store.Provision(spec))
	l, err := store.OpenLeg(spec.Leg)
	require.NoError(b, err)
	s, err := l.Login(b.Context(), leg.Login{Epoch: 1, Attach: attach(1)}, func(string) {})
	require.NoError(b, err)
	require.NoError(b, s.Config(b.Context(), 1, config(2)))
	kind := volume.RecordImage
	if how == "delta" {
		kind = volume.RecordDelta
	}
	p := make([]byte, size)
	for i := range p {
		p[i] = byte(i) | 1
	}
	legs, blocks, room := parityLegs(), size/4096, spec.Layout.JournalRoom(spec.SizeBytes)
	perRound := int(room / volume.RecordBytes(blocks, len(legs)))
	span := l.Label().LegBytes() / size
	for i := range span { // marks, and pages in the cache
		require.NoError(b, s.Write(b.Context(), p, i*size, 0))
	}
	stage := func(i int) error {
		return s.Stage(b.Context(), volume.Record{Transaction: up(1, uint64(i+1)), Kind: kind,
			FirstBlock: int64(i) * 2654435761 % span * blocks, Blocks: blocks, Legs: legs}, p)
	}
	if how == "read staged" {
		for i := range perRound {
			require.NoError(b, stage(i))
		}
	}
	b.SetBytes(size)
	b.ReportAllocs()
	for i := range b.N {
		switch how {
		case "write":
			err = s.Write(b.Context(), p, int64(i)*2654435761%span*size, 0)
		case "read", "read staged":
			err = s.Read(b.Context(), p, int64(i%perRound)*2654435761%span*size)
		default:
			if err = stage(i); err == nil && i%perRound == perRound-1 {
				if err = s.Commit(b.Context(), up(1, uint64(i+1))); err == nil {
					err = s.Free(b.Context(), up(1, uint64(i+1)))
				}
			}
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}
