package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/block/memdev"
)

func TestRecord_isThatRecordOrNone(t *testing.T) {
	b := make([]byte, RecordBytes)
	putRecord(b, 7, 3)
	epoch, err := checkRecord(b, 7)
	require.NoError(t, err)
	require.Equal(t, uint64(3), epoch)
	_, err = checkRecord(b, 8)
	require.ErrorIs(t, err, errNoRecord)
	for _, at := range []int{0, seqAt, epochAt, crcAt, fillAt, RecordBytes - 1} {
		torn := bytes.Clone(b)
		torn[at] ^= 1
		_, err := checkRecord(torn, 7)
		require.ErrorIsf(t, err, errNoRecord, "byte %d", at)
	}
}

// stopAt ends the guest's context when it has written that many bytes.
type stopAt struct {
	block.Device
	cancel context.CancelFunc
	left   int
}

func (s *stopAt) Write(ctx context.Context, p []byte, off int64, f block.Flags) error {
	if s.left--; s.left < 0 {
		s.cancel()
		return ctx.Err()
	}
	return s.Device.Write(ctx, p, off, f)
}

func TestGuest_goesOnBehindTheLastRecord(t *testing.T) {
	d, err := memdev.New(memdev.Options{SizeBytes: 1 << 20})
	require.NoError(t, err)
	var log bytes.Buffer
	run := func(epoch uint64, writes int) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		g := Guest{Device: &stopAt{d, cancel, writes}, Epoch: epoch, Log: &log, Batch: 4, Pause: time.Microsecond}
		_ = g.Run(ctx) // ends with the context's error: the last write was cut off
	}
	run(1, 10)
	run(2, 6)
	var lines []LogLine
	for _, text := range strings.Split(strings.TrimSpace(log.String()), "\n") {
		var l LogLine
		require.NoError(t, json.Unmarshal([]byte(text), &l))
		l.At = time.Time{}
		lines = append(lines, l)
	}
	require.Equal(t, []LogLine{
		{Event: "start", Epoch: 1, Next: 0},
		{Event: "flushed", Epoch: 1, Next: 4}, {Event: "flushed", Epoch: 1, Next: 8},
		{Event: "start", Epoch: 2, Next: 10}, {Event: "flushed", Epoch: 2, Next: 14},
	}, lines)
	next, err := FirstMissing(t.Context(), d)
	require.NoError(t, err)
	require.Equal(t, uint64(16), next)
}

func TestOneWriter(t *testing.T) {
	lines := []LogLine{
		{Event: "start", Epoch: 1, Next: 0}, {Event: "flushed", Epoch: 1, Next: 4},
		{Event: "start", Epoch: 2, Next: 5},                                      // wrote nothing
		{Event: "start", Epoch: 4, Next: 5}, {Event: "start", Epoch: 4, Next: 7}, // of one grant, twice
	}
	require.NoError(t, OneWriter(nil, lines))
	require.NoError(t, OneWriter([]Stretch{{1, 0, 5}, {4, 5, 9}}, lines))
	for name, all := range map[string][]Stretch{
		"an old guest's record within the new one's":  {{1, 0, 5}, {4, 5, 7}, {1, 7, 8}, {4, 8, 9}},
		"an old guest's record behind the new one's":  {{1, 0, 5}, {4, 5, 9}, {2, 9, 10}},
		"an old guest wrote below what the new found": {{1, 0, 6}, {4, 6, 9}},
		"a guest that said nothing":                   {{1, 0, 5}, {3, 5, 9}},
	} {
		require.Error(t, OneWriter(all, lines), name)
	}
}

func TestWritten_tellsWhoWroteWhat(t *testing.T) {
	d, err := memdev.New(memdev.Options{SizeBytes: 2 << 20})
	require.NoError(t, err)
	b := make([]byte, RecordBytes)
	for seq := range uint64(512) {
		if seq == 400 {
			continue // what lies behind a gap is not counted
		}
		putRecord(b, seq, 1+seq/300)
		require.NoError(t, d.Write(t.Context(), b, int64(seq)*RecordBytes, 0))
	}
	all, err := Written(t.Context(), d)
	require.NoError(t, err)
	require.Equal(t, []Stretch{{1, 0, 300}, {2, 300, 400}}, all)
	putRecord(b, 400, 2)
	require.NoError(t, d.Write(t.Context(), b, 400*RecordBytes, 0))
	next, err := FirstMissing(t.Context(), d)
	require.NoError(t, err)
	require.Equal(t, uint64(512), next) // a full device
}
