package coordinator

import (
	"maps"
	"slices"
	"time"

	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/raft/control"
	"github.com/holdfast-storage/holdfast/volume"
)

// Space is set aside for new legs in the moment in which it is decided where they go, and until their command is
// applied: then the state says that they are there. So two decisions never take the same space, and none waits for the
// commit of another. A decision and what it sets aside are one step under mu, with a state that is read under mu, too:
// whatever was applied before another's space was given back stands in it.
//
// Nothing of this is told to the next leader: by the time at which it leads it has applied what this one proposed, or
// that is lost.

// doubtMax is how long space stays set aside for a command of which it is not known whether it will still be applied.
const doubtMax = time.Minute

// reserve calls decide with a view of the latest state and sets aside the space of the legs that it returns, bytes for
// each. vol is the volume that is created with them, zero for legs of one that exists: what was set aside for the same
// volume counts as free, since its creation was asked for again. Whoever called proposes the command and then calls
// settle.
func (c *Coordinator) reserve(vol volume.ID, decide func(*control.View) (legs []raft.NewLeg, bytes int64, err error),
) error {
	return c.reserveAll([]volume.ID{vol}, func(v *control.View, set take) error {
		legs, bytes, err := decide(v)
		if err == nil {
			set(vol, legs, bytes)
		}
		return err
	})
}

// take sets the space of legs aside, bytes for each, for what is decided after it too.
type take func(vol volume.ID, legs []raft.NewLeg, bytes int64)

// reserveAll is reserve for several volumes: what decide took counts when it looks for more, and none of it is set
// aside if it fails.
func (c *Coordinator) reserveAll(volumes []volume.ID, decide func(*control.View, take) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	state, _ := c.raft.State()
	v := c.view(state)
	v.Reserved = maps.Clone(c.reserved)
	maps.DeleteFunc(v.Reserved, func(_ volume.LegID, r control.Reservation) bool {
		return !r.Volume.IsZero() && slices.Contains(volumes, r.Volume)
	})
	taken := map[volume.LegID]control.Reservation{}
	err := decide(v, func(vol volume.ID, legs []raft.NewLeg, bytes int64) {
		for _, l := range legs {
			taken[l.ID] = control.Reservation{Volume: vol, Store: l.Store, Bytes: bytes}
		}
		maps.Copy(v.Reserved, taken)
	})
	if err == nil {
		maps.Copy(c.reserved, taken)
	}
	return err
}

// settle gives back what was set aside for legs whose command was applied or refused. With isDoubtful nobody knows
// whether it will be: their space stays set aside for a while.
func (c *Coordinator) settle(legs []raft.NewLeg, isDoubtful bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range legs {
		if _, held := c.reserved[l.ID]; held && isDoubtful {
			c.doubtful[l.ID] = c.opts.Now().Add(doubtMax)
		} else {
			delete(c.reserved, l.ID)
		}
	}
}

// endDoubts gives back what was doubtful for long, what is in the state by now, and what will not be: a volume is
// created once. The caller holds mu.
func (c *Coordinator) endDoubts(state *raft.State, now time.Time) {
	for id, until := range c.doubtful {
		_, l := state.LegByID(id)
		if l != nil || state.Volumes[c.reserved[id].Volume] != nil || now.After(until) {
			delete(c.doubtful, id)
			delete(c.reserved, id)
		}
	}
}

// forgetReserved begins anew, when the leader changes. The caller holds mu.
func (c *Coordinator) forgetReserved() {
	clear(c.reserved)
	clear(c.doubtful)
}
