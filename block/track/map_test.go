package track

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
)

// TestMap_isWhatASetOfExtentsIs holds the map against a plain one, for marks and takes of any kind.
func TestMap_isWhatASetOfExtentsIs(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 1))
		size := 512 * (1 + r.Int64N(400*ExtentBytes/512))
		m, plain := NewMap(size), map[int64]bool{}
		for e := int64(0); e*ExtentBytes < size; e++ {
			plain[e] = true
		}
		for range 300 {
			if r.IntN(3) == 0 {
				at := block.Range{Off: 512 * r.Int64N(size/512), Len: 512 * r.Int64N(1+20*ExtentBytes/512)}
				m.Mark(at)
				for e := at.Off / ExtentBytes; e*ExtentBytes < min(at.End(), size) && at.Len > 0; e++ {
					plain[e] = true
				}
				continue
			}
			from, most := r.Int64N(size), r.Int64N(9*ExtentBytes)
			got, ok := m.Take(from, most)
			first := from / ExtentBytes
			for first*ExtentBytes < size && !plain[first] {
				first++
			}
			require.Equal(t, first*ExtentBytes < size, ok)
			if !ok {
				continue
			}
			require.Equal(t, first*ExtentBytes, got.Off)
			require.True(t, got.Len <= max(most, ExtentBytes) && got.End() <= size && !got.Empty(), "%v", got)
			for e := first; e*ExtentBytes < got.End(); e++ {
				require.True(t, plain[e])
				delete(plain, e)
			}
			if next := got.End() / ExtentBytes; got.End() < size && got.Len+ExtentBytes <= most {
				require.False(t, plain[next], "it ended early")
			}
		}
		require.Equal(t, min(int64(len(plain))*ExtentBytes, size), m.Bytes())
	}
}

func TestMap_empty(t *testing.T) {
	m := NewMap(0)
	m.Mark(block.Range{Off: 0, Len: 4096})
	_, ok := m.Take(0, 1<<20)
	require.False(t, ok)
	require.Zero(t, m.Bytes())
}
