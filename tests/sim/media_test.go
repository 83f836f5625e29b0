package sim_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/tests/sim"
)

// TestMedia_allOfItHappens: the disks of sets of parity do what they can do to a journal, and each outcome is met.
func TestMedia_allOfItHappens(t *testing.T) {
	sweepGC(t)
	var all sim.Media
	down, seeds := 0, 0
	for _, profile := range []string{"rotting", "lying"} {
		for s := uint64(1); s <= 40; s++ {
			r := sim.Run(sim.Options{Seed: s, Profile: profile, Layout: sim.ParityOnly})
			require.NoError(t, violation(r), "seed %d of %s", s, profile)
			all.Rots += r.Media.Rots
			all.FailedStart += r.Media.FailedStart
			all.FailedCommit += r.Media.FailedCommit
			all.FailedRead += r.Media.FailedRead
			all.Told += r.Media.Told
			all.Open += r.Media.Open
			all.Back += r.Media.Back
			all.Closed += r.Media.Closed
			all.Lies += r.Media.Lies
			all.Silent += r.Media.Silent
			all.Reported += r.Media.Reported
			seeds++
			if r.Down {
				down++
			}
		}
		t.Logf("after %s: %+v, %d of %d down", profile, all, down, seeds)
	}
	for s := uint64(41); all.Back == 0 && s <= 400; s++ { // it shows seldom
		r := sim.Run(sim.Options{Seed: s, Profile: "lying", Layout: sim.ParityOnly})
		require.NoError(t, violation(r), "seed %d of lying", s)
		all.Back += r.Media.Back
	}
	require.Positive(t, all.FailedStart)
	require.Greater(t, all.Told, 2*all.Open) // nearly all that rots behind the cut is noticed
	require.Positive(t, all.Open)
	require.Positive(t, all.Back)
	require.Positive(t, all.Closed)
	require.Positive(t, all.FailedCommit)
	require.Positive(t, all.FailedRead)
	require.Positive(t, all.Lies)
	require.Positive(t, all.Silent)
	require.Positive(t, all.Reported)
	require.Less(t, down, seeds/4)
}

func violation(r sim.Result) error {
	if r.Violation == nil {
		return nil
	}
	return r.Violation
}
