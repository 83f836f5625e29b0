package raft

import (
	"slices"
	"time"

	"github.com/holdfast-storage/holdfast/volume"
)

// TRead is the default of T_read: how long a host may go on serving reads without a word from every
// leg it writes to (protocol §1.6; protocol-flush F).
const TRead = 2 * time.Second

// WaitClock measures, on the leader's own monotonic clock, the wait of Activate when some leg that a
// superseded host may still read is not fenced: 1.25·T_read from the commit, as this leader saw it, of the first
// RecordFence of a leg that such a host needs (protocol-flush D.7): of a member of the in-sync list, or, where that
// list is not known for sure, of the last leg that is awaited. The factor covers clocks that differ by 10 % each way.
// T_read is that of the host which may read, or this leader's own if that is longer: an engine keeps to the one that
// it began with, whatever the coordinators were told since.
//
// A new leader makes a new WaitClock and so waits anew: it cannot know when the first one was.
// A WaitClock belongs to one goroutine or is locked by its user.
type WaitClock struct {
	wait    time.Duration
	started map[volume.ID]waitStart
}

type waitStart struct {
	epoch volume.Epoch
	legs  []volume.LegID // all that the volume had then
	at    time.Time
	wait  time.Duration
}

// of reports whether the clock that was started is that of a volume as it is: the same epoch still waits, and no leg
// was found since, which may be the only one that an older host needs, even if it is fenced by now.
func (w waitStart) of(v *Volume) bool {
	return v != nil && v.Epoch == w.epoch && v.Phase == volume.PhaseAttaching && v.starved() &&
		slices.Equal(v.legIDs(), w.legs)
}

// NewWaitClock returns a clock for this T_read; zero means the default.
func NewWaitClock(tRead time.Duration) *WaitClock {
	if tRead == 0 {
		tRead = TRead
	}
	return &WaitClock{wait: tRead + tRead/4, started: make(map[volume.ID]waitStart)}
}

// Observe looks at a committed state at now. It is to be called by the leader for each new revision
// (and at once when it became leader): the clock of a volume starts with the first state that it is shown in
// which the current epoch has fenced what an older host needs. It starts anew when a leg of the volume was found
// since. To be called late, or not for each revision, only makes the wait longer.
func (w *WaitClock) Observe(s *State, now time.Time) {
	for id, start := range w.started {
		if !start.of(s.Volumes[id]) {
			delete(w.started, id)
		}
	}
	for id, v := range s.Volumes {
		if _, ok := w.started[id]; ok || v.Phase != volume.PhaseAttaching {
			continue
		}
		if v.starved() {
			w.started[id] = waitStart{epoch: v.Epoch, legs: v.legIDs(), at: now,
				wait: max(w.wait, v.ReadFor+v.ReadFor/4)}
		}
	}
}

// starved reports whether a leg is fenced whose confirmations every older host needs to serve reads. That is
// any member of the in-sync list; where the list is not known for sure, all legs that are awaited have to be
// fenced, so that one of them is a member.
func (v *Volume) starved() bool {
	if v.VerifyAll {
		return len(v.awaitedAll()) == 0
	}
	return slices.ContainsFunc(v.InSync, v.fenced)
}

// legIDs returns all legs of the volume.
func (v *Volume) legIDs() []volume.LegID {
	ids := make([]volume.LegID, len(v.Legs))
	for i, l := range v.Legs {
		ids[i] = l.ID
	}
	return ids
}

// Left returns how much of the wait is left for an epoch, zero when it is over: then Activate may
// say Waited. An epoch whose clock has not started has all of it left: what is returned for it is the wait of
// this leader's own T_read, the least that it will be.
func (w *WaitClock) Left(id volume.ID, e volume.Epoch, now time.Time) time.Duration {
	start, ok := w.started[id]
	if !ok || start.epoch != e {
		return w.wait
	}
	return max(0, start.wait-now.Sub(start.at))
}
