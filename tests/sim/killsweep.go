package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/holdfast-storage/holdfast/volume"
)

// Kills says which cases to run: all of those of a set and an update within bounds.
type Kills struct {
	Data, Extra int
	Durability  volume.Durability
	Schedule    uint64
	Deep        bool   // everything that a hit may leave, with every return of the legs, with and without what was sent
	Twice       bool   // the host that takes over is killed, too, after each event (see with)
	Broken      Broken // safety rules that every run breaks on purpose
	Outcome     bool   // as in KillOptions
	Shuffled    bool   // in an order in which a violation comes soon, if many cases show it; it is always the same
	Most        int    // how many first kills at most, with a few of the second ones of each; zero = all
	Workers     int    // cases at a time, each in a goroutine of its own; zero = one
}

// KillTotals sum up the cases of one or several sweeps.
type KillTotals struct {
	Cases, Twice  int // runs with a kill, and those of them with a second one
	Events        int // of the update, each of which was a moment for a kill
	Steps, Checks int
	Violation     *Violation // of the first case that went wrong, in the order of the cases
}

// String is the line that sums cases up.
func (t KillTotals) String() string {
	return fmt.Sprintf("%d events of updates, %d kills, %d of them with one of the host that recovers, %d steps, "+
		"%d invariants checked", t.Events, t.Cases, t.Twice, t.Steps, t.Checks)
}

// Add adds what another sweep found; the first violation stays.
func (t *KillTotals) Add(o KillTotals) {
	t.Cases, t.Twice, t.Events = t.Cases+o.Cases, t.Twice+o.Twice, t.Events+o.Events
	t.Steps, t.Checks = t.Steps+o.Steps, t.Checks+o.Checks
	if t.Violation == nil {
		t.Violation = o.Violation
	}
}

// Run runs the cases until all were run, one goes wrong, or ctx ends. The violation does not depend on the number of
// workers.
func (s Kills) Run(ctx context.Context) KillTotals {
	var total KillTotals
	k := Kill{Data: s.Data, Extra: s.Extra, Durability: s.Durability, Schedule: s.Schedule, Event: endless}
	whole := s.one(k)
	total.add(whole, false)
	total.Cases, total.Events = 0, whole.Events
	if whole.Violation != nil {
		return total
	}
	list := s.cases(whole.Events)
	if s.Shuffled {
		rng := rand.New(rand.NewPCG(uint64(len(list)), 0x6b696c6c))
		rng.Shuffle(len(list), func(a, b int) { list[a], list[b] = list[b], list[a] })
	}
	if s.Most > 0 {
		list = list[:min(s.Most, len(list))]
	}
	var (
		mu   sync.Mutex
		next atomic.Int64
		best atomic.Int64 // the first case that went wrong; nothing behind it is looked at
		wg   sync.WaitGroup
	)
	best.Store(int64(len(list)))
	for range max(1, s.Workers) {
		wg.Go(func() {
			for ctx.Err() == nil {
				n := next.Add(1) - 1
				if n >= best.Load() {
					return
				}
				t := s.with(ctx, list[n])
				mu.Lock()
				if t.Violation != nil && n < best.Load() {
					best.Store(n)
					total.Violation = nil
				}
				total.Add(t)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return total
}

// fewAgain is how many second kills of a first one are a few.
const fewAgain = 10

// with runs a case, and, where the host died alone and what it had sent was lost, those in which the host that takes
// over is killed as well, after each event of its recovery. When deep, that goes on until all legs are in sync, also
// with the power of all legs; and where a leg that lost its cache is back at once, the recovering host is killed, too.
func (s Kills) with(ctx context.Context, k Kill) KillTotals {
	var t KillTotals
	first := s.one(k)
	t.add(first, false)
	alone, thens, last := len(k.Legs) == 0, []Leaving{""}, first.Recovery
	switch {
	case !s.Twice || !k.Host || k.Sent:
		return t
	case s.Deep && alone:
		thens, last = append(thens, LeaveNothing, LeaveFirst, LeaveRest, LeaveSome), first.Return
	case !alone && !(s.Deep && !k.whole() && k.Left == LeaveNothing && k.Back == BackAtOnce):
		return t
	}
	stride := 1
	if s.Most > 0 {
		stride += last / fewAgain
	}
	for k.Again = 1; k.Again < last; k.Again += stride {
		for _, k.Then = range thens {
			if t.Violation != nil || ctx.Err() != nil {
				return t
			}
			t.add(s.one(k), true)
		}
	}
	return t
}

func (t *KillTotals) add(r KillResult, twice bool) {
	t.Cases++
	if twice {
		t.Twice++
	}
	t.Steps, t.Checks = t.Steps+r.Steps, t.Checks+r.Checks
	if r.Violation != nil && t.Violation == nil {
		t.Violation = r.Violation
	}
}

// one runs a case. A panic of what is simulated is a finding.
func (s Kills) one(k Kill) (r KillResult) {
	defer func() {
		if p := recover(); p != nil {
			r.Violation = &Violation{Rule: "panic", Message: fmt.Sprint(p), Kill: &k,
				Trace: strings.Split(strings.TrimSpace(string(debug.Stack())), "\n")}
		}
	}()
	o := KillOptions{Broken: s.Broken, Outcome: s.Outcome}
	r = RunKill(k, o)
	if r.Violation != nil {
		o.Lines = true
		r = RunKill(k, o)
	}
	return r
}

// outcome is what a hit leaves, and when its leg is back.
type outcome struct {
	left Leaving
	back Return
}

// cases are all kills of an update of so many events.
func (s Kills) cases(events int) []Kill {
	var list []Kill
	base := Kill{Data: s.Data, Extra: s.Extra, Durability: s.Durability, Schedule: s.Schedule}
	subsets := subsetsOf(s.Data+s.Extra, s.Extra)
	for base.Event = 0; base.Event <= events; base.Event++ {
		for _, sent := range []bool{false, true} {
			k := base
			k.Host, k.Sent = true, sent
			list = append(list, k)
			if sent && !s.Deep {
				continue
			}
			for _, legs := range subsets {
				list = append(list, k.with(legs, s.outcomes())...)
			}
			list = append(list, s.all(k)...)
		}
		for _, legs := range subsets {
			list = append(list, base.with(legs, s.outcomes())...)
		}
	}
	return list
}

// with is the kill with these legs, for each outcome.
func (k Kill) with(legs []int, outcomes []outcome) []Kill {
	var list []Kill
	for _, o := range outcomes {
		k.Legs, k.Left, k.Back = legs, o.left, o.back
		list = append(list, k)
	}
	return list
}

// outcomes are those of legs without which the set can be served.
func (s Kills) outcomes() []outcome {
	if !s.Deep {
		return []outcome{{LeaveNothing, BackAtOnce}, {LeaveAll, BackAtOnce}, {LeaveSome, BackAtOnce},
			{LeaveCache, BackAtOnce}, {LeaveNothing, BackAfter}, {LeaveNothing, BackLate}}
	}
	var list []outcome
	for _, left := range []Leaving{LeaveNothing, LeaveAll, LeaveSome, LeaveJournal, LeaveHome, LeaveCache} {
		for _, back := range []Return{BackAtOnce, BackAfter, BackLate} {
			list = append(list, outcome{left, back})
		}
	}
	return list
}

// all is the kill with all legs: nothing is served before they are back.
func (s Kills) all(k Kill) []Kill {
	legs := make([]int, s.Data+s.Extra)
	for i := range legs {
		legs[i] = i
	}
	outcomes := []outcome{{LeaveNothing, BackAtOnce}, {LeaveSome, BackAtOnce}, {LeaveJournal, BackAtOnce},
		{LeaveHome, BackAtOnce}}
	if s.Deep {
		outcomes = append(outcomes, outcome{LeaveAll, BackAtOnce}, outcome{LeaveCache, BackAtOnce})
	}
	list := k.with(legs, outcomes)
	for range legs { // each in turn is the one that has more, or less, than the others
		legs = append(slices.Clone(legs[1:]), legs[0])
		list = append(list, k.with(legs, []outcome{{LeaveFirst, BackAtOnce}, {LeaveRest, BackAtOnce}})...)
	}
	return list
}

// subsetsOf returns the subsets of the numbers below n that have one to most members.
func subsetsOf(n, most int) [][]int {
	var list [][]int
	for mask := 1; mask < 1<<n; mask++ {
		var set []int
		for i := range n {
			if mask&(1<<i) != 0 {
				set = append(set, i)
			}
		}
		if len(set) <= most {
			list = append(list, set)
		}
	}
	return list
}
