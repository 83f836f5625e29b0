package iscsi

import (
	"bytes"
	"encoding/hex"
	"io"
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

// RFC 7143 appendix A.5 gives the CRC32C of four patterns as they go over the wire.
func TestDigest_vectors(t *testing.T) {
	rising, falling := make([]byte, 32), make([]byte, 32)
	for i := range rising {
		rising[i], falling[i] = byte(i), byte(31-i)
	}
	for want, data := range map[string][]byte{
		"aa36918a": make([]byte, 32),
		"43aba862": bytes.Repeat([]byte{0xff}, 32),
		"4e79dd46": rising,
		"5cdb3f11": falling,
	} {
		var b [4]byte
		putDigest(b[:], digestOf(0, data))
		require.Equal(t, want, hex.EncodeToString(b[:]))
	}
}

// batchOf makes a stream of PDUs with data of the given lengths, every second one pinned.
func batchOf(t testing.TB, d Digests, lengths ...int) []byte {
	var b Batch
	b.SetDigests(d)
	for i, n := range lengths {
		h := BHS{0: byte(OpDataOut)}
		h.putU32(16, uint32(i))
		if i%2 == 0 {
			b.Append(&h, bytes.Repeat([]byte{byte(i + 1)}, n))
		} else {
			b.AppendPinned(&h, bytes.Repeat([]byte{byte(i + 1)}, n))
		}
	}
	var out bytes.Buffer
	n, err := b.WriteTo(&out)
	require.NoError(t, err)
	require.Equal(t, b.Len(), int(n))
	require.Equal(t, b.Len(), out.Len())
	return out.Bytes()
}

func allDigests() []Digests { return []Digests{{}, {Header: true}, {Data: true}, {true, true}} }

func TestFraming_roundTrip(t *testing.T) {
	lengths := []int{0, 1, 2, 3, 4, 5, 0, 8192, 7, 8191}
	for _, d := range allDigests() {
		r := NewReader(bytes.NewReader(batchOf(t, d, lengths...)), 0)
		r.SetDigests(d)
		var h BHS
		for i, n := range lengths {
			_, err := r.Next(&h)
			require.NoError(t, err)
			require.EqualValues(t, i, h.ITT())
			got := make([]byte, h.DataLen())
			require.NoError(t, r.ReadData(got))
			require.Equal(t, bytes.Repeat([]byte{byte(i + 1)}, n), got)
		}
		_, err := r.Next(&h)
		require.Equal(t, io.EOF, err)
	}
}

func TestReader_skipsUnreadData(t *testing.T) {
	for _, d := range allDigests() {
		r := NewReader(bytes.NewReader(batchOf(t, d, 5000, 0, 3)), 0)
		r.SetDigests(d)
		var h BHS
		for i := range 3 {
			_, err := r.Next(&h)
			require.NoError(t, err)
			require.EqualValues(t, i, h.ITT())
		}
	}
}

func TestReader_digestMismatch(t *testing.T) {
	d := Digests{true, true}
	good := batchOf(t, d, 10, 4)
	for i := range good[:HeaderLen+4+10+2+4] {
		bad := bytes.Clone(good)
		bad[i] ^= 0x10
		r := NewReader(bytes.NewReader(bad), 0)
		r.SetDigests(d)
		err := readOne(r)
		if i < HeaderLen+4 {
			// A damaged length can also make the header run past the end of the stream.
			require.Error(t, err, i)
			require.NotErrorIs(t, err, ErrDataDigest, i)
			continue
		}
		require.ErrorIs(t, err, ErrDataDigest, i)
		require.NoError(t, readOne(r), "the stream stays in step")
	}
}

func TestReader_boundsData(t *testing.T) {
	wire := batchOf(t, Digests{}, 8193)
	r := NewReader(bytes.NewReader(wire), 0)
	var h BHS
	_, err := r.Next(&h)
	require.ErrorIs(t, err, ErrDataTooLong)
	r = NewReader(bytes.NewReader(wire), 0)
	r.SetMaxData(8193)
	require.NoError(t, readOne(r))
}

func TestReader_ready(t *testing.T) {
	wire := batchOf(t, Digests{true, true}, 10)
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	r := NewReader(near, 4096)
	r.SetDigests(Digests{true, true})
	require.False(t, r.Ready())
	go func() {
		_, _ = far.Write(wire)                                // taken whole
		_, _ = far.Write(append(wire, wire[:len(wire)-1]...)) // one and most of another
	}()
	require.NoError(t, readOne(r))
	require.False(t, r.Ready())
	require.NoError(t, readOne(r))
	require.False(t, r.Ready(), "a byte is missing")
	r = NewReader(bytes.NewReader(append(wire, wire...)), 4096)
	r.SetDigests(Digests{true, true})
	require.NoError(t, readOne(r))
	require.True(t, r.Ready())
}

func TestBatch_steadyStateAllocatesNothing(t *testing.T) {
	data := make([]byte, 4096)
	var b Batch
	h := BHS{0: byte(OpDataIn)}
	once := func() {
		b.Append(&h, data[:512])
		b.AppendPinned(&h, data)
		if _, err := b.WriteTo(io.Discard); err != nil {
			t.Fatal(err)
		}
		b.Reset()
	}
	once()
	require.Zero(t, testing.AllocsPerRun(100, once))
}

func TestReader_steadyStateAllocatesNothing(t *testing.T) {
	wire := batchOf(t, Digests{true, true}, 4096, 10)
	src := bytes.NewReader(wire)
	r := NewReader(src, 16<<10)
	r.SetDigests(Digests{true, true})
	var h BHS
	data := make([]byte, 4096)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		src.Reset(wire)
		for range 2 {
			if _, err := r.Next(&h); err != nil {
				t.Fatal(err)
			}
			if err := r.ReadData(data[:h.DataLen()]); err != nil {
				t.Fatal(err)
			}
		}
	}))
}

func TestSerial(t *testing.T) {
	for _, c := range []struct {
		a, b        Serial
		less, equal bool
	}{
		{0, 1, true, false},
		{1, 0, false, false},
		{5, 5, false, true},
		{0xffffffff, 0, true, false},
		{0, 0xffffffff, false, false},
		{0, 0x7fffffff, true, false},
		{0, 0x80000000, false, false}, // in no order
		{0x80000000, 0, false, false},
	} {
		require.Equal(t, c.less, c.a.Less(c.b), "%x < %x", c.a, c.b)
		require.Equal(t, c.less || c.equal, c.a.LessEqual(c.b), "%x <= %x", c.a, c.b)
	}
	require.EqualValues(t, 0, Serial(0xffffffff).Next())
	require.True(t, Serial(1).Within(0xfffffff0, 2))
	require.False(t, Serial(3).Within(0xfffffff0, 2))
	require.False(t, Serial(7).Within(8, 7), "an empty window")
}
