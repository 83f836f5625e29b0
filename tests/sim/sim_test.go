package sim_test

import (
	"crypto/sha256"
	"flag"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/tests/sim"
)

var (
	seed     = flag.Uint64("sim.seed", 1, "first seed")
	runs     = flag.Int("sim.runs", 300, "how many seeds")
	trace    = flag.Bool("sim.trace", false, "print every step")
	rule     = flag.String("sim.rule", "", "break only this rule")
	layout   = flag.String("sim.layout", "", "kind of layout of all runs, mirror or parity; empty = in turn")
	kind     = flag.String("sim.profile", "", "profile of all runs; empty = in turn")
	fromZero = flag.Bool("sim.fromzero", false, "look for each broken rule in all profiles, from the first seed on")
	hunt     = flag.Int("sim.hunt", 2000, "how many seeds a broken rule may take")
)

// broken is what -sim.rule names.
func broken() sim.Broken {
	for _, r := range sim.Rules() {
		if r.Name == *rule {
			return r.Broken
		}
	}
	return sim.Broken{}
}

// TestSeeds runs seeds of the simulation: nothing that it watches goes wrong, whatever the faults.
func TestSeeds(t *testing.T) {
	sweepGC(t)
	steps, checks := 0, 0
	for s := *seed; s < *seed+uint64(*runs); s++ {
		o := sim.Options{Seed: s, Profile: *kind, Layout: *layout, Broken: broken()}
		if *trace {
			o.Trace = os.Stdout
		}
		r := sim.Run(o)
		steps, checks = steps+r.Steps, checks+r.Checks
		if r.Violation != nil {
			o.Lines = true
			t.Errorf("%s: %v", r.Profile, sim.Run(o).Violation)
		}
	}
	t.Logf("%d seeds, %d steps, %d invariants checked", *runs, steps, checks)
	t.Logf("holdfast-summary seeds=%d invariants=%d", *runs, checks)
}

// TestMutation breaks every safety rule in turn: seeds alone have to show each of them. It looks in the profile
// that is known to show the rule soonest, or with -sim.fromzero in all of them from the first seed on.
func TestMutation(t *testing.T) {
	if testing.Short() {
		t.Skip("looks through thousands of seeds")
	}
	sweepGC(t)
	var sum sim.Mutations
	for _, r := range sim.Rules() {
		if *rule != "" && r.Name != *rule {
			continue
		}
		where := sim.Search{Profile: r.Profile, Layout: r.Layout, First: *seed, Runs: *hunt,
			Workers: runtime.GOMAXPROCS(0)}
		if *fromZero || *kind != "" {
			where.Profile = *kind
		}
		if *layout != "" {
			where.Layout = *layout
		}
		if r.Harmless != "" {
			where.Runs = min(*hunt, harmlessRuns)
		}
		f := sim.Hunt(t.Context(), r, where)
		t.Log(f)
		sum.Add(f)
	}
	for _, f := range sum.Wrong {
		t.Errorf("not as it has to be: %s", f)
	}
	t.Log(sum)
}

// harmlessRuns is how many seeds a rule gets of which it is said that no seed shows it.
const harmlessRuns = 100

// TestInvariants_haveAnEvaluation: every invariant of the protocol is evaluated, or it is said where it is.
func TestInvariants_haveAnEvaluation(t *testing.T) {
	for i, v := range sim.Invariants() {
		require.Equal(t, i+1, v.Number)
		require.True(t, (v.Here == "") != (v.Elsewhere == ""), "I%d", v.Number)
		require.True(t, v.Here != "" || v.Tests != nil || strings.Contains(v.Elsewhere, "this version"),
			"I%d names no test", v.Number)
		for _, name := range v.Tests {
			require.True(t, exists(t, name), "I%d names %s, which does not exist", v.Number, name)
		}
	}
	require.False(t, exists(t, "leg.TestNoSuch") || exists(t, "rule#none") || exists(t, "raft/testdata/none.txt"))
	require.Len(t, sim.Invariants(), 35)
}

// exists reports whether a test, a script or a rule is there.
func exists(t *testing.T, name string) bool {
	t.Helper()
	if rule, ok := strings.CutPrefix(name, "rule#"); ok {
		return slices.ContainsFunc(sim.Rules(), func(r sim.Rule) bool { return r.Name == rule })
	}
	if strings.Contains(name, "/testdata/") {
		_, err := os.Stat(filepath.Join("../..", name))
		return err == nil
	}
	pkg, test, _ := strings.Cut(name, ".")
	files, err := filepath.Glob(filepath.Join("../..", pkg, "*_test.go"))
	require.NoError(t, err)
	return slices.ContainsFunc(files, func(file string) bool {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		return strings.Contains(string(text), "\nfunc "+test+"(")
	})
}

// TestRun_isDeterministic: the same seed gives the same run, step by step, or a failure could not be replayed.
func TestRun_isDeterministic(t *testing.T) {
	traced := func(seed uint64) (sim.Result, []byte) {
		h := sha256.New()
		r := sim.Run(sim.Options{Seed: seed, Trace: h})
		return r, h.Sum(nil)
	}
	for s := uint64(1); s <= 2*uint64(len(sim.Profiles())); s++ {
		first, trace := traced(s)
		again, same := traced(s)
		require.Equal(t, first, again, "seed %d", s)
		require.Equal(t, trace, same, "seed %d", s)
	}
}
