package sim

import (
	"time"

	"github.com/holdfast-storage/holdfast/mirror"
	"github.com/holdfast-storage/holdfast/volume"
)

// A strike is a fault that comes when something is on its way: a leg has just changed its state, so a
// command is out, a copy begins, or an answer is awaited. Faults at random times hit such moments seldom,
// and it is there that a protocol has its seams. The profile says how often.

// moved lets a strike follow a change of a leg's state now and then.
func (w *world) moved(h *host, s *slot, to mirror.LegState) {
	if w.profile.partings && !w.calm {
		w.parting(h, s, to)
	}
	if w.profile.doubts && !w.calm && to == mirror.LegRemoving && w.chance(2) {
		w.doubt(h, s.node)
	}
	if w.profile.strikes == 0 || w.calm || to == mirror.LegOutside || !w.chance(w.profile.strikes) {
		return
	}
	n := s.node
	if w.chance(3) {
		n = w.someNode()
	}
	soon := []time.Duration{2 * time.Millisecond, 40 * time.Millisecond, 800 * time.Millisecond}[w.rng.IntN(3)]
	// A leg that is being added is rather hit itself: then it is suspect, and a rival finds it so.
	rival := w.profile.rivals && w.chance(4) == (to == mirror.LegAdding)
	w.later(w.pick(soon), func() {
		if rival {
			w.rival(h, n)
			return
		}
		w.strike(h, n)
	})
}

// parting catches a leg while the coordinators and the engine may disagree on whether it is in sync. One that is
// being added fails for a moment; one that is suspect, or being removed, is soon all that the engine is left with.
func (w *world) parting(h *host, s *slot, to mirror.LegState) {
	n := s.node
	switch {
	case to == mirror.LegAdding && w.chance(2):
		w.later(w.pick(40*time.Millisecond), func() { w.breakSessionTo(h, n) })
	case (to == mirror.LegSuspect || to == mirror.LegRemoving) && w.chance(2):
		w.later(w.pick(300*time.Millisecond), func() { w.rival(h, n) })
	}
}

// doubt brings a leg back whose removal has been asked for, while the engine loses sight of the others, of which one
// loses its cache, and comes back before the last.
func (w *world) doubt(h *host, n *node) {
	var others []*node
	for _, o := range w.legNodes() {
		if o != n {
			others = append(others, o)
		}
	}
	w.rng.Shuffle(len(others), func(i, j int) { others[i], others[j] = others[j], others[i] })
	for _, o := range others {
		w.cut(h, o, true, true)
		w.breakSessionTo(h, o)
	}
	w.heal(h, n)
	n.start()
	wait := time.Second + w.pick(4*time.Second)
	for i, o := range others {
		if i == 0 {
			o.powerCut()
			w.after(w.pick(time.Second), o.start)
		}
		w.after(wait, func() { w.heal(h, o) })
		wait += w.pick(6 * time.Second)
	}
}

// strike is one fault at a node, or at the engine.
func (w *world) strike(h *host, n *node) {
	switch w.rng.IntN(10) {
	case 0, 1, 2:
		w.cut(h, n, true, !w.chance(3))
		w.after(w.pick(6*time.Second), func() { w.heal(h, n) })
	case 3, 4:
		w.breakSessionTo(h, n)
	case 5, 6:
		w.blink(n)
	case 7:
		n.crash()
		w.after(w.pick(200*time.Millisecond), n.start)
	case 8:
		h.pause(w.pick(5 * time.Second))
	default:
		w.newHost(false)
		if w.chance(2) {
			h.die()
		}
	}
}

// saved lets a fault follow now and then when how far a copy has come was saved: the next join of the leg
// begins with that. Meanwhile the guest writes on, the leg may be set back, writes may reach the leg alone, and
// engines may change.
func (w *world) saved(h *host, id volume.LegID) {
	l := w.raft.vol().Leg(id)
	if w.profile.saves == 0 || w.calm || l == nil || !w.chance(w.profile.saves) {
		return
	}
	n := w.nodeOf(l.Node)
	switch w.rng.IntN(9) {
	case 6, 7, 8:
		w.later(w.pick(80*time.Millisecond), func() { w.halfWritten(h, n) })
	case 0:
		w.setBackOf(n, 600*time.Millisecond)
		w.later(w.pick(time.Second), func() { // the next engine knows only what the coordinators do
			w.newHost(false)
			h.die()
		})
	case 1, 2:
		w.later(w.pick(300*time.Millisecond), func() {
			n.crash()
			w.after(w.pick(2*time.Second), n.start)
		})
	default:
		w.later(w.pick(300*time.Millisecond), func() { w.strike(h, n) })
	}
}

// halfWritten lets what an engine writes from now on reach the node of a leg that it copies to, and no other one,
// until it dies a little later.
func (w *world) halfWritten(h *host, n *node) {
	for _, other := range w.legNodes() {
		if other != n {
			w.cut(h, other, true, false)
		}
	}
	w.after(w.pick(400*time.Millisecond), func() {
		w.newHost(false)
		h.die()
		for _, other := range w.nodes {
			w.heal(h, other)
		}
	})
}

// rival attaches the volume in a new epoch that reaches all nodes but one, while the older engine is left with
// that one, and without coordinators: the two do not hear of each other.
func (w *world) rival(old *host, n *node) {
	old.noRaft = true
	for _, other := range w.legNodes() {
		if other != n {
			w.cut(old, other, true, true)
		}
	}
	h := w.newHost(false)
	if h != nil {
		w.cut(h, n, true, true)
	}
	w.after(w.pick(5*time.Second), func() {
		old.noRaft = false
		for _, other := range w.nodes {
			w.heal(old, other)
		}
		if h != nil {
			w.heal(h, n)
		}
	})
}

// breakSessionTo breaks the connection between an engine and one node.
func (w *world) breakSessionTo(h *host, n *node) {
	h.run(func() {
		for _, s := range h.slots {
			if s != nil && s.node == n && s.session != nil && s.session.seq != 0 {
				s.session.closeAtHost(errLost)
				return
			}
		}
	})
}
