package chaos

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/block/memdev"
)

// spoiled loses one write in a hundred without a word.
type spoiled struct {
	block.Device
	writes int
	spoil  bool
}

func (d *spoiled) Write(ctx context.Context, p []byte, off int64, f block.Flags) error {
	d.writes++
	if d.spoil && d.writes%100 == 0 {
		return nil
	}
	return d.Device.Write(ctx, p, off, f)
}

// TestWriter_whatItWritesDownIsJudged runs writers on a device that is right, and on one that loses writes.
func TestWriter_whatItWritesDownIsJudged(t *testing.T) {
	for name, spoil := range map[string]bool{"right": false, "loses writes": true} {
		t.Run(name, func(t *testing.T) {
			d := &spoiled{Device: newDevice(t), spoil: spoil}
			dir := t.TempDir()
			for epoch := range uint64(3) {
				w := Writer{Device: d, Dir: dir, Name: "test", Epoch: epoch + 1, Blocks: 8, Workers: 1,
					Pause: time.Microsecond}
				ctx, stop := context.WithTimeout(t.Context(), 300*time.Millisecond)
				require.NoError(t, w.Run(ctx))
				stop()
				require.NoError(t, w.ReadAll(t.Context()))
			}
			h, err := ReadHistory(dir)
			require.NoError(t, err)
			require.Len(t, h, 6)
			require.Greater(t, d.writes, 300)
			v := Judge(h, Circumstances{})
			if spoil {
				require.NotNil(t, v)
			} else if v != nil {
				t.Fatal(v)
			}
		})
	}
}

func TestParseRun_endsWithItsLastWholeLine(t *testing.T) {
	text := []byte(`{"writer":"n4, process 7","epoch":3,"at":5}
{"call":1,"kind":"write","block":2,"value":9,"at":10}
{"call":2,"kind":"read","block":2,"at":11}
{"return":2,"got":[9,9,9,9,9,9,9,9],"at":12}
{"return":1,"error":"gone","at":13}
{"call":3,"kind":"fl`)
	r, err := parseRun(text)
	require.NoError(t, err)
	require.Equal(t, "n4, process 7", r.Writer)
	require.Len(t, r.Ops, 2)
	require.False(t, r.Ops[0].Done)
	require.True(t, r.Ops[1].Done)
	require.Equal(t, uint64(9), r.Ops[1].Got[7])
	for cut := range text {
		_, err := parseRun(text[:cut])
		require.NoError(t, err)
	}
	_, err = parseRun([]byte("{\"writer\":\"x\",\"at\":1}\n{\"return\":1,\"at\":2}\n"))
	require.ErrorContains(t, err, "line 2")
	_, err = parseRun([]byte("{\"call\":1,\"at\":2}\n"))
	require.Error(t, err)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "x"+historySuffix), []byte("{}\n"), 0o600))
	_, err = ReadHistory(dir)
	require.ErrorContains(t, err, "x"+historySuffix)
}

func newDevice(t *testing.T) block.Device {
	t.Helper()
	d, err := memdev.New(memdev.Options{SizeBytes: 1 << 20})
	require.NoError(t, err)
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func TestReadImage_readsWhatAWriterWrote(t *testing.T) {
	image := make([]byte, 1<<20)
	fill(image[OffsetOf(3, 8, 1<<20):][:BlockBytes], 3, 77)
	fill(image[OffsetOf(5, 8, 1<<20):][:BlockBytes], 4, 78) // of another block
	path := filepath.Join(t.TempDir(), "data")
	require.NoError(t, os.WriteFile(path, image, 0o600))
	blocks, err := ReadImage(path, 8)
	require.NoError(t, err)
	require.Len(t, blocks, 8)
	require.Equal(t, Content{}, blocks[0])
	require.Equal(t, read(77, 0, 0).Got, blocks[3])
	require.Equal(t, damaged, blocks[5][0])
	_, err = ReadImage(path+".none", 8)
	require.Error(t, err)
}
