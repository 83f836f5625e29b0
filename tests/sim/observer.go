package sim

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-storage/holdfast/mirror"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// observer sees everything and evaluates the invariants of protocol §4 as it goes. Which are evaluated
// here, and where the others are shown, is said by the table in invariants.go.
type observer struct {
	w      *world
	checks int

	configs   map[volume.CfgVer][]volume.LegID // every configuration that was committed
	active    map[volume.Epoch]time.Duration   // when Activate of an epoch was committed
	removedAt map[volume.LegID]volume.CfgVer   // the configuration by which a leg left last
	attachOf  map[volume.Epoch]volume.AttachID
	flushed   map[int64]content // the newest that a completed flush covers
	acked     map[int64]content // by the current epoch: the newest answered write of each sector
	ackedIn   volume.Epoch
}

func (o *observer) begin(w *world) {
	*o = observer{w: w, configs: map[volume.CfgVer][]volume.LegID{}, active: map[volume.Epoch]time.Duration{},
		removedAt: map[volume.LegID]volume.CfgVer{}, attachOf: map[volume.Epoch]volume.AttachID{},
		acked: map[int64]content{}, flushed: map[int64]content{}}
}

// hold is one evaluation of an invariant.
func (o *observer) hold(ok bool, rule, format string, args ...any) {
	o.checks++
	if !ok {
		o.w.fail(rule, format, args...)
	}
}

// held is hold without the words, for what is evaluated for each sector that anybody reads or writes: to have them
// ready each time costs more than to look. Who calls it says them, with fail, if it is false.
func (o *observer) held(ok bool) bool {
	o.checks++
	return ok
}

// committed looks at each command that raft applied.
func (o *observer) committed(before, after *raft.Volume, cmd *raft.Command, r *raft.Result) {
	if after == nil || before == nil {
		return
	}
	w := o.w
	w.frozen = w.frozen || after.Phase == volume.PhaseFrozen
	o.hold(after.Epoch >= before.Epoch && after.CfgVer >= before.CfgVer, "I1",
		"epoch %s cfgver %s after %s and %s",
		after.Epoch, after.CfgVer, before.Epoch, before.CfgVer)
	same := slices.Equal(before.InSync, after.InSync)
	o.hold(same || after.CfgVer > before.CfgVer, "I1", "another in-sync list under cfgver %s", after.CfgVer)
	o.hold(after.Phase != volume.PhaseAttached || w.enough(after, after.InSync), "I12", "too few legs are in sync: %d",
		len(after.InSync))
	o.configs[after.CfgVer] = after.InSync
	for _, id := range before.InSync {
		if !slices.Contains(after.InSync, id) {
			o.removedAt[id] = after.CfgVer
		}
	}
	if r.Err != nil {
		return
	}
	switch {
	case cmd.Activate != nil && before.Phase == volume.PhaseAttaching:
		o.activated(before, after)
	case cmd.AddLeg != nil && !same:
		if l := o.w.legOf(cmd.AddLeg.Leg); l != nil {
			l.excused, l.lostAt = false, 0 // it was copied in full
			clear(l.silent)
		}
		o.promoted(cmd.AddLeg.Leg)
	}
	if !same {
		o.lag()
	}
}

// activated notes a loss that is declared: of what the new list holds nothing kept its cache.
func (o *observer) activated(before, after *raft.Volume) {
	o.active[after.Epoch] = o.w.now
	setBack := o.trusted(before, after)
	kept := slices.DeleteFunc(slices.Clone(after.InSync), func(id volume.LegID) bool {
		return slices.Contains(before.Attach.Lossy, id)
	})
	if setBack || !o.w.enough(after, kept) {
		o.mayDeclare(before)
		o.w.logf("a loss of what was not flushed is declared")
		clear(o.flushed) // older values of what was not flushed may be back
		for _, id := range after.InSync {
			if l := o.w.legOf(id); l != nil {
				l.trusted()
			}
		}
		o.w.history.losses = append(o.w.history.losses, loss{after.Epoch, o.w.now, setBack})
	}
	for _, id := range after.InSync {
		l := o.w.legOf(id)
		if l != nil {
			l.lostAt = 0
		}
		// One whose newest label rotted shows that at its next login, which binds the host (protocol-flush C.5).
		shows := l != nil && l.rolledBack && l.lossy()
		o.hold(l == nil || l.excused || shows || l.durable.label.FenceEpoch >= after.Epoch, "I5",
			"leg %s is in S' and not fenced", id.Short())
	}
}

// mayDeclare is protocol-flush C.4: what was not flushed may be given up when no leg in sync kept it, or
// when the operator said so, and never because the one that kept it is out of reach.
func (o *observer) mayDeclare(before *raft.Volume) {
	if before.Attach.AcceptLoss || before.UnflushedLoss == volume.LossAccept {
		return
	}
	var kept []volume.LegID
	for _, id := range o.list(before) {
		if l := o.fit(id); l != nil && !slices.Contains(before.Attach.Lossy, id) {
			kept = append(kept, id)
		}
	}
	o.hold(!o.w.enough(before, kept), "C.4", "a loss is declared, nobody accepted it, and leg %s kept everything",
		shorts(kept))
}

// enough reports whether legs have all of a volume: one of a mirror, k slots of a set of parity.
func (w *world) enough(v *raft.Volume, legs []volume.LegID) bool {
	slots := make([]int, len(legs))
	for i, id := range legs {
		if slots[i] = -1; v.Leg(id) != nil {
			slots[i] = v.Leg(id).Slot
		}
	}
	return v.Layout.Enough(slots)
}

func shorts(legs []volume.LegID) string {
	names := make([]string, len(legs))
	for i, id := range legs {
		names[i] = id.Short()
	}
	return strings.Join(names, ", ")
}

// list returns the in-sync list that counts: the newest that is on a disk, where coordinators were restored
// from an older one.
func (o *observer) list(v *raft.Volume) []volume.LegID {
	newest := v.Config()
	for _, n := range o.w.legNodes() {
		if v.VerifyAll && n.leg.durable.label.Config.CfgVer > newest.CfgVer {
			newest = n.leg.durable.label.Config
		}
	}
	return newest.InSync
}

// trusted looks at legs that were set back and are gone on with: only if the operator accepted it for this
// attachment. It reports whether there are any: then what they hold is the truth from now on.
func (o *observer) trusted(before, after *raft.Volume) bool {
	any := false
	for _, id := range after.InSync {
		l := o.w.legOf(id)
		if l == nil || !l.excused || after.Epoch <= l.excusedIn {
			continue // what was reported before it was set back proves nothing: its next login binds the host
		}
		if o.w.restored && !before.Attach.AcceptLoss {
			continue // what proved it is forgotten
		}
		o.hold(before.Attach.AcceptLoss, "setback",
			"leg %s was set back, nobody accepted it, and it is gone on with", id.Short())
		any, l.excused = true, false
	}
	return any
}

// fit returns a leg's state on its node if nothing excuses it from having what it was sent.
func (o *observer) fit(id volume.LegID) *storedLeg {
	l := o.w.legOf(id)
	if l == nil || l.failed || l.lossy() || l.excused || l.journal.doomed() {
		return nil
	}
	return l
}

func (w *world) legOf(id volume.LegID) *storedLeg {
	if n := w.legNode(id); n != nil {
		return n.leg
	}
	return nil
}

// stepped looks at an engine after each of its steps: I9 and I10.
func (o *observer) stepped(h *host) {
	v := o.w.raft.vol()
	if v.Epoch != h.epoch || v.Phase != volume.PhaseAttached || h.over() || !h.activated || !h.legsMoved {
		return
	}
	h.legsMoved = false
	for _, s := range h.slots {
		if s == nil {
			continue
		}
		in := slices.Contains(v.InSync, s.id)
		o.hold(!in || s.state >= mirror.LegDraining, "I9", "%s: leg %s is in sync, acks do not need it (%s)",
			h.name, s.id.Short(), s.state)
		o.hold(in || s.state != mirror.LegInSync, "I10", "%s: leg %s is read and not in sync", h.name,
			s.id.Short())
	}
}

func (o *observer) engineStopped(h *host, err error) {
	o.w.logf("%s stops: %v", h.name, err)
	o.hold(!errors.Is(err, mirror.ErrBug), "bug", "%s: %v", h.name, err)
}

// started is I7.
func (o *observer) started(h *host) {
	have, ok := o.attachOf[h.epoch]
	o.hold(!ok || have == h.attach, "I7", "epoch %s has two attachments", h.epoch)
	o.attachOf[h.epoch] = h.attach
}

// labelled looks at each label that became durable.
func (o *observer) labelled(l *storedLeg) {
	d, v := &l.durable.label, o.w.raft.vol()
	o.hold(d.FenceEpoch >= l.fenced, "I2", "leg %s goes from epoch %s back to %s", l.id.Short(), l.fenced,
		d.FenceEpoch)
	l.fenced = d.FenceEpoch
	if v == nil || o.w.frozen || o.w.restored {
		return
	}
	o.hold(d.Config.CfgVer <= v.CfgVer && d.FenceEpoch <= v.Epoch, "I19", "leg %s is ahead of raft",
		l.id.Short())
	if d.Config.CfgVer != 0 {
		list, ok := o.configs[d.Config.CfgVer]
		o.hold(ok && slices.Equal(list, d.Config.InSync), "I21",
			"leg %s has configuration %s that was never committed",
			l.id.Short(), d.Config.CfgVer)
	}
}

// loginAnswered is I5: a fence that was answered is durable.
func (o *observer) loginAnswered(l *storedLeg, e volume.Epoch, err error) {
	if err != nil {
		return
	}
	o.hold(!l.failed, "I28", "leg %s failed and answers a login", l.id.Short())
	o.hold(l.durable.label.FenceEpoch >= e, "I5", "leg %s answered a login of epoch %s and may forget it",
		l.id.Short(), e)
	l.answered = max(l.answered, e)
}

// admitted looks at each request that passed a leg's gate: I3 and I14.
func (o *observer) admitted(t *task) {
	d := &t.l.durable.label
	if !o.held(d.FenceEpoch <= t.s.h.epoch) {
		o.w.fail("I3", "leg %s admits a request of epoch %s under epoch %s",
			t.l.id.Short(), t.s.h.epoch, d.FenceEpoch)
	}
	if !o.held(d.Admit) {
		o.w.fail("I14", "leg %s admits a request before CONFIG", t.l.id.Short())
	}
}

// applied looks at each change of data: I4.
func (o *observer) applied(t *task) {
	if !o.held(t.l.answered <= t.s.h.epoch) {
		o.w.fail("I4", "leg %s applies a write of epoch %s after it answered a login of epoch %s",
			t.l.id.Short(), t.s.h.epoch, t.l.answered)
	}
}

// replied is I28: a leg that failed for good says yes to nothing any more.
func (o *observer) replied(t *task, err error) {
	if !o.held(err != nil || !t.l.failed) {
		o.w.fail("I28", "leg %s failed and answers", t.l.id.Short())
	}
}

// commanded is I28 for what an engine asks of a leg besides requests.
func (o *observer) commanded(l *storedLeg, kind mirror.CommandKind, err error) {
	if !o.held(err != nil || !l.failed) {
		o.w.fail("I28", "leg %s failed and answers %s", l.id.Short(), kind)
	}
}

// end looks at what a run leaves.
func (o *observer) end() {
	w := o.w
	if w.violation != nil || w.frozen || w.raft.vol().Phase != volume.PhaseDetached {
		return
	}
	for _, id := range w.raft.vol().InSync {
		if l := w.legOf(id); l != nil {
			o.hold(!l.durable.label.Admit, "I31", "leg %s admits I/O of a detached volume", id.Short())
		}
	}
}

// frozenQuietly is I20: a frozen volume is not served in the epoch that froze it.
func (o *observer) frozenQuietly() {
	h := o.w.newest()
	_, active := o.active[h.epoch]
	o.hold(active || !h.serving, "I20", "%s serves a frozen volume", h.name)
}
