package parity_test

import (
	"bytes"
	"encoding/hex"
	"math/bits"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/parity"
	"github.com/holdfast-storage/holdfast/volume"
)

// times multiplies in GF(2⁸) bit by bit, as it is written in books: the brute force that the code is held
// against.
func times(a, b byte) byte {
	var product uint16
	for i := range 8 {
		if b&(1<<i) != 0 {
			product ^= uint16(a) << i
		}
	}
	for i := 14; i >= 8; i-- {
		if product&(1<<i) != 0 {
			product ^= 0x11d << (i - 8)
		}
	}
	return byte(product)
}

func power(base byte, n int) byte {
	p := byte(1)
	for range n {
		p = times(p, base)
	}
	return p
}

// slowParity is parity j of data, by its definition.
func slowParity(j int, data [][]byte) []byte {
	p := make([]byte, len(data[0]))
	for d, chunk := range data {
		for i, b := range chunk {
			p[i] ^= times(power(2, j*d), b)
		}
	}
	return p
}

func code(t testing.TB, l volume.Layout) *parity.Code {
	t.Helper()
	c, err := parity.NewCode(l)
	require.NoError(t, err)
	return c
}

// stripe makes random data with its parity.
func stripe(t testing.TB, l volume.Layout, rng *rand.Rand, length int) [][]byte {
	t.Helper()
	chunks := make([][]byte, l.Legs())
	for i := range chunks {
		chunks[i] = make([]byte, length)
		for b := range chunks[i] {
			chunks[i][b] = byte(rng.Uint32())
		}
	}
	require.NoError(t, code(t, l).Encode(chunks))
	return chunks
}

func TestCode_encodesByDefinition(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 1))
	eachLayout(func(l volume.Layout) {
		for _, length := range []int{1, 31, 512, 4096} {
			chunks := stripe(t, l, rng, length)
			for j := range l.Extra {
				require.Equal(t, slowParity(j, chunks[:l.Data]), chunks[l.Data+j], "%s parity %d", l, j)
			}
			same, err := code(t, l).Verify(chunks)
			require.NoError(t, err)
			require.True(t, same)
			chunks[rng.IntN(l.Legs())][rng.IntN(length)] ^= 1 << rng.IntN(8)
			same, err = code(t, l).Verify(chunks)
			require.NoError(t, err)
			require.False(t, same, "%s: one wrong bit", l)
		}
	})
}

// What is on disks stays: the parity of some data, as bytes.
func TestCode_goldenBytes(t *testing.T) {
	data := [][]byte{{0x00, 0x01, 0x80, 0xff}, {0x01, 0x01, 0x80, 0x00}, {0x02, 0x01, 0x80, 0x55},
		{0x03, 0x01, 0x80, 0xaa}}
	chunks := append(data, make([]byte, 4), make([]byte, 4), make([]byte, 4))
	require.NoError(t, code(t, volume.Parity(4, 3)).Encode(chunks))
	require.Equal(t, []string{"00000000", "120fd38f", "e455d513"},
		[]string{hex.EncodeToString(chunks[4]), hex.EncodeToString(chunks[5]), hex.EncodeToString(chunks[6])})
}

// TestCode_everyLoss: for every layout and every loss of at most m chunks, what was lost is made again, also one
// chunk of it alone, in the memory that was given; a loss of more is refused and changes nothing.
func TestCode_everyLoss(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 9))
	eachLayout(func(l volume.Layout) {
		whole := stripe(t, l, rng, 67)
		c := code(t, l)
		for lost := range uint(1) << l.Legs() {
			if bits.OnesCount(lost) > l.Extra+1 {
				continue
			}
			chunks, all := make([][]byte, l.Legs()), make([]bool, l.Legs())
			lose := func() {
				for i := range chunks {
					chunks[i] = bytes.Clone(whole[i])
					if all[i] = lost&(1<<i) != 0; all[i] {
						clear(chunks[i])
						chunks[i] = chunks[i][:0]
					}
				}
			}
			lose()
			err := c.Reconstruct(chunks, all)
			if bits.OnesCount(lost) > l.Extra {
				require.ErrorIs(t, err, parity.ErrTooFew, "%s lost %b", l, lost)
				continue
			}
			require.NoError(t, err)
			require.Equal(t, whole, chunks, "%s lost %b", l, lost)
			for i := range chunks {
				if lost&(1<<i) == 0 {
					continue
				}
				lose()
				memory := chunks[i][:1]
				wanted := make([]bool, l.Legs())
				wanted[i] = true
				require.NoError(t, c.Reconstruct(chunks, wanted))
				require.Equal(t, whole[i], chunks[i], "%s lost %b, wants %d", l, lost, i)
				require.Same(t, &memory[0], &chunks[i][0], "it is made where there is room")
			}
		}
	})
}

// TestCode_changes: changes of parts of data chunks, added to the parity in another order than they were made,
// give the parity of what the data became; so do changes that a leg adds by itself.
func TestCode_changes(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 2))
	eachLayout(func(l volume.Layout) {
		const length = 256
		chunks := stripe(t, l, rng, length)
		c := code(t, l)
		type change struct {
			chunk, off int
			bytes      []byte
		}
		var changes []change
		for range 40 {
			d, off := rng.IntN(l.Data), rng.IntN(length)
			after := make([]byte, 1+rng.IntN(length-off))
			for i := range after {
				after[i] = byte(rng.Uint32())
			}
			before := chunks[d][off : off+len(after)]
			by := make([]byte, len(after))
			parity.Change(by, before, after)
			copy(before, after)
			changes = append(changes, change{d, off, by})
		}
		rng.Shuffle(len(changes), func(i, j int) { changes[i], changes[j] = changes[j], changes[i] })
		for n, ch := range changes {
			own := make([][]byte, l.Extra)
			for j := range own {
				own[j] = chunks[l.Data+j][ch.off : ch.off+len(ch.bytes)]
				if n%2 == 0 {
					own[j] = make([]byte, len(ch.bytes)) // what is sent to a leg of parity
				}
			}
			require.NoError(t, c.AddChange(ch.chunk, ch.bytes, own))
			for j := range own {
				if n%2 == 0 {
					at := chunks[l.Data+j][ch.off : ch.off+len(ch.bytes)]
					parity.Change(at, at, own[j])
				}
			}
		}
		same, err := c.Verify(chunks)
		require.NoError(t, err)
		require.True(t, same, "%s", l)

		p := [][]byte{chunks[l.Data]}
		for j := 1; j < l.Extra; j++ {
			p = append(p, chunks[l.Data+j])
		}
		by := bytes.Repeat([]byte{0x5a}, length)
		require.NoError(t, c.AddChange(0, by, p))
		same, err = c.Verify(chunks)
		require.NoError(t, err)
		require.False(t, same, "%s: a change that the data does not have", l)
		require.NoError(t, c.AddChange(0, by, p))
		same, err = c.Verify(chunks)
		require.NoError(t, err)
		require.True(t, same, "%s: added twice is undone, which is why no leg may merge a change twice", l)
	})
}

func TestCode_refuses(t *testing.T) {
	_, err := parity.NewCode(volume.Mirror(2))
	require.ErrorContains(t, err, "mirror=2 has no parity")
	_, err = parity.NewCode(volume.Layout{Kind: volume.KindParity, Data: 9, Extra: 1, Chunk: 4096})
	require.ErrorContains(t, err, "2 to 8 data")
	c := code(t, volume.Parity(2, 1))
	require.Error(t, c.Encode([][]byte{{1}, {2}}))
	require.Error(t, c.Encode([][]byte{{1}, {2, 3}, {0}}))
	require.ErrorContains(t, c.AddChange(2, []byte{1}, [][]byte{{0}}), "no data chunk")
	require.Error(t, c.AddChange(1, []byte{1}, [][]byte{{0}, {0}}))
	require.Error(t, c.AddChange(1, []byte{1, 2}, [][]byte{{0}}))
	require.ErrorContains(t, c.Reconstruct([][]byte{{1}, {2}}, []bool{false, false}), "want 3")
	require.ErrorContains(t, c.Reconstruct([][]byte{{1}, nil, {2}}, []bool{false}), "want 3")
	_, err = c.Verify([][]byte{{1}, {2}, {3, 4}})
	require.Error(t, err)
}

func BenchmarkAddChange(b *testing.B) {
	c := code(b, volume.Parity(4, 2))
	change, p := make([]byte, 4096), [][]byte{make([]byte, 4096), make([]byte, 4096)}
	b.SetBytes(4096)
	b.ReportAllocs()
	for b.Loop() {
		if err := c.AddChange(1, change, p); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	l := volume.Parity(4, 2)
	chunks := stripe(b, l, rand.New(rand.NewPCG(1, 1)), int(l.Chunk))
	c := code(b, l)
	b.SetBytes(l.StripeBytes())
	b.ReportAllocs()
	for b.Loop() {
		if err := c.Encode(chunks); err != nil {
			b.Fatal(err)
		}
	}
}
