package rescue

import (
	"fmt"
	"slices"
	"strings"

	"github.com/holdfast-storage/holdfast/volume"
)

// Verdict is why a leg is used, or why it is not.
type Verdict struct {
	Leg     volume.LegID `json:"leg"`
	Dir     string       `json:"dir"`
	Used    bool         `json:"used"`
	Why     string       `json:"why"`
	SlotSeq uint64       `json:"label_seq"` // of the label that says so: another one is other evidence
}

// Choice is the legs whose blocks make up the volume.
type Choice struct {
	// Use is not empty. Where legs of a mirror may differ, the first one counts; the others stand in for blocks
	// that it cannot read. Legs of parity are enough together, and decide together on writes that were under way.
	Use      []*Evidence
	Verdicts []Verdict // of every leg of the volume, in the catalogue's order
	// Explicit: the operator named the first leg of Use, or all of them if it is parity. Overruled is why no leg
	// would have been used, or not those, without his word.
	Explicit  bool
	Overruled []string
}

// RefusedError says why a volume is not exported without the operator's word.
type RefusedError struct {
	Volume   string
	Reasons  []string
	Missing  []volume.LegID // legs of the newest in-sync list that no label was found of
	Verdicts []Verdict
	Options  []string // what --leg would mean, one for each leg that could be named
}

// Error names the volume, every reason, the verdict on each leg, and what can be done.
func (e *RefusedError) Error() string {
	var s strings.Builder
	fmt.Fprintf(&s, "volume %s is not exported, since that would be a guess:", e.Volume)
	for _, r := range e.Reasons {
		fmt.Fprintf(&s, "\n  - %s", r)
	}
	if len(e.Verdicts) > 0 {
		s.WriteString("\nthe legs that were found:")
	}
	for _, v := range e.Verdicts {
		fmt.Fprintf(&s, "\n  - %s in %s: %s", v.Leg, v.Dir, v.Why)
	}
	s.WriteString("\ngive the directories of all disks that may hold a leg, or name legs yourself:")
	if len(e.Options) == 0 {
		s.WriteString("\n  - no leg that was found can be named")
	}
	for _, o := range e.Options {
		fmt.Fprintf(&s, "\n  - %s", o)
	}
	return s.String()
}

// choose picks the legs of a volume, given by name or id, that hold every acknowledged write. named are legs that the
// operator chose: one of a mirror, enough of parity; none: the labels decide. The error is a *RefusedError, or says
// that there is no such volume or leg.
func choose(all []*Evidence, name string, named []volume.LegID) (Choice, error) {
	legs, err := ofVolume(all, name)
	if err != nil {
		return Choice{}, err
	}
	j := judge(all, legs)
	use := j.usable()
	if len(j.reasons) == 0 {
		j.checkEnough(use)
	}
	switch {
	case len(named) == 0 && len(j.reasons) == 0:
		return Choice{Use: use, Verdicts: j.verdicts(use)}, nil
	case len(named) == 0:
		return Choice{}, &RefusedError{Volume: name, Reasons: j.reasons, Missing: j.missing,
			Verdicts: j.verdicts(nil), Options: j.options()}
	}
	var first []*Evidence
	for _, id := range named {
		e, err := j.named(id)
		if err != nil {
			return Choice{}, err
		}
		if !slices.Contains(first, e) {
			first = append(first, e)
		}
	}
	if first[0].Layout.Kind == volume.KindParity {
		return j.explicitSet(first)
	}
	if len(first) > 1 {
		return Choice{}, fmt.Errorf("the volume is a %s, each of whose legs is all of it: name one leg",
			first[0].Layout)
	}
	return j.explicit(first[0], use), nil
}

// ofVolume returns the legs of the one volume with this name or id.
func ofVolume(all []*Evidence, name string) ([]*Evidence, error) {
	var legs []*Evidence
	var known []string
	for _, e := range all {
		if e.NoLabel != "" {
			continue
		}
		if what := fmt.Sprintf("%s (%s)", e.VolumeName, e.Volume); !slices.Contains(known, what) {
			known = append(known, what)
		}
		if e.VolumeName == name || e.Volume.String() == name {
			legs = append(legs, e)
		}
	}
	if len(legs) == 0 {
		return nil, fmt.Errorf("no leg of a volume %q was found; there are legs of: %s", name,
			strings.Join(known, ", "))
	}
	for _, e := range legs {
		if e.Volume != legs[0].Volume {
			return nil, fmt.Errorf("volumes %s and %s are both named %s; give the id of the one you mean",
				legs[0].Volume, e.Volume, name)
		}
	}
	return legs, nil
}

// judgement is what the labels of one volume's legs say together.
type judgement struct {
	legs    []*Evidence
	newest  *Evidence // has the newest in-sync list
	reasons []string
	missing []volume.LegID
}

func (j *judgement) refuse(format string, a ...any) {
	j.reasons = append(j.reasons, fmt.Sprintf(format, a...))
}

// judge finds the newest in-sync list and whether it is the last one that there can be.
func judge(all, legs []*Evidence) *judgement {
	j := &judgement{legs: legs, newest: legs[0]}
	for _, e := range legs {
		if e.CfgVer > j.newest.CfgVer {
			j.newest = e
		}
	}
	if err := j.newest.Layout.Check(); err != nil {
		j.refuse("its label is of no use: %v", err)
	}
	if j.newest.CfgVer == 0 {
		j.refuse("no leg has ever had a configuration: nothing was ever written, or every label here is older " +
			"than the first attachment")
	}
	j.checkContradictions()
	if j.newest.Layout.Kind == volume.KindParity {
		j.checkUnknownLists(all)
		return j
	}
	j.checkHalved()
	j.checkPresence(all)
	j.checkAbsentSlots()
	return j
}

// checkEnough refuses when the legs that can be used are not the whole volume.
func (j *judgement) checkEnough(use []*Evidence) {
	switch layout := j.newest.Layout; {
	case layout.Enough(slotsOf(use)):
	case layout.Kind == volume.KindParity:
		j.refuse("of the newest in-sync list legs of %d slots can be used, and %s takes %d to be decoded",
			layout.Worth(slotsOf(use)), layout, layout.Quorum())
	default:
		j.refuse("no leg of the newest in-sync list can be used")
	}
}

func slotsOf(legs []*Evidence) []int {
	var slots []int
	for _, e := range legs {
		slots = append(slots, e.Slot)
	}
	return slots
}

// checkContradictions refuses labels that cannot all be of one volume's history.
func (j *judgement) checkContradictions() {
	n := j.newest
	for _, e := range j.legs {
		if e.label.DataGen != n.label.DataGen {
			j.refuse("legs %s and %s are of different lineages: an operator forced a promotion between them",
				n.Leg, e.Leg)
		}
		if e.label.Incarnation != n.label.Incarnation {
			j.refuse("legs %s and %s are of different incarnations of the cluster: its coordinators were restored "+
				"between them", n.Leg, e.Leg)
		}
		if e.SizeBytes != n.SizeBytes || e.Layout != n.Layout || e.Durability != n.Durability {
			j.refuse("legs %s and %s disagree on size, layout or durability", n.Leg, e.Leg)
		}
		if e.CfgVer == n.CfgVer && !sameList(e.InSync, n.InSync) {
			j.refuse("legs %s and %s have different in-sync lists of one cfgver %s", n.Leg, e.Leg, n.CfgVer)
		}
		if len(e.AlsoAt) > 0 {
			j.refuse("leg %s is in %s and in %s: one is a copy, and which one is older cannot be told; leave the "+
				"copy out", e.Leg, e.Dir, strings.Join(e.AlsoAt, ", "))
		}
	}
}

func sameList(a, b []volume.LegID) bool {
	if len(a) != len(b) {
		return false
	}
	for _, id := range a {
		if !slices.Contains(b, id) {
			return false
		}
	}
	return true
}

// checkPresence refuses when a leg of the newest list is absent: the acknowledgements of that list's time
// are on all its legs, but a later list that leaves the others out would be on the absent one.
func (j *judgement) checkPresence(all []*Evidence) {
	for _, what := range j.absentLegs(all) {
		j.refuse("%s: it may hold a newer list and writes that the others lack", what)
	}
}

// absentLegs notes which legs of the newest list are missing, and says what is known of each.
func (j *judgement) absentLegs(all []*Evidence) []string {
	var absent []string
	for _, id := range j.newest.InSync {
		if slices.ContainsFunc(j.legs, func(e *Evidence) bool { return e.Leg == id }) {
			continue
		}
		j.missing = append(j.missing, id)
		what := "was not found"
		for _, e := range all {
			if e.Leg == id {
				what = "is in " + e.Dir + " without a readable label of this volume: " + e.NoLabel
			}
		}
		absent = append(absent, fmt.Sprintf("leg %s, which the newest known in-sync list names (cfgver %s, on leg "+
			"%s), %s", id, j.newest.CfgVer, j.newest.Leg, what))
	}
	return absent
}

// checkHalved refuses when the slot of a label that is corrupt may have been the newer one, with a newer
// list that leaves the others out.
func (j *judgement) checkHalved() {
	for _, e := range j.halvedLegs() {
		j.refuse("%s: it may have been the newer one, with a newer in-sync list than cfgver %s", halvedLabel(e),
			j.newest.CfgVer)
	}
}

func halvedLabel(e *Evidence) string {
	return fmt.Sprintf("one of the two slots of the label of leg %s is corrupt", e.Leg)
}

// halvedLegs returns the legs whose label may have named a newer list in the slot that is corrupt. A label has its last
// two states: one more state than a detach is a login, and one more than any of the epoch in which another leg was
// detached is no newer list either.
func (j *judgement) halvedLegs() []*Evidence {
	n := j.newest
	var halved []*Evidence
	for _, e := range j.legs {
		if !e.halved || e.Closed || !j.listed(e) && e.CfgVer != n.CfgVer {
			continue
		}
		ended := slices.ContainsFunc(j.legs, func(o *Evidence) bool {
			return !o.halved && o.Closed && o.CfgVer == n.CfgVer && o.Epoch >= e.Epoch && j.listed(o)
		})
		if !ended {
			halved = append(halved, e)
		}
	}
	return halved
}

// checkAbsentSlots refuses when the newest known list is shorter than the layout and nothing proves that
// no further leg joined: the first list with that leg may have reached none of those here.
func (j *judgement) checkAbsentSlots() {
	n := j.newest
	if len(n.InSync) >= n.Layout.Legs() || len(j.missing) > 0 {
		return
	}
	for _, slot := range j.openSlots() {
		j.refuse("no leg of slot %d (of %s) was found, and the volume was not detached in order: a leg of that "+
			"slot may have joined and then gone on alone, which only its own label would tell", slot, n.Layout)
	}
}

// openSlots returns the slots of which no leg was found, in which one may have joined since. A detach in order ends
// that doubt, since no later attachment comes about without a leg of the list.
func (j *judgement) openSlots() []int {
	n := j.newest
	closed := true
	present := map[int]bool{}
	for _, e := range j.legs {
		present[e.Slot] = true
		if slices.Contains(n.InSync, e.Leg) && !e.Closed {
			closed = false
		}
	}
	var open []int
	for slot := range n.Layout.Legs() {
		if !present[slot] && !closed {
			open = append(open, slot)
		}
	}
	return open
}

// listed reports whether a leg is in the newest list.
func (j *judgement) listed(e *Evidence) bool { return slices.Contains(j.newest.InSync, e.Leg) }

// objection is why a leg must not be used without the operator's word, "" if nothing speaks against it.
func (j *judgement) objection(e *Evidence) string {
	switch {
	case len(e.AlsoAt) > 0:
		return "it is in several places"
	case e.Problem != "":
		return e.Problem
	case !j.listed(e):
		return fmt.Sprintf("it is not in the newest in-sync list (cfgver %s of leg %s) and lacks writes made since "+
			"cfgver %s", j.newest.CfgVer, j.newest.Leg, e.CfgVer)
	case e.CfgVer != j.newest.CfgVer:
		return fmt.Sprintf("its own label is of cfgver %s, older than the list that names it (cfgver %s): it may "+
			"have been set back to an older state", e.CfgVer, j.newest.CfgVer)
	case e.Lossy:
		return "it is marked and its page cache is gone (the system restarted, or this is not the mount it was used " +
			"on): acknowledged writes that were not flushed may be missing"
	}
	return ""
}

// usable returns the legs that hold every acknowledged write, if the newest list is the last.
func (j *judgement) usable() []*Evidence {
	var use []*Evidence
	for _, e := range j.legs {
		if j.objection(e) == "" {
			use = append(use, e)
		}
	}
	return use
}

func (j *judgement) verdicts(use []*Evidence) []Verdict {
	var all []Verdict
	for _, e := range j.legs {
		v := Verdict{Leg: e.Leg, Dir: e.Dir, SlotSeq: e.label.SlotSeq, Used: slices.Contains(use, e)}
		if v.Why = j.objection(e); v.Why == "" {
			v.Why = fmt.Sprintf("in the newest in-sync list (cfgver %s), its own label is of that version, and it "+
				"kept its cache", e.CfgVer)
		}
		all = append(all, v)
	}
	return all
}

// options says what naming each leg would mean.
func (j *judgement) options() []string {
	if j.newest.Layout.Kind == volume.KindParity {
		return j.setOptions()
	}
	var all []string
	for _, e := range j.legs {
		if !j.canName(e) {
			continue
		}
		means := "its bytes as they are; right if none of the legs that are missing above went on without it"
		switch why := j.objection(e); {
		case !j.listed(e):
			means = fmt.Sprintf("the volume as it was at about cfgver %s, in part perhaps older and newer: it was not "+
				"in sync", e.CfgVer)
		case e.Lossy && e.Problem == "" && e.CfgVer == j.newest.CfgVer:
			means = "what a disk holds after a power cut: what the guest flushed is there, later writes may be missing"
		case why != "":
			means = "its bytes as they are, although: " + why
		}
		all = append(all, fmt.Sprintf("--leg %s takes %s", e.Leg, means))
	}
	return all
}

// canName reports whether the operator may name a leg.
func (j *judgement) canName(e *Evidence) bool { return e.readable && len(e.AlsoAt) == 0 }

// named returns a leg that the operator named, or why it cannot be.
func (j *judgement) named(id volume.LegID) (*Evidence, error) {
	at := slices.IndexFunc(j.legs, func(e *Evidence) bool { return e.Leg == id })
	if at < 0 {
		return nil, fmt.Errorf("leg %s was not found, or is of another volume", id)
	}
	e := j.legs[at]
	if len(e.AlsoAt) > 0 {
		return nil, fmt.Errorf("leg %s is in %s and in %s: leave out the directory of the one that you do not mean",
			id, e.Dir, strings.Join(e.AlsoAt, ", "))
	}
	if !e.readable {
		return nil, fmt.Errorf("leg %s cannot be read: %s", id, e.Problem)
	}
	if err := e.Layout.Check(); err != nil {
		return nil, fmt.Errorf("leg %s cannot be read: %w", id, err)
	}
	return e, nil
}

// explicit uses the leg of a mirror that the operator named. Legs of the same list stand in for blocks that it cannot
// read: if it is itself one that can be used, those that can, and if it lost its cache, those that did so
// too, since then all of them hold what was flushed.
func (j *judgement) explicit(first *Evidence, use []*Evidence) Choice {
	c := Choice{Use: []*Evidence{first}, Explicit: true, Overruled: j.reasons}
	if why := j.objection(first); why != "" {
		c.Overruled = append(c.Overruled, fmt.Sprintf("leg %s: %s", first.Leg, why))
	}
	for _, e := range j.legs {
		if e != first && j.standsIn(first, e, use) {
			c.Use = append(c.Use, e)
		}
	}
	c.Verdicts = j.chosenVerdicts(c.Use, []*Evidence{first})
	return c
}

// chosenVerdicts is verdicts, with the legs that the operator named.
func (j *judgement) chosenVerdicts(use, named []*Evidence) []Verdict {
	all := j.verdicts(use)
	for i := range all {
		if slices.Contains(named, j.legs[i]) {
			all[i].Why = "the operator chose it; else: " + all[i].Why
		}
	}
	return all
}

func (j *judgement) standsIn(first, e *Evidence, use []*Evidence) bool {
	if slices.Contains(use, first) {
		return slices.Contains(use, e)
	}
	return j.lostOnlyCache(first) && (j.lostOnlyCache(e) || slices.Contains(use, e)) &&
		e.label.DataGen == first.label.DataGen &&
		e.SizeBytes == first.SizeBytes
}
