package raft

import (
	"fmt"
	"strings"

	"github.com/holdfast-storage/holdfast/volume"
)

// hostBefore names a host that may go on using a volume when it goes on from one leg alone, "" if there is none. A
// host needs every leg of its in-sync list for each read and each acknowledgement, so that it is stopped by the fence
// of any of them (protocol §1.5, §1.6). One whose list has not this leg goes on with the others: they are given up,
// and nobody logs in to them, so that nothing fences them. Then it is an operator's to see that it is off.
func hostBefore(v *Volume, l *Leg) string {
	switch {
	case v.VerifyAll || v.Phase == volume.PhaseFrozen || v.flaw() != "":
		return "a host that these coordinators do not know of"
	case v.Clean || len(v.Granted) == 0: // whoever had it gave it back, or nobody ever had it
		return ""
	case v.inSync(l.ID):
		return ""
	}
	return "the host that had it before"
}

// PromotionCost says what a leg is that a volume is to go on from alone, and what is given up for it: words to end a
// sentence with. It is empty if there is no such leg.
func (s *State) PromotionCost(id volume.ID, leg volume.LegID) string {
	v := s.Volumes[id]
	if v == nil || v.Leg(leg) == nil {
		return ""
	}
	l := v.Leg(leg)
	t := &txn{state: s}
	given := without(v.InSync, func(id volume.LegID) bool { return id == l.ID })
	lost := "no leg that was in sync"
	if len(given) > 0 {
		lost = "what is on " + t.describe(v, given) + ", in sync at cfgver " + v.CfgVer.String()
	}
	since := "never was in sync as far as is known"
	switch {
	case v.inSync(l.ID):
		since = "is in sync at cfgver " + v.CfgVer.String() + " as far as is known"
	case l.LastISRCfg != 0:
		since = "was in sync at cfgver " + l.LastISRCfg.String() + " last"
	}
	cost := fmt.Sprintf("which %s; given up is %s", since, lost)
	var newer []string
	for _, o := range v.Legs {
		if o.labelled() > l.labelled() {
			newer = append(newer, fmt.Sprintf("%s (cfgver %s)", t.legName(o), o.labelled()))
		}
	}
	if len(newer) > 0 {
		shown := "showed no configuration"
		if l.labelled() != 0 {
			shown = "showed cfgver " + l.labelled().String()
		}
		cost += fmt.Sprintf("; it %s, a newer one was shown by %s", shown, strings.Join(newer, ", "))
	}
	return cost
}

// labelled returns the newest configuration that a leg's label has shown, as far as is known.
func (l *Leg) labelled() volume.CfgVer {
	newest := max(l.LabelCfg, l.SeenCfg)
	if l.Shown != nil {
		newest = max(newest, l.Shown.CfgVer)
	}
	return newest
}
