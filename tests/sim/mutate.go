package sim

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
)

// Search says where to look for a seed that shows a broken rule.
type Search struct {
	Profile string // of every run; empty = each seed's turn
	Layout  string // of every run; empty = each seed's turn
	First   uint64 // seed
	Runs    int    // how many seeds at most
	Workers int    // seeds at a time, each in a goroutine of its own; zero = one
}

// Finding is what the simulation made of one broken rule.
type Finding struct {
	Rule    Rule
	Profile string     // of the run that showed it
	Seeds   int        // how many were run, up to the one that showed it
	Unclean int        // how many of them went wrong with every rule in force, too, or with fewer broken
	Found   *Violation // nil: none of them showed it
}

// wellAgain is the promise that a volume is well again after all faults ended. A run with a broken rule that
// only hangs shows nothing of the rule's own harm, but for a rule of which it is said why it does that.
const wellAgain = "I35"

// Hunt runs seeds with one rule broken until one of them shows it, or all were run. What goes wrong with
// every rule in force as well, or with fewer of several broken, shows nothing of this one, and does not
// count. The finding does not
// depend on the number of workers. It ends early, with what it has, when ctx does.
func Hunt(ctx context.Context, r Rule, s Search) Finding {
	h := hunt{rule: r, search: s}
	h.best.Store(uint64(s.Runs))
	var wg sync.WaitGroup
	for range max(1, s.Workers) {
		wg.Go(func() { h.work(ctx) })
	}
	wg.Wait()
	f := Finding{Rule: r, Profile: h.profile, Seeds: int(h.best.Load()), Found: h.found}
	if f.Found != nil {
		f.Seeds++
	}
	for _, n := range h.unclean {
		if n < f.Seeds {
			f.Unclean++
		}
	}
	return f
}

// hunt is one search under way.
type hunt struct {
	rule   Rule
	search Search
	next   atomic.Uint64
	best   atomic.Uint64 // the lowest number of a run that showed it; nothing behind it is looked at

	mu      sync.Mutex
	found   *Violation // of best
	profile string
	unclean []int
}

func (h *hunt) work(ctx context.Context) {
	for ctx.Err() == nil {
		n := h.next.Add(1) - 1
		if n >= h.best.Load() {
			return
		}
		o := Options{Seed: h.search.First + n, Profile: h.search.Profile, Layout: h.search.Layout}
		broken := o
		broken.Broken = h.rule.Broken
		r := Run(broken)
		if r.Violation == nil || r.Violation.Rule == wellAgain && h.rule.Hangs == "" {
			continue
		}
		clean := Run(o).Violation == nil
		for _, fewer := range h.rule.Fewer {
			o.Broken = fewer
			clean = clean && Run(o).Violation == nil
		}
		h.mu.Lock()
		if !clean {
			h.unclean = append(h.unclean, int(n))
		} else if n < h.best.Load() {
			h.best.Store(n)
			h.found, h.profile = r.Violation, r.Profile
		}
		h.mu.Unlock()
	}
}

// Missed reports whether a rule that is to be found was not.
func (f Finding) Missed() bool { return f.Found == nil && f.Rule.Harmless == "" }

// Contradicts reports whether a run showed a rule of which it is said that nothing can.
func (f Finding) Contradicts() bool { return f.Found != nil && f.Rule.Harmless != "" }

// String is one line of the table of mutations.
func (f Finding) String() string {
	name := fmt.Sprintf("%-11s %-24s", f.Rule.Part, f.Rule.Name)
	switch {
	case f.Found != nil:
		what, _, _ := strings.Cut(f.Found.Message, "\n")
		return fmt.Sprintf("%s %5d seeds  seed %d of %s, %s: %s", name, f.Seeds, f.Found.Seed, f.Profile,
			f.Found.Rule, what)
	case f.Rule.Harmless != "":
		return fmt.Sprintf("%s harmless alone: %s", name, f.Rule.Harmless)
	}
	return fmt.Sprintf("%s NOT FOUND in %d seeds", name, f.Seeds)
}

// Mutations sum up the hunts of all rules.
type Mutations struct {
	Found, Rules int // of the rules that are to be found
	Harmless     int
	Wrong        []Finding // missed, or found although that is said to be impossible
}

// Add counts a finding.
func (m *Mutations) Add(f Finding) {
	switch {
	case f.Missed() || f.Contradicts():
		m.Wrong = append(m.Wrong, f)
	case f.Found != nil:
		m.Found++
	}
	if f.Rule.Harmless != "" {
		m.Harmless++
		return
	}
	m.Rules++
}

// String is the line that a summary of the whole test run adds up.
func (m Mutations) String() string {
	return fmt.Sprintf("holdfast-summary mutations_found=%d mutations=%d mutations_harmless_alone=%d", m.Found,
		m.Rules, m.Harmless)
}
