package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-storage/holdfast/tests/sim"
)

// selftest is what the command's flags say.
type selftest struct {
	seed      uint64
	runs      int
	hours     float64
	trace     bool
	mutations bool
	fromZero  bool
	profile   string
	layout    string
	rule      string
	hunt      int
}

func newSelftest() *cobra.Command {
	var s selftest
	cmd := &cobra.Command{
		Use:   "selftest [--seed N] [--runs N] [--hours H]",
		Short: "Simulate volumes under every kind of fault and check that nothing is lost",
		Long: "Runs the coordinators, legs and engines of this program in a simulated world: a run is one\n" +
			"volume whose nodes lose power, whose disks fail, whose hosts pause and whose network breaks, as\n" +
			"its seed says. Every answer to the guests and every invariant of the safety protocol is checked\n" +
			"on the way. Nothing of this machine is touched. Ctrl-C ends it after the runs that have begun.\n" +
			"Exit code 1: something was found; the same seed finds it again.",
		Example: "  holdfast selftest\n" +
			"  holdfast selftest --seed 5001 --runs 10000\n" +
			"  holdfast selftest --hours 8\n" +
			"  holdfast selftest --seed 42 --runs 1 --trace\n" +
			"  holdfast selftest --mutations",
		Args: args(cobra.NoArgs),
	}
	f := cmd.Flags()
	f.Uint64Var(&s.seed, "seed", 1, "first seed")
	f.IntVar(&s.runs, "runs", 1000, "how many seeds to run")
	f.Float64Var(&s.hours, "hours", 0, "run seeds for so long instead of --runs")
	f.BoolVar(&s.trace, "trace", false, "print every step of each run, one run at a time")
	f.BoolVar(&s.mutations, "mutations", false, "break every safety rule in turn and print which seed shows it")
	f.StringVar(&s.rule, "rule", "", "break this safety rule in every run, or with --mutations this one alone")
	f.StringVar(&s.profile, "profile", "", "give every run this profile instead of one in turn: "+
		strings.Join(sim.Profiles(), ", "))
	f.StringVar(&s.layout, "layout", "", "give every run a volume of this kind of layout instead of one in turn: "+
		strings.Join(sim.Layouts(), ", "))
	f.BoolVar(&s.fromZero, "from-zero", false,
		"with --mutations: look through all profiles in turn, not first where the rule is known to show")
	f.IntVar(&s.hunt, "hunt", 5000, "with --mutations: how many seeds a broken rule may take")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if s.runs < 1 || s.hours < 0 || s.hunt < 1 {
			return usagef("--runs and --hunt must be at least 1, --hours at least 0\nUsage: %s", cmd.UseLine())
		}
		if s.profile != "" && !slices.Contains(sim.Profiles(), s.profile) {
			return usagef("there is no profile %q, only %s\nUsage: %s", s.profile,
				strings.Join(sim.Profiles(), ", "), cmd.UseLine())
		}
		if s.layout != "" && !slices.Contains(sim.Layouts(), s.layout) {
			return usagef("there is no kind of layout %q, only %s\nUsage: %s", s.layout,
				strings.Join(sim.Layouts(), ", "), cmd.UseLine())
		}
		collectSeldom()
		broken, err := s.broken()
		switch {
		case err != nil:
			return usageError{err}
		case s.mutations:
			return s.mutate(cmd.Context(), cmd.OutOrStdout())
		case s.trace:
			return s.traced(cmd.Context(), broken, cmd.OutOrStdout())
		}
		return s.sweep(cmd.Context(), broken, cmd.OutOrStdout(), cmd.ErrOrStderr())
	}
	return cmd
}

// collectSeldom has the garbage collector run less often: the worlds of seeds are small and come and go, and with the
// usual target it takes a third of all time. Somebody's GOGC is left alone.
func collectSeldom() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(selftestGC)
	}
}

// selftestGC is by how many per cent the heap may grow over what is alive: about 60 MB for each core.
const selftestGC = 500

// broken returns what --rule names.
func (s *selftest) broken() (sim.Broken, error) {
	if s.rule == "" {
		return sim.Broken{}, nil
	}
	for _, r := range sim.Rules() {
		if r.Name == s.rule {
			return r.Broken, nil
		}
	}
	return sim.Broken{},
		fmt.Errorf("there is no safety rule %q: `holdfast selftest --mutations` lists them", s.rule)
}

// sweep runs the seeds on all cores.
func (s *selftest) sweep(ctx context.Context, broken sim.Broken, out, progress io.Writer) error {
	sweep := sim.Sweep{First: s.seed, Profile: s.profile, Layout: s.layout, Runs: s.runs,
		Workers: runtime.GOMAXPROCS(0), Broken: broken}
	if s.hours > 0 {
		sweep.Runs = 0
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(s.hours*float64(time.Hour)))
		defer cancel()
	}
	began, told := time.Now(), time.Now()
	shown := 0
	var failed error
	sweep.Done = func(t sim.Totals) {
		for ; shown < min(len(t.Violations), violationsShown); shown++ {
			_, err := fmt.Fprintf(out, "%v\n\n", t.Violations[shown])
			failed = errors.Join(failed, err)
		}
		if time.Since(told) < 5*time.Second {
			return
		}
		told = time.Now()
		_, _ = fmt.Fprintf(progress, "%s: %s\n", time.Since(began).Round(time.Second), t) // only progress
	}
	total := sweep.Run(ctx)
	if failed != nil {
		return failed
	}
	took := time.Since(began)
	_, err := fmt.Fprintf(out, "%s, in %s (%.0f seeds/s)\n", total, took.Round(100*time.Millisecond),
		float64(total.Seeds)/took.Seconds())
	if err == nil && len(total.Violations) > 0 {
		err = exitError{exitFailed}
	}
	return err
}

// violationsShown is how many are printed whole, each as it is found.
const violationsShown = 5

// traced runs the seeds one after the other with every step.
func (s *selftest) traced(ctx context.Context, broken sim.Broken, out io.Writer) error {
	for n := range s.runs {
		if err := ctx.Err(); err != nil {
			return err
		}
		r := sim.Run(sim.Options{Seed: s.seed + uint64(n), Profile: s.profile, Layout: s.layout, Broken: broken,
			Trace: out})
		if r.Violation != nil {
			return r.Violation
		}
		if _, err := fmt.Fprintf(out, "seed %d (%s, %s): %d steps, %d invariants checked, no violation\n",
			r.Seed, r.Profile, r.Layout,
			r.Steps, r.Checks); err != nil {
			return err
		}
	}
	return nil
}

// mutate prints the table of mutations.
func (s *selftest) mutate(ctx context.Context, out io.Writer) error {
	var sum sim.Mutations
	for _, r := range sim.Rules() {
		if s.rule != "" && r.Name != s.rule {
			continue
		}
		where := sim.Search{Profile: r.Profile, Layout: r.Layout, First: s.seed, Runs: s.hunt,
			Workers: runtime.GOMAXPROCS(0)}
		if s.fromZero || s.profile != "" {
			where.Profile = s.profile
		}
		if s.layout != "" {
			where.Layout = s.layout
		}
		if r.Harmless != "" {
			where.Runs = min(s.hunt, harmlessRuns)
		}
		f := sim.Hunt(ctx, r, where)
		if err := ctx.Err(); err != nil {
			return err
		}
		sum.Add(f)
		if _, err := fmt.Fprintln(out, f); err != nil {
			return err
		}
	}
	if _, err := fmt.Fprintln(out, sum); err != nil {
		return err
	}
	if len(sum.Wrong) > 0 {
		return fmt.Errorf("%d broken rules made no difference that was seen, or one that they cannot make",
			len(sum.Wrong))
	}
	return nil
}

// harmlessRuns is how many seeds a rule gets of which it is said that no seed shows it.
const harmlessRuns = 100
