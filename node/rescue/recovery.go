package rescue

import (
	"fmt"
	"maps"
	"slices"

	"github.com/holdfast-storage/holdfast/mirror"
	"github.com/holdfast-storage/holdfast/parity"
	"github.com/holdfast-storage/holdfast/volume"
)

// Recovery is what became of the writes of a set of parity that were under way: an engine that took over with the
// same legs would decide the same.
type Recovery struct {
	Forward   []string `json:"forward"`    // writes that are in the journals and count
	TakenBack []string `json:"taken_back"` // not acknowledged, or lost with a cache that the operator accepted
}

// same reports whether two exports decided alike; nil is that of a mirror.
func (r *Recovery) same(o *Recovery) bool {
	if r == nil || o == nil {
		return r == o
	}
	return slices.Equal(r.Forward, o.Forward) && slices.Equal(r.TakenBack, o.TakenBack)
}

// recoverSet decides what becomes of the writes that were under way, with these legs for S' (docs/safety/journal.md,
// "Before an epoch serves"), and takes out of the legs' content what is taken back. What it spares are that section's
// syncs: nothing is served, and nothing is written.
func recoverSet(use []*Evidence, geo parity.Geometry) (*Recovery, error) {
	var votes []mirror.Vote
	pending := map[volume.Transaction]bool{}
	for _, e := range use {
		has := e.leg.Records()
		if has == nil {
			return nil, fmt.Errorf("leg %s in %s has no journal that can be read", e.Leg, e.Dir)
		}
		votes = append(votes, mirror.Vote{Leg: e.Leg, Slot: e.Slot, Has: has})
		for _, r := range has.Records {
			pending[r.Transaction] = true
		}
	}
	back := mirror.TakenBack(geo, votes)
	list := inOrder(back)
	r := &Recovery{Forward: []string{}, TakenBack: names(list)}
	for _, e := range use {
		if err := e.leg.TakeBack(list); err != nil {
			return nil, err
		}
	}
	maps.DeleteFunc(pending, func(t volume.Transaction, _ bool) bool { return back[t] })
	r.Forward = append(r.Forward, names(inOrder(pending))...)
	return r, nil
}

func inOrder(set map[volume.Transaction]bool) []volume.Transaction {
	return slices.SortedFunc(maps.Keys(set), volume.Transaction.Compare)
}

func names(list []volume.Transaction) []string {
	all := []string{}
	for _, t := range list {
		all = append(all, t.String())
	}
	return all
}
