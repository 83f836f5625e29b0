package main

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/tests/bench/compare"
)

func TestReport_printsMedians(t *testing.T) {
	var r report
	r.addRebuild("full", rebuilt{MBs: 80, PlainMBs: 100, CopySeconds: 1, AllSeconds: 3, HeldBytes: 5 << 20})
	r.addRebuild("full", rebuilt{MBs: 90, PlainMBs: 100, CopySeconds: 1, AllSeconds: 3, HeldBytes: 5 << 20})
	r.addRebuild("beside", rebuilt{MBs: 7, Guest: &guestFigures{IOPSAlone: 900, P99Alone: 80, IOPS: 700, P99: 60}})
	var out strings.Builder
	r.printRebuild(&out, "full")
	require.Contains(t, out.String(), "0.85 (0.80–0.90)")
	out.Reset()
	r.printRebuild(&out, "beside")
	require.Contains(t, out.String(), "900, 80 → 700, 60")
	require.NotContains(t, out.String(), "Inf")
}

func TestDuring_prefersRunsThatLieWithin(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	run := func(from, to int, iops float64) guestRun {
		return guestRun{began: at(from), ended: at(to), got: compare.Measured{IOPS: iops, P99: iops}}
	}
	runs := []guestRun{run(0, 10, 1), run(11, 14, 2), run(14, 17, 4), run(17, 30, 8)}
	iops, _, n := during(runs, at(10), at(20))
	require.Equal(t, 3.0, iops)
	require.Equal(t, 2, n)
	iops, _, n = during(runs, at(18), at(20))
	require.Equal(t, 8.0, iops)
	require.Equal(t, 1, n)
	_, _, n = during(runs, at(40), at(50))
	require.Zero(t, n)
}
