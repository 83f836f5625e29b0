package leg

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/volume"
)

// someRegions are regions of 200 MiB with marks and versions here and there.
func someRegions() *Regions {
	r := NewRegions(volume.LegID{UUID: scriptUUID(1)}, 200<<20)
	for _, i := range []uint32{0, 7, 8, 199} {
		r.marks.set(i)
	}
	for i, v := range map[uint32]volume.CfgVer{0: 1, 62: 2, 63: 1<<32 | 3, 199: 0xf1f2f3f4f5f6f7f8} {
		r.versions[i] = v
	}
	return r
}

func TestRegions_readBackWhatWasWritten(t *testing.T) {
	for _, size := range []int64{4096, 1 << 20, 200 << 20, marksPerSector << 20, (marksPerSector + 1) << 20} {
		want := NewRegions(volume.LegID{UUID: scriptUUID(1)}, size)
		rng := rand.New(rand.NewPCG(1, uint64(size)))
		for i := range want.Count() {
			if rng.IntN(3) == 0 {
				want.marks.set(i)
			}
			want.versions[i] = volume.CfgVer(rng.Uint64())
		}
		got := NewRegions(want.leg, size)
		for n := range want.Sectors() {
			require.NoError(t, got.Load(want.Sector(n)))
		}
		require.Equal(t, want, got)
		require.Equal(t, want, want.Clone())
		require.Equal(t, want.marksHash(), got.marksHash())
	}
}

// The bytes at rest never change within a version. The file leaves out rows of zeroes.
func TestRegions_goldenBytes(t *testing.T) {
	var dump strings.Builder
	r := someRegions()
	for n := range r.Sectors() {
		s := r.Sector(n)
		for at := 0; at < RegionSectorBytes; at += 16 {
			if row := s.Bytes[at : at+16]; !allZero(row) {
				fmt.Fprintf(&dump, "%06x  %x\n", int(n)*RegionSectorBytes+at, row)
			}
		}
	}
	want, err := os.ReadFile("testdata/regions_v1.hex")
	require.NoError(t, err)
	require.Equal(t, string(want), dump.String())
}

// No single wrong bit, no sector of another place or leg, and none that was lost is taken for good.
func TestRegions_noticeDamage(t *testing.T) {
	whole := someRegions()
	for n := range whole.Sectors() {
		for bit := range 8 * RegionSectorBytes {
			bad := whole.Sector(n)
			bad.Bytes[bit/8] ^= 1 << (bit % 8)
			r := whole.Clone()
			require.NoError(t, r.Load(bad))
			require.Equal(t, 1, r.Damaged(), "sector %d bit %d", n, bit)
			r.damaged.reset()
			require.Equal(t, whole, r, "a damaged sector changes nothing")
		}
		lost := whole.Clone()
		require.NoError(t, lost.Load(RegionSector{Number: n}))
		require.Equal(t, 1, lost.Damaged(), "a sector of zeroes was never written")
		require.NoError(t, lost.Load(whole.Sector(n)))
		require.Zero(t, lost.Damaged(), "whole again")
		if n == 0 {
			continue
		}
		elsewhere := whole.Sector(n)
		elsewhere.Number = n%(whole.Sectors()-1) + 1
		require.NoError(t, lost.Load(elsewhere))
		require.Equal(t, 1, lost.Damaged(), "a sector of another place")
		foreign := NewRegions(volume.LegID{UUID: scriptUUID(2)}, 200<<20)
		require.NoError(t, foreign.Load(whole.Sector(n)))
		require.Equal(t, 1, foreign.Damaged(), "a sector of another leg")
	}
}

// resealedSector changes a sector and makes its checksum right again.
func resealedSector(r *Regions, n uint32, change func(b []byte)) RegionSector {
	s := r.Sector(n)
	change(s.Bytes[:])
	sum := r.bodySum(n, s.Bytes[:sectorSumAt])
	if n == 0 {
		sum = sectorSum(s.Bytes[:sectorSumAt])
	}
	binary.BigEndian.PutUint32(s.Bytes[sectorSumAt:], sum)
	return s
}

func TestRegions_headerOfAnother(t *testing.T) {
	r := someRegions()
	err := r.Load(resealedSector(r, 0, func(b []byte) { b[headerVersionAt+1] = 2 }))
	require.ErrorIs(t, err, ErrRegionsVersion)
	require.ErrorIs(t, err, volume.ErrLabelVersion, "whoever leaves newer labels alone leaves this alone")
	for name, change := range map[string]func(b []byte){
		"leg":         func(b []byte) { b[headerLegAt] ^= 1 },
		"count":       func(b []byte) { b[headerCountAt+3]++ },
		"region size": func(b []byte) { b[headerRegionAt] = 1 },
	} {
		require.ErrorIs(t, r.Load(resealedSector(r, 0, change)), ErrMismatch, name)
	}
	require.Zero(t, r.Damaged(), "whole, but not ours")
	for name, s := range map[string]RegionSector{
		"reserved":             resealedSector(r, 0, func(b []byte) { b[headerEnd] = 1 }),
		"reserved at 10":       resealedSector(r, 0, func(b []byte) { b[10] = 1 }),
		"mark behind the last": resealedSector(r, 1, func(b []byte) { b[200/8] = 0x80 }),
		"tail of versions":     resealedSector(r, 2, func(b []byte) { b[8*versionsPerSector] = 1 }),
		"version behind":       resealedSector(r, 5, func(b []byte) { b[8*(200-3*63)] = 1 }),
	} {
		got := r.Clone()
		require.NoError(t, got.Load(s), name)
		require.Equal(t, 1, got.Damaged(), name)
	}
	odd := NewRegions(r.leg, 203<<20)
	require.NoError(t, odd.Load(resealedSector(odd, 1, func(b []byte) { b[25] = 0x20 })))
	require.True(t, odd.Marked(202))
	require.NoError(t, odd.Load(resealedSector(odd, 1, func(b []byte) { b[25] = 0x10 })))
	require.Equal(t, 1, odd.Damaged(), "a mark of a region that there is not, in a byte that is used")
}

func FuzzRegions(f *testing.F) {
	for n := range someRegions().Sectors() {
		s := someRegions().Sector(n)
		f.Add(n, s.Bytes[:])
	}
	f.Fuzz(func(t *testing.T, n uint32, b []byte) {
		r := someRegions()
		s := RegionSector{Number: n % r.Sectors()}
		copy(s.Bytes[:], b)
		// The checksum would hide the fields from the fuzzer, so it is made right.
		s = resealedSector(r, s.Number, func(to []byte) { copy(to, s.Bytes[:sectorSumAt]) })
		if r.Load(s) == nil && r.Damaged() == 0 {
			require.Equal(t, s, r.Sector(s.Number), "what is taken is written the same way again")
		}
	})
}

func TestBitset(t *testing.T) {
	const size = 64*64*3 + 5
	b, model := newBitset(size), map[uint32]bool{}
	rng := rand.New(rand.NewPCG(3, 4))
	for range 20000 {
		i := uint32(rng.IntN(size))
		switch rng.IntN(9) {
		case 0, 1, 2:
			require.Equal(t, !model[i], b.set(i))
			model[i] = true
		case 3, 4, 5, 6:
			require.Equal(t, model[i], b.unset(i))
			delete(model, i)
		case 7:
			want, found := uint32(0), false
			for k := range model {
				if k >= i && (!found || k < want) {
					want, found = k, true
				}
			}
			got, ok := b.next(i)
			require.Equal(t, found, ok)
			require.Equal(t, want, got)
		default:
			if rng.IntN(500) == 0 {
				b.reset()
				clear(model)
			}
		}
		require.Equal(t, len(model), b.size)
	}
	b.reset()
	require.Equal(t, newBitset(size), b)
	_, ok := b.next(size + 100)
	require.False(t, ok)
}
