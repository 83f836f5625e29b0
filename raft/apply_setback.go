package raft

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/holdfast-storage/holdfast/volume"
)

// A leg is set back when its disk shows an older state than it had: a machine restored from an old
// image, a disk that lied about its flushes, a file copied over. What such a leg lacks is in no region's
// version and under no mark, so it is copied in full or not used (protocol §1.7.9, §5 rows 46 and 47).
//
// Within an epoch the host compares what a leg shows with what it answered before. From one epoch to the
// next the coordinators do, by what hosts confirmed and reported: the first report of an epoch is
// compared. Later ones of the same epoch may be duplicates that are older than a confirmation, so they
// prove nothing.
//
// Logins do not change what is compared, so the evidence stays through the epochs that are burnt. The
// verdict is kept with the leg until it was copied, for its own next steps would hide it.

// judgeReport compares the first report of an epoch with what the leg's label had reached, takes the
// host's own word, and keeps what the label has reached now. l belongs to an edited v.
func (t *txn) judgeReport(v *Volume, l *Leg, c *RecordFence) {
	label := c.Report.Label
	why := ""
	if l.LabelEpoch < c.Epoch {
		why = olderLabel(l, label)
		if why == "" {
			l.LabelCfg, l.LabelSeq = max(l.LabelCfg, label.Config.CfgVer), max(l.LabelSeq, label.Progress)
		}
		l.LabelEpoch = c.Epoch
	}
	// A leg that is in sync in an active epoch joined after whatever this report is about.
	if c.SetBack && (v.Phase == volume.PhaseAttaching || !v.inSync(l.ID)) {
		why = cmp.Or(why, "its host saw a newer one in this epoch")
	}
	if why == "" {
		return
	}
	l.Copied = Copied{}
	l.LabelCfg, l.LabelSeq = label.Config.CfgVer, label.Progress // it goes on from here
	if !l.SetBack && !t.breaks(BreakTrustSetBack) {              // [M:trustSetBack]
		t.setBack(v, l, why)
	}
}

// olderLabel returns how a label shows less than the leg's label had reached in an earlier epoch, "" if
// it does not. Neither logins nor starts of the node change either of the two.
func olderLabel(l *Leg, label volume.Label) string {
	switch {
	case label.Config.CfgVer < l.LabelCfg:
		return fmt.Sprintf("its label has configuration %s, it had %s", label.Config.CfgVer, l.LabelCfg)
	case label.Progress < l.LabelSeq:
		return fmt.Sprintf("its label has seen %d steps of hosts, it had seen %d", label.Progress, l.LabelSeq)
	}
	return ""
}

// setBack notes that a leg was set back. One of the in-sync list stays in it until Activate or
// RemoveLeg makes a list without it.
func (t *txn) setBack(v *Volume, l *Leg, why string) {
	l.SetBack = true
	if !v.inSync(l.ID) {
		l.LastISRCfg = 0
	}
	t.event(SeverityError, "volume/"+v.Name, "leg_set_back",
		"%s of volume %s was set back to an older state: %s; it is copied in full before it is used",
		t.legName(l), v.Name, why)
}

// hostSawSetBack notes that a leg was set back by the word of the host that removes it. What its label
// shows now comes with the next report.
func (t *txn) hostSawSetBack(v *Volume, l *Leg) *Volume {
	v = t.edit(v)
	l = v.Leg(l.ID)
	l.LabelCfg, l.LabelSeq, l.Copied = 0, 0, Copied{}
	t.setBack(v, l, "its host saw a newer one in this epoch")
	t.answer(v)
	return v
}

// newest returns the n legs of a list whose labels have come furthest.
func (v *Volume) newest(list []volume.LegID, n int) []volume.LegID {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b volume.LegID) int {
		l, k := v.Leg(a), v.Leg(b)
		return cmp.Or(cmp.Compare(k.LabelCfg, l.LabelCfg), cmp.Compare(k.LabelSeq, l.LabelSeq), compareLegs(a, b))
	})
	list = list[:n]
	sortLegs(list)
	return list
}
