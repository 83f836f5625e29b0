package leg

import (
	"encoding/binary"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/volume"
)

var testHeader = sumsHeader{Leg: volume.LegID{UUID: volume.UUID{15: 3}}, Blocks: 16}

// taggedSum is what blockSum is documented to be, done the plain way.
func taggedSum(n int64, content []byte) uint32 {
	tagged := append(binary.BigEndian.AppendUint64(nil, uint64(n)), content...)
	return crc32.Checksum(tagged, crc32.MakeTable(crc32.Castagnoli))
}

// forged returns a block n whose tagged CRC32C is sum: CRC is linear, so the last four bytes that do it
// are found by walking the table backwards.
func forged(n int64, sum uint32) []byte {
	table := crc32.MakeTable(crc32.Castagnoli)
	content := make([]byte, volume.BlockBytes)
	content[0] = 1
	begin := ^taggedSum(n, content[:volume.BlockBytes-4])
	end := ^sum
	for i := 3; i >= 0; i-- {
		for j := range 256 {
			if table[j]>>24 == end>>24 {
				end = (end^table[j])<<8 | uint32(j)
				break
			}
		}
	}
	binary.LittleEndian.PutUint32(content[volume.BlockBytes-4:], begin^end)
	return content
}

func TestBlockSum(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	random := make([]byte, volume.BlockBytes)
	for i := range random {
		random[i] = byte(rng.Uint32())
	}
	last := make([]byte, volume.BlockBytes)
	last[volume.BlockBytes-1] = 1
	first := make([]byte, volume.BlockBytes)
	first[0] = 1
	for _, n := range []int64{0, 1, 255, 256, 1 << 31, volume.MaxSizeBytes/volume.BlockBytes - 1} {
		require.Equal(t, sumZero, blockSum(n, make([]byte, volume.BlockBytes)))
		for _, content := range [][]byte{random, first, last} {
			require.Equal(t, taggedSum(n, content), blockSum(n, content))
			require.NotEqual(t, blockSum(n+1, content), blockSum(n, content), "the number is in it")
		}
		for sum, want := range map[uint32]uint32{0: 2, 1: 3, 2: 2, 0xffffffff: 0xffffffff} {
			content := forged(n, sum)
			require.Equal(t, sum, taggedSum(n, content))
			require.Equal(t, want, blockSum(n, content), "0 and 1 mean something else")
		}
	}
}

func TestSumsHeader_bytes(t *testing.T) {
	b := appendSumsHeader(nil, testHeader)
	want := make([]byte, 512)
	copy(want, "HFCSUMS\n\x00\x01")
	want[23], want[39] = 16, 3
	binary.BigEndian.PutUint32(want[508:], crc32.Checksum(want[:508], crc32.MakeTable(crc32.Castagnoli)))
	require.Equal(t, want, b)
	h, err := parseSumsHeader(b)
	require.NoError(t, err)
	require.Equal(t, testHeader, h)
	for n := range b {
		_, err := parseSumsHeader(b[:n])
		require.ErrorIs(t, err, errSumsCorrupt, "%d bytes", n)
		rotten := append([]byte(nil), b...)
		rotten[n] ^= 0x10
		_, err = parseSumsHeader(rotten)
		require.ErrorIs(t, err, errSumsCorrupt, "byte %d", n)
	}
}

func TestSumsHeader_refusesWhatItDoesNotKnow(t *testing.T) {
	for name, c := range map[string]struct {
		at   int
		want error
	}{
		"version":  {9, ErrChecksumsVersion},
		"reserved": {12, errSumsCorrupt},
		"tail":     {100, errSumsCorrupt},
	} {
		b := appendSumsHeader(nil, testHeader)
		b[c.at]++
		binary.BigEndian.PutUint32(b[508:], sectorSum(b[:508]))
		_, err := parseSumsHeader(b)
		require.ErrorIs(t, err, c.want, name)
	}
	require.ErrorIs(t, ErrChecksumsVersion, volume.ErrLabelVersion)
}

func FuzzSumsHeader(f *testing.F) {
	f.Add(appendSumsHeader(nil, testHeader))
	f.Add(appendSumsHeader(nil, sumsHeader{}))
	f.Add([]byte(sumsMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := parseSumsHeader(b)
		if err == nil {
			require.Equal(t, b[:sumsSectorBytes], appendSumsHeader(nil, h))
		}
	})
}

func TestSumsRange(t *testing.T) {
	require.Equal(t, int64(8192), sumsFileBytes(4096))
	require.Equal(t, int64(8192), sumsFileBytes(4<<20), "a page tells of 4 MiB")
	require.Equal(t, int64(12288), sumsFileBytes(4<<20+4096))
	require.Equal(t, int64(sumsHeaderBytes+1<<30), sumsFileBytes(1<<40), "1 GiB for each TiB")
	for _, r := range []block.Range{{Off: 0, Len: 4096}, {Off: 1 << 40, Len: 8192}, {Off: 4096}} {
		require.Equal(t, r, summedRange(sumsRange(r)))
	}
	require.Equal(t, block.Range{Off: 4100, Len: 8}, sumsRange(block.Range{Off: 4096, Len: 8192}))
}

// What a change that failed leaves is judged block by block: what it stored counts as new, what it did not
// reach as old, whatever that looks like.
func TestOutcome(t *testing.T) {
	blockOf := func(b byte) []byte {
		p := make([]byte, volume.BlockBytes)
		for i := range p {
			p[i] = b
		}
		return p
	}
	one, two := blockOf(1), blockOf(2)
	torn := append(blockOf(2)[:512], one[512:]...)
	wanted := slices.Concat(two, two, two)
	const now, fresh, old = 'c', 'n', 'o' // the checksum is that of the content, of what was wanted, as it was
	for name, c := range map[string]struct {
		o       outcome
		content [3][]byte
		sums    string
	}{
		"nothing stored":        {outcome{wanted, 0}, [3][]byte{one, torn, nil}, "ooo"},
		"one stored":            {outcome{wanted, 4096}, [3][]byte{two, torn, one}, "noo"},
		"one and a bit":         {outcome{wanted, 4608}, [3][]byte{two, torn, torn}, "nco"},
		"a bit, unreadable":     {outcome{wanted, 512}, [3][]byte{nil, one, one}, "ooo"},
		"all stored":            {outcome{wanted, 3 * 4096}, [3][]byte{two, two, two}, "nnn"},
		"rotten since":          {outcome{wanted, 4096}, [3][]byte{one, one, one}, "noo"},
		"new, nobody said so":   {outcome{wanted, 0}, [3][]byte{one, two, one}, "ono"},
		"zeroes, nothing known": {outcome{nil, 0}, [3][]byte{one, make([]byte, 4096), torn}, "oco"},
		"zeroes, half a block":  {outcome{nil, 512}, [3][]byte{torn, one, one}, "coo"},
		"zeroes, one stored":    {outcome{nil, 4096}, [3][]byte{torn, one, one}, "zoo"},
	} {
		t.Run(name, func(t *testing.T) {
			for i, content := range c.content {
				n := int64(5 + i)
				var want uint32
				switch c.sums[i] {
				case now:
					want = blockSum(n, content)
				case fresh:
					want = blockSum(n, two)
				case old:
					want = 77
				}
				require.Equal(t, want, c.o.sum(n, int64(i), 77, content), "block %d", i)
			}
		})
	}
}
