package sim_test

import (
	"flag"
	"os"
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/tests/sim"
	"github.com/holdfast-storage/holdfast/volume"
)

var (
	kill = flag.String("sim.kill", "2+1,flush,schedule=1,event=60,host,legs=0,left=nothing,back=after",
		"the case of TestKills_one")
	outcome = flag.Bool("sim.outcome", false, "TestKills_one counts only what a guest, a scrub or the end shows")
	full    = flag.Bool("sim.full", false, "TestKills_everyMoment takes everything, which takes hours")
	most    = flag.Int("sim.most", 0, "TestKills_everyMoment takes so many cases of each sweep at most; 0 = all")
)

// sweepGC has the collector run less often while thousands of small worlds come and go.
func sweepGC(t *testing.T) {
	t.Helper()
	before := debug.SetGCPercent(1000)
	t.Cleanup(func() { debug.SetGCPercent(before) })
}

// everyMoment are the sweeps of TestKills_everyMoment: the smallest set in both durability classes, and some cases of
// larger ones.
func everyMoment() []sim.Kills {
	if *full {
		return everything()
	}
	return []sim.Kills{
		{Data: 2, Extra: 1, Durability: volume.DurabilityFlush, Schedule: 1, Twice: true},
		{Data: 2, Extra: 1, Durability: volume.DurabilitySync, Schedule: 2},
		{Data: 2, Extra: 2, Durability: volume.DurabilityFlush, Schedule: 2, Shuffled: true, Most: 1000},
		{Data: 3, Extra: 1, Durability: volume.DurabilityFlush, Schedule: 1, Shuffled: true, Most: 1000},
	}
}

// everything are the sweeps of the nightly run.
func everything() []sim.Kills {
	var list []sim.Kills
	for _, set := range [][2]int{{2, 1}, {3, 1}, {2, 2}} {
		for _, class := range []volume.Durability{volume.DurabilityFlush, volume.DurabilitySync} {
			for schedule := uint64(1); schedule <= 2; schedule++ {
				list = append(list, sim.Kills{Data: set[0], Extra: set[1], Durability: class, Schedule: schedule,
					Deep: true, Twice: set == [2]int{2, 1} && schedule == 1, Shuffled: *most > 0, Most: *most})
			}
		}
	}
	return list
}

// TestKills_everyMoment kills the host, and up to m legs or all, after every event of an update: nothing that was
// promised is lost, and every stripe is old or new.
func TestKills_everyMoment(t *testing.T) {
	sweepGC(t)
	var total sim.KillTotals
	for _, s := range everyMoment() {
		s.Workers, s.Broken = runtime.GOMAXPROCS(0), broken()
		r := s.Run(t.Context())
		t.Logf("%d+%d %s, schedule %d: %s", s.Data, s.Extra, s.Durability, s.Schedule, r)
		if r.Violation != nil {
			t.Error(r.Violation)
		}
		total.Add(r)
	}
	t.Logf("holdfast-summary kills=%d kills_of_the_next_host_too=%d invariants=%d", total.Cases, total.Twice,
		total.Checks)
}

// TestKills_brokenRulesAreFound: the kills find the rules of parity that an update, or its recovery, needs. Most show
// by what a guest, a scrub or the end of the run shows alone, the others by a look into the legs. No case that shows
// one goes wrong with the rule in force.
func TestKills_brokenRulesAreFound(t *testing.T) {
	sweepGC(t)
	for _, tc := range []struct {
		rule    string
		outcome bool
	}{
		{"commitLocal", true}, {"anyStaged", true}, {"recNoFlush", true}, {"listQ", true}, {"decodeFlying", true},
		{"mergeLate", true}, {"logHoles", true}, {"freeUnflushed", true}, {"flushEarly/parity", true},
		{"forgetLossy/parity", true}, {"ignoreLossy/parity", true},
		{"loseStaged", false}, {"freeEarly", false}, {"recUndurable", false}, {"recStale", false},
		{"joinRecords", false},
	} {
		t.Run(tc.rule, func(t *testing.T) {
			s := sim.Kills{Data: 2, Extra: 1, Durability: volume.DurabilityFlush, Schedule: 1, Shuffled: true,
				Outcome: tc.outcome, Workers: runtime.GOMAXPROCS(0), Broken: ruleOf(t, tc.rule)}
			r := s.Run(t.Context())
			require.NotNil(t, r.Violation, "not found in %d cases", r.Cases)
			require.NotEqual(t, "I35", r.Violation.Rule, "it does no harm but to hold the set up")
			t.Logf("%d cases: %s: %s: %.160s", r.Cases, r.Violation.Kill, r.Violation.Rule, r.Violation.Message)
			require.Nil(t, sim.RunKill(*r.Violation.Kill, sim.KillOptions{}).Violation)
		})
	}
}

func ruleOf(t *testing.T, name string) sim.Broken {
	t.Helper()
	for _, r := range sim.Rules() {
		if r.Name == name {
			return r.Broken
		}
	}
	t.Fatalf("there is no rule %s", name)
	return sim.Broken{}
}

// TestKills_one runs one case.
func TestKills_one(t *testing.T) {
	k, err := sim.ParseKill(*kill)
	require.NoError(t, err)
	o := sim.KillOptions{Broken: broken(), Outcome: *outcome, Lines: true}
	if *trace {
		o.Trace = os.Stdout
	}
	r := sim.RunKill(k, o)
	t.Logf("%d events of the update, %d of the recovery, %d in all, %d checks", r.Events, r.Recovery, r.Steps, r.Checks)
	if r.Violation != nil {
		t.Error(r.Violation)
	}
	require.Equal(t, r, sim.RunKill(k, sim.KillOptions{Broken: o.Broken, Outcome: o.Outcome, Lines: true}),
		"the same case is the same run")
}

// TestParseKill reads what a case is called.
func TestParseKill(t *testing.T) {
	for _, k := range []sim.Kill{
		{Data: 2, Extra: 1, Durability: volume.DurabilitySync},
		{Data: 3, Extra: 2, Durability: volume.DurabilityFlush, Schedule: 7, Event: 12, Host: true, Sent: true,
			Again: 4, Then: sim.LeaveSome},
		{Data: 2, Extra: 2, Durability: volume.DurabilityFlush, Schedule: 1, Event: 3, Legs: []int{3, 0},
			Left: sim.LeaveHome, Back: sim.BackLate},
	} {
		got, err := sim.ParseKill(k.String())
		require.NoError(t, err)
		require.Equal(t, k, got)
	}
	for _, text := range []string{"", "2+1", "2,flush", "2+1,flush,legs=3", "2+1,flush,legs=x", "2+1,flush,left=it",
		"2+1,flush,back=never", "2+1,flush,then=", "2+1,flush,event=x", "2+1,flush,hosts", "2+1,durable"} {
		_, err := sim.ParseKill(text)
		require.Error(t, err, text)
	}
}
