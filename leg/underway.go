package leg

import (
	"context"
	"slices"
	"sync"

	"github.com/holdfast-storage/holdfast/block"
)

// underway is the ranges of a leg that somebody is changing, or looks at while nobody may change
// them. Data and checksums of a block lie in two files: two writes of one block that crossed each other
// could leave the data of one and the checksum of the other. An engine never has two of them in
// flight, but nothing else may rely on that.
//
// It is a table and no set of striped locks, for three reasons: its mutex is held for a look at the
// table and never across I/O; requests that do not overlap never wait for each other, whatever their
// length; and who has to wait can give up when its context ends. With the tens of requests that a
// leg has in flight the look is a scan of a few cache lines, and it allocates nothing.
//
// The zero value is ready.
//
// Invariant: of two entries that overlap and are not both shared, only the earlier one is inside.
type underway struct {
	mu      sync.Mutex
	last    stayID
	entries []stay // inside or waiting, in the order of arrival, which is the order of entry
}

// stayID names one stay in the table; never zero.
type stayID uint64

type stay struct {
	id     stayID
	r      block.Range
	shared bool
	over   chan struct{} // made by the first who waits for its end, and closed then
}

// enter waits until nobody else is inside that the range conflicts with; leave must follow. Entries that
// overlap go in by the order of arrival, so nobody waits for ever. The error is ctx's; then nothing
// was entered.
func (u *underway) enter(ctx context.Context, r block.Range, shared bool) (stayID, error) {
	u.mu.Lock()
	u.last++
	id := u.last
	u.entries = append(u.entries, stay{id: id, r: r, shared: shared})
	for {
		before := u.inTheWay(id, r, shared)
		if before == nil {
			u.mu.Unlock()
			return id, nil
		}
		if before.over == nil {
			before.over = make(chan struct{})
		}
		over := before.over
		u.mu.Unlock()
		select {
		case <-over:
		case <-ctx.Done():
			u.leave(id)
			return 0, ctx.Err()
		}
		u.mu.Lock()
	}
}

// inTheWay returns an entry that came before id and conflicts with its range, nil if there is none.
func (u *underway) inTheWay(id stayID, r block.Range, shared bool) *stay {
	for i := range u.entries {
		other := &u.entries[i]
		if other.id == id {
			return nil
		}
		if other.r.Overlaps(r) && !(other.shared && shared) {
			return other
		}
	}
	return nil
}

// leave ends a stay and wakes who waits for it.
func (u *underway) leave(id stayID) {
	u.mu.Lock()
	defer u.mu.Unlock()
	i := slices.IndexFunc(u.entries, func(s stay) bool { return s.id == id })
	if over := u.entries[i].over; over != nil {
		close(over)
	}
	u.entries = slices.Delete(u.entries, i, i+1)
}
