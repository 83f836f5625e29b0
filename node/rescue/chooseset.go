package rescue

import (
	"fmt"
	"slices"
	"strings"
)

// What can be said of a set of parity=k+m while legs of it are not here.
//
// Nothing is acknowledged without a leg that the in-sync list had before each leg of the list without it has that on
// its label, durably (docs/safety/protocol.md, 1.7.4; mirror.BreakReleaseEarly, BreakServeEarly), and no list has legs
// of fewer than k slots (RemoveLeg and Activate refuse it). So a newer list than all that are known here, under which
// the legs here may lack something, is of legs alone that are absent, or whose label is not to be believed, and these
// are of k slots at least. While they cannot be, what was acknowledged went to all legs of the newest known list that
// it was for, and any k of them have it: with |S| = k+m-f it went to m+1-f legs of S, and at most m-f of S are not used
// (1.5; k-1 legs are too few there, [M:fewFence]).
//
// Legs in sync that nobody here has heard of are counted by slot, where no leg of the slot was found. One that
// took the place of a leg that was found is the case of which no label tells (see the package).

// checkUnknownLists refuses when legs of k slots or more are unaccounted for: they may have gone on by themselves.
func (j *judgement) checkUnknownLists(all []*Evidence) {
	n := j.newest
	doubts := j.absentLegs(all)
	open := j.openSlots()
	for _, slot := range open {
		doubts = append(doubts, fmt.Sprintf("no leg of slot %d was found", slot))
	}
	count := j.slotsAway(len(j.missing), len(open))
	unsure := map[int]bool{}
	for _, e := range j.halvedLegs() {
		doubts, unsure[e.Slot] = append(doubts, halvedLabel(e)), true
	}
	for _, e := range j.legs {
		if j.listed(e) && e.CfgVer != n.CfgVer {
			doubts = append(doubts, fmt.Sprintf("leg %s is named by a newer list than its own, and may have been set "+
				"back", e.Leg))
			unsure[e.Slot] = true
		}
	}
	if count = min(count+len(unsure), n.Layout.Legs()); count >= n.Layout.Quorum() {
		j.refuse("legs of %d slots are not to be counted on, and %d are enough to have gone on with a newer in-sync "+
			"list and writes that the others lack: %s", count, n.Layout.Quorum(), strings.Join(doubts, "; "))
	}
}

// slotsAway returns of how many slots legs that are not here can be: missing ones of the newest list, whose slots
// nobody tells, and whoever may have joined in open slots.
func (j *judgement) slotsAway(missing, open int) int {
	n := j.newest
	here := map[int]int{}
	for _, e := range j.legs {
		if j.listed(e) {
			here[e.Slot]++
		}
	}
	// A slot has two legs on the list while one takes the other's place. Where that is so a missing leg may be of a
	// slot that has one here.
	most := n.Layout.Legs() - len(here)
	double := len(n.InSync) > n.Layout.Legs()
	for _, legs := range here {
		double = double || legs > 1
	}
	if double {
		most = n.Layout.Legs()
	}
	return min(most, missing+open)
}

// setOptions says what naming each leg of a set of parity would mean.
func (j *judgement) setOptions() []string {
	var all, legs []string
	var named []*Evidence
	for _, e := range j.legs {
		if !j.canName(e) {
			continue
		}
		named = append(named, e)
		means := "it is as good as its list; right if no legs that are missing above went on without it"
		switch why := j.objection(e); {
		case !j.listed(e):
			means = fmt.Sprintf("the volume as it was at about cfgver %s, and only beside others of that time",
				e.CfgVer)
		case j.lostOnlyCache(e):
			means = "what a disk holds after a power cut: right beside others that lost their cache, if too few kept it"
		case why != "":
			means = "its bytes as they are, although: " + why
		}
		legs = append(legs, fmt.Sprintf("--leg %s (slot %d): %s", e.Leg, e.Slot, means))
	}
	n := j.newest.Layout
	if !n.Enough(slotsOf(named)) {
		return nil
	}
	all = append(all, fmt.Sprintf("--leg for each of at least %d legs of different slots; these and no others are "+
		"used, and decide together which unfinished writes count. After a power cut of all of them everything that "+
		"the guest flushed is there, and later writes may be missing: name all legs of the newest list then",
		n.Quorum()))
	return append(all, legs...)
}

// lostOnlyCache reports whether nothing speaks against a leg of the newest list but that its cache is gone.
func (j *judgement) lostOnlyCache(e *Evidence) bool {
	return e.Lossy && e.Problem == "" && len(e.AlsoAt) == 0 && j.listed(e) && e.CfgVer == j.newest.CfgVer
}

// explicitSet uses the legs of a set of parity that the operator named, and no others.
func (j *judgement) explicitSet(named []*Evidence) (Choice, error) {
	slices.SortFunc(named, func(a, b *Evidence) int { return a.Slot - b.Slot })
	layout := named[0].Layout
	var kept []*Evidence
	for i, e := range named {
		if e.Layout != layout || e.SizeBytes != named[0].SizeBytes {
			return Choice{}, fmt.Errorf("legs %s and %s disagree on size or layout: they cannot be put together",
				named[0].Leg, e.Leg)
		}
		if i > 0 && e.Slot == named[i-1].Slot {
			return Choice{}, fmt.Errorf("legs %s and %s are both of slot %d: name one of them", named[i-1].Leg, e.Leg,
				e.Slot)
		}
		if j.objection(e) == "" {
			kept = append(kept, e)
		}
	}
	if !layout.Enough(slotsOf(named)) {
		return Choice{}, fmt.Errorf("%d legs of %s were named, and it takes %d to be decoded: give --leg once for each",
			len(named), layout, layout.Quorum())
	}
	lost := slices.IndexFunc(named, j.lostOnlyCache)
	if lost >= 0 && layout.Enough(slotsOf(kept)) {
		return Choice{}, fmt.Errorf("leg %s lost its cache, and the others that were named did not and are enough: "+
			"beside them it would only take acknowledged writes back that it lacks; leave it out", named[lost].Leg)
	}
	c := Choice{Use: named, Explicit: true, Overruled: j.reasons}
	for _, e := range named {
		if why := j.objection(e); why != "" {
			c.Overruled = append(c.Overruled, fmt.Sprintf("leg %s: %s", e.Leg, why))
		}
	}
	c.Verdicts = j.chosenVerdicts(named, named)
	for i := range c.Verdicts {
		if !c.Verdicts[i].Used {
			c.Verdicts[i].Why = "the operator did not choose it; else: " + c.Verdicts[i].Why
		}
	}
	return c, nil
}
