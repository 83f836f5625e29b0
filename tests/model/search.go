package model

import (
	"context"

	"github.com/holdfast-storage/holdfast/tests/model/disk"
	"github.com/holdfast-storage/holdfast/tests/model/search"
)

// Options say what a search may use, and Result is what it found.
type (
	Options = search.Options
	Result  = search.Result
)

// Search looks at every state that the protocol reaches within the bounds while the rules are
// broken, breadth first, so that a counterexample is as short as any. It ends early with the
// context's error.
func Search(ctx context.Context, b Bounds, broken Rules, o Options) (Result, error) {
	if err := b.Validate(); err != nil {
		return Result{}, err
	}
	return search.Search(ctx, newMachine(b, broken), o)
}

// Renamed returns the i-th renaming of the legs.
func (m *machine) Renamed(s *state, i int) (state, bool) {
	if i >= len(m.perms) {
		return state{}, false
	}
	return m.perms[i].apply(s), true
}

// Judge returns what a state violates, "" if nothing.
func (m *machine) Judge(s *state) string {
	if s.explained == disk.NoExplanation {
		return "contract"
	}
	if m.broken == 0 {
		return m.invariants(s)
	}
	return ""
}

// observe narrows what explains s by one more thing that the guest saw.
func (m *machine) observe(s *state, what disk.Seen, arg uint8) {
	o := disk.Observation{From: s.explained, What: what, Arg: arg}
	for w := uint8(1); w < s.nextWrite; w++ {
		o.Issued |= 1 << w
	}
	for e := range s.hosts {
		if s.hosts[e].flush {
			o.Flying |= 1 << e
		}
	}
	s.explained = m.contract.Observe(o)
}
