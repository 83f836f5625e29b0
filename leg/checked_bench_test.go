package leg

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/volume"
)

const benchBytes = 256 << 20

// benchData is data in a directory of the operating system, full of bytes, with checksums and without.
func benchData(b *testing.B) *checkedData {
	fsys := OSFS(b.TempDir())
	require.NoError(b, fsys.CreateData("data", benchBytes))
	require.NoError(b, createSums(fsys, "checksums", testHeader.Leg, benchBytes))
	data, err := fsys.OpenData("data", 512)
	require.NoError(b, err)
	sums, err := fsys.OpenData("checksums", sumBytes)
	require.NoError(b, err)
	d := newCheckedData(data, sums, testHeader.Leg)
	b.Cleanup(func() { require.NoError(b, d.Close()) })
	p := make([]byte, 1<<20)
	for i := range p {
		p[i] = byte(i>>8) | 1
	}
	for off := int64(0); off < benchBytes; off += int64(len(p)) {
		require.NoError(b, d.Write(context.Background(), p, off, 0))
	}
	return d
}

// BenchmarkCheckedData compares requests within the page cache with those to the bare file. Steady state
// allocates nothing.
func BenchmarkCheckedData(b *testing.B) {
	type device interface {
		Read(context.Context, []byte, int64) error
		Write(context.Context, []byte, int64, block.Flags) error
	}
	d := benchData(b)
	witnessed := benchWitness(b)
	for _, size := range []int64{4 << 10, 128 << 10} {
		for _, sums := range []string{"none", "announced", "witnessed"} {
			dev := device(d)
			if d.witness = nil; sums == "none" {
				dev = d.data
			} else if sums == "witnessed" {
				d.witness = witnessed
			}
			p := make([]byte, size)
			for i := range p {
				p[i] = byte(i) | 1
			}
			off := func(i int) int64 { return int64(i) * 2654435761 % (benchBytes / size) * size }
			name := fmt.Sprintf("%dk/sums=%s", size>>10, sums)
			b.Run("write/"+name, func(b *testing.B) {
				b.SetBytes(size)
				b.ReportAllocs()
				for i := range b.N {
					if err := dev.Write(b.Context(), p, off(i), 0); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.Run("read/"+name, func(b *testing.B) {
				require.NoError(b, refill(d, p))
				b.SetBytes(size)
				b.ReportAllocs()
				b.ResetTimer()
				for i := range b.N {
					if err := dev.Read(b.Context(), p, off(i)); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// benchWitness is a witness in memory.
func benchWitness(b *testing.B) *witness {
	dir, err := os.MkdirTemp("/dev/shm", "holdfast-bench")
	if err != nil {
		b.Skip(err)
	}
	b.Cleanup(func() { require.NoError(b, os.RemoveAll(dir)) })
	memory, err := openMemory(filepath.Join(dir, "witness"), witnessWords)
	require.NoError(b, err)
	w := newWitness(memory, volume.NewUUID(), nil)
	b.Cleanup(func() { require.NoError(b, w.close()) })
	return w
}

// refill writes all blocks with their checksums, since the benchmark of the bare file left them without.
func refill(d *checkedData, p []byte) error {
	for off := int64(0); off < benchBytes; off += int64(len(p)) {
		if err := d.Write(context.Background(), p, off, 0); err != nil {
			return err
		}
	}
	return nil
}
