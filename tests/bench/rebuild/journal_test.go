package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const journal = `time=2026-11-28T22:27:01.000Z level=INFO msg="engine state" volume=v epoch=3 state=serving reason=""
time=2026-11-28T22:27:02.500Z msg="leg state" epoch=3 leg=a from=marking to=copying cause="96 KiB are compared"
time=2026-11-28T22:27:02.700Z msg="leg state" epoch=3 leg=b from=in_sync to=suspect cause="it said \"no\""
time=2026-11-28T22:27:03.000Z msg="leg state" epoch=3 leg=a from=copying to=stamping cause="its copy set is copied"
time=2026-11-28T22:27:03.100Z msg="leg state" epoch=3 leg=a from=announced to=in_sync cause=committed
time=2026-11-28T22:27:04.100Z level=INFO msg="leg state" vol`

func TestParseJournal(t *testing.T) {
	all := parseJournal(journal)
	require.Len(t, all, 4)
	require.Equal(t, change{at: time.Date(2026, 11, 28, 22, 27, 2, 700e6, time.UTC), leg: "b", from: "in_sync",
		to: "suspect", cause: `it said "no"`}, all[1])
}

func TestHowJoined(t *testing.T) {
	all := parseJournal(journal)
	j, err := howJoined(append(all[:1:1], all[2:]...), 1<<20)
	require.NoError(t, err)
	require.Equal(t, 500*time.Millisecond, j.copied.Sub(j.copying))
	require.Equal(t, 100*time.Millisecond, j.inSync.Sub(j.copied))
	require.EqualValues(t, 96<<10, j.bytes)

	all[0].cause = "it is compared in full"
	j, err = howJoined(append(all[:1:1], all[2:]...), 1<<20)
	require.NoError(t, err)
	require.EqualValues(t, 1<<20, j.bytes)

	_, err = howJoined(all[:1], 1<<20)
	require.Error(t, err)
	_, err = howJoined(nil, 1<<20)
	require.Error(t, err)
}
