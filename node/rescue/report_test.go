package rescue

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/volume"
)

func TestReport_forgetsWhatWasDecoded(t *testing.T) {
	r := newReport(Choice{Use: []*Evidence{has(0, 3, ids(0))}}, time.Time{})
	from, others := ids(1, 2), ids(1, 3)
	for _, off := range []int64{0, 4096, 12288} {
		r.noteDecoded(off, id(0), from)
	}
	r.noteDecoded(16384, volume.LegID{}, from)
	r.noteDecoded(20480, volume.LegID{}, others)
	require.Equal(t, []Decoding{{0, 8192, id(0), from}, {12288, 4096, id(0), from}, {16384, 4096, volume.LegID{}, from},
		{20480, 4096, volume.LegID{}, others}}, r.Decoded)
	require.Equal(t, int64(20480), r.DecodedBytes())
	r.forgetFrom(4096)
	require.Equal(t, []Decoding{{0, 4096, id(0), from}}, r.Decoded)
}

// The part before an interruption was read with other writes taken back: the rest would not go with it.
func TestReport_continuesWithTheSameDecisions(t *testing.T) {
	report := func(recovery *Recovery) *Report {
		r := newReport(Choice{Use: []*Evidence{has(0, 3, ids(0))}}, time.Time{})
		r.Recovery = recovery
		return r
	}
	decided := func(forward, back string) *Recovery {
		return &Recovery{Forward: []string{forward}, TakenBack: []string{back}}
	}
	require.NoError(t, report(nil).continues(report(nil)))
	old := report(decided("e1.1", "e1.2"))
	require.NoError(t, old.continues(report(decided("e1.1", "e1.2"))))
	require.ErrorIs(t, old.continues(report(decided("e1.1", "e1.3"))), errOtherEvidence)
	require.ErrorIs(t, old.continues(report(decided("e1.3", "e1.2"))), errOtherEvidence)
	require.ErrorIs(t, old.continues(report(nil)), errOtherEvidence)
}
