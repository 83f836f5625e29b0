package sim

import (
	"context"
	"fmt"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
)

// Sweep says which seeds to run.
type Sweep struct {
	First   uint64       // seed
	Profile string       // of every run; empty = each seed's turn
	Layout  string       // of every run; empty = each seed's turn
	Runs    int          // how many seeds; zero = until ctx ends
	Workers int          // seeds at a time, each in a goroutine of its own
	Broken  Broken       // safety rules that every run breaks on purpose
	Done    func(Totals) // called after each run, by one goroutine at a time; zero = none
}

// Totals sum up many runs.
type Totals struct {
	Seeds, Down             int
	Steps, Checks, Requests int
	Violations              []*Violation // with the last lines of their traces, as they were found
}

// String is the line that sums a sweep up.
func (t Totals) String() string {
	return fmt.Sprintf("%d seeds, %d steps, %d requests, %d invariants checked, %d volumes ended down as they had to, "+
		"%d violations", t.Seeds, t.Steps, t.Requests, t.Checks, t.Down, len(t.Violations))
}

// Run runs the seeds and returns when all of them were run, or ctx has ended and those that had begun
// are finished. A seed with a violation is run once more, for its trace.
func (s Sweep) Run(ctx context.Context) Totals {
	var (
		total Totals
		mu    sync.Mutex
		next  atomic.Uint64
		wg    sync.WaitGroup
	)
	for range max(1, s.Workers) {
		wg.Go(func() {
			for ctx.Err() == nil {
				n := next.Add(1) - 1
				if s.Runs > 0 && n >= uint64(s.Runs) {
					return
				}
				r := s.one(s.First + n)
				mu.Lock()
				total.add(r)
				if s.Done != nil {
					s.Done(total)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return total
}

// one runs a seed. A panic of what is simulated is a finding of that seed, not the end of all others.
func (s Sweep) one(seed uint64) (r Result) {
	defer func() {
		if p := recover(); p != nil {
			r = Result{Seed: seed, Violation: &Violation{Seed: seed, Profile: s.Profile, Layout: s.Layout,
				Rule:    "panic",
				Message: fmt.Sprint(p), Trace: strings.Split(strings.TrimSpace(string(debug.Stack())), "\n")}}
		}
	}()
	o := Options{Seed: seed, Profile: s.Profile, Layout: s.Layout, Broken: s.Broken}
	r = Run(o)
	if r.Violation != nil {
		o.Lines = true
		r = Run(o)
	}
	return r
}

func (t *Totals) add(r Result) {
	t.Seeds++
	t.Steps += r.Steps
	t.Checks += r.Checks
	t.Requests += r.Requests
	if r.Down {
		t.Down++
	}
	if r.Violation != nil {
		t.Violations = append(t.Violations, r.Violation)
	}
}
