package mirror

import (
	"fmt"

	"github.com/holdfast-storage/holdfast/volume"
)

// shown is the least that a leg must show at its next login of this epoch, by what it has shown and
// answered before. One that shows less was set back: its machine was restored from an image, its disk lied
// about a flush, a file was copied over. What it lacks is under no mark and in no version, so it counts as a
// leg that lost its cache, and is copied in full (protocol §1.7.9, failure matrix 46 and 47).
//
// Whatever is legal shows no less. A process that restarts keeps the label and the marks, and counts its
// changes anew under another instance. A power cut keeps what was durable, and a label or mark is durable
// before it is answered. Requests that were not answered, and answers of a session that is over, raise
// nothing.
type shown struct {
	slotSeq  uint64        // of the label at its latest login
	progress uint64        // of a label that was durable
	config   volume.CfgVer // the newest CONFIG it answered
	instance uint64
	changes  uint64 // by that instance: what it had at the login, and what it answered since
	written  uint64 // the latest write that it answered, in the order of dispatch
	cleared  uint64 // a STABLE was sent that may clear the marks of writes up to this one
}

// answered notes that the leg answered a request in its present session.
func (s *shown) answered(o *op) {
	if o.verb.Changes() {
		s.changes++
		s.written = max(s.written, o.seq)
	}
}

// labelSeq notes how far a leg's durable label has come.
func (c *Core) labelSeq(i LegIndex, seq uint64) {
	if s := &c.leg(i).shown; seq > s.progress {
		s.progress = seq
		c.note(workConfirm)
	}
}

// older returns how a report shows less than it must, "" if it does not.
func (s *shown) older(r *volume.LegReport) string {
	switch l := &r.Label; {
	case l.SlotSeq < s.slotSeq:
		return fmt.Sprintf("its label was written %d times, it had been %d times", l.SlotSeq, s.slotSeq)
	case s.instance != 0 && r.Instance != s.instance && l.SlotSeq == s.slotSeq:
		// Each start of a node writes the label, so an image of before the latest login's start shows it.
		return "another process serves it, and its label was not written since"
	case l.Progress < s.progress:
		return fmt.Sprintf("its label has seen %d steps of hosts, it had seen %d", l.Progress, s.progress)
	case l.Config.CfgVer < s.config:
		return fmt.Sprintf("its label has configuration %s, it had %s", l.Config.CfgVer, s.config)
	case s.written > s.cleared && !l.Marked:
		return "nothing is marked, although it answered writes since marks were cleared"
	case r.Instance == s.instance && r.Changes < s.changes:
		return fmt.Sprintf("it carried out %d changes, it had answered %d", r.Changes, s.changes)
	}
	return ""
}

// compareShown compares a login with what the leg must show. The engine's word binds it for the whole epoch,
// also where the coordinators decide without knowing of it. It reports whether the leg shows less.
func (c *Core) compareShown(i LegIndex, r *volume.LegReport) (older bool) {
	g := c.leg(i)
	// [M:noSetBack] A leg that shows an older state than it had is not used as it is.
	why := g.shown.older(r)
	if older = why != "" && !c.breaks(BreakNoSetBack); older {
		g.setBack, g.backWhy = true, "it was set back to an older state: "+why
		g.lastErr = g.backWhy
		g.shown = shown{}
	}
	s := &g.shown
	s.slotSeq = max(s.slotSeq, r.Label.SlotSeq)
	s.progress = max(s.progress, r.Label.Progress)
	s.instance, s.changes = r.Instance, r.Changes
	return older
}

// lostWhy says why a leg is lost.
func (g *leg) lostWhy() string {
	if g.setBack {
		return g.backWhy
	}
	return "it lost its cache"
}
