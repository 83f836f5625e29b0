package sim

import (
	"slices"
	"strings"

	"github.com/holdfast-storage/holdfast/leg"
	"github.com/holdfast-storage/holdfast/mirror"
	"github.com/holdfast-storage/holdfast/raft"
)

// DriverRules are safety rules that neither core can break, because they are about the engine's
// process and its adapters.
type DriverRules uint8

const (
	// EpochReuse lets an engine that restarted go on with its epoch.
	EpochReuse DriverRules = 1 << iota
	// ServeOnLogin lets an engine serve from the legs it fenced, without Activate.
	ServeOnLogin
)

// Broken are the safety rules that a run breaks on purpose, of each part.
type Broken struct {
	Mirror mirror.Rules
	Leg    leg.Rules
	Raft   raft.Rules
	Driver DriverRules
}

// Rule is one safety rule that can be broken.
type Rule struct {
	Name   string
	Part   string // mirror, leg, raft or engine: who holds it
	Broken Broken
	// Fewer are sets of the rules without one of them each, for several that are broken together: a run shows
	// them only if it shows none of these.
	Fewer []Broken
	// Hangs says why the rule, broken, holds a volume up and does no other harm; "" for most.
	Hangs string
	// Layout is the kind of layout that shows the rule: a mirror, but for those of parity alone.
	Layout string
	// Profile shows the rule soonest, as far as is known; any other may show it as well.
	Profile string
	// Harmless says why no history can show that the rule is broken, "" for a rule that is to be found.
	Harmless string
}

// harmless are the rules that are held in depth: another rule, or another test, stands behind each of them,
// so that no history can show that it alone is broken. Those of masked are shown with the other one.
func harmless() map[string]string {
	return map[string]string{
		"noFloor": "the round before AddLeg frees whatever the leg dropped records of; a takeover that finds such a " +
			"record is a script (mirror, parity_recover)",
		"joinReboot":  "shown with anyInstance and admitLossy, which stand behind it",
		"anyInstance": "shown with joinReboot: an engine does not ask for a leg that restarted",
		"admitLossy":  "shown with joinReboot: an engine does not use a leg that lost its cache",
		"isrOnly":     "shown with readSuspect: only an engine shrinks the list, and it stops reading a leg before",
		"clearUnstamped": "a stamp becomes durable with its mark, before the data is let in, and those of CONFIG " +
			"before it is answered, which acks wait for",
		"clearUnsynced": "found by crash states: the engine flushes every leg before it sends STABLE; without it, " +
			"the crash states of a leg show it (leg, TestCrash_brokenRulesAreFound)",
	}
}

// hangs are the rules whose harm another check turns into a volume that is held up for good.
func hangs() map[string]string {
	return map[string]string{
		"noBump": "the engine takes no configuration that is not newer for an answer to RemoveLeg, asks for ever, " +
			"and holds the writes",
	}
}

// masked are rules that stand behind each other: only all of one line broken together do harm.
func masked() [][]string {
	return [][]string{
		{"joinReboot", "anyInstance", "admitLossy"},
		{"isrOnly", "readSuspect"},
	}
}

// parityName is what the name of a rule ends with that is broken in a set of parity and in a mirror.
const parityName = "/parity"

// parityToo are rules that a mirror and a set of parity hold each in its own way, or that matter otherwise in a set:
// each of them is to be found in both.
func parityToo() []string {
	return []string{"serveEarly", "blindRelogin", "flushEarly", "noJoinFlush", "forgetLossy", "noRestamp", "lateMark",
		"ignoreLossy"}
}

// soonest is the profile that shows each rule soonest, for those that not every profile shows at once. It
// only saves time: a hunt through all profiles finds them as well.
func soonest() map[string]string {
	return map[string]string{
		"serveEarly": "media", "pushISROnly": "three", "noRecon": "takeover", "noOwnMarks": "sparse",
		"clearEarly": "mixed", "stableJoining": "sparse", "noWODrain": "sluggish", "removeGood": "crossfire",
		"joinReboot+anyInstance+admitLossy": "strikes", "noSetBack": "setback", "trustSetBack": "setback",
		"readUncommit": "rivals", "readSuspect": "partings", "isrOnly+readSuspect": "partings",
		"noStampTake": "trio", "lagLast": "crossfire", "healStale": "rotting",
		"promoteUnread": "rotting", "noBump": "limbo", "noLabelCheck": "setback", "ignoreLossy": "attach",
		"scrubGuess": "lying", "epochReuse": "takeover", "noLease": "readers", "noConfirm": "readers",
		"blindRelogin": "attach", "oldEvidence": "attach", "lateMark": "attach", "noRestamp": "sparse",
		"noCAS": "limbo", "anyLossy": "attach", "noKillSess": "sparse", "noDrain": "partings",
		"copySinceNow": "rebuild", "saveEarly": "rebuild", "lateRemove": "doubts",
		"backAlone": "flush", "logHoles": "attach", "lockToAck": "rebuild",
		"blindRelogin/parity": "attach", "noRestamp/parity": "sparse",
	}
}

// Rules returns every rule that can be broken, by the part that holds it.
func Rules() []Rule {
	var list []Rule
	for _, name := range mirror.RuleNames() {
		r, _ := mirror.RuleByName(name)
		kind := MirrorOnly
		if r&mirror.ParityRules != 0 {
			kind = ParityOnly
		}
		list = append(list, Rule{Name: name, Part: "mirror", Broken: Broken{Mirror: r}, Layout: kind})
	}
	for _, name := range leg.RuleNames() {
		r, _ := leg.RuleByName(name)
		kind := MirrorOnly
		if r&leg.JournalRules != 0 {
			kind = ParityOnly
		}
		list = append(list, Rule{Name: name, Part: "leg", Broken: Broken{Leg: r}, Layout: kind})
	}
	for _, name := range raft.RuleNames() {
		r, _ := raft.RuleByName(name)
		list = append(list, Rule{Name: name, Part: "raft", Broken: Broken{Raft: r}, Layout: MirrorOnly})
	}
	list = append(list, Rule{Name: "serveOnLogin", Part: "engine", Broken: Broken{Driver: ServeOnLogin},
		Layout: MirrorOnly})
	if i := slices.IndexFunc(list, func(r Rule) bool { return r.Name == "epochReuse" }); i >= 0 {
		list[i].Part, list[i].Broken.Driver = "engine", EpochReuse
	}
	for _, names := range masked() {
		list = append(list, together(list, names))
	}
	for _, r := range list {
		if slices.Contains(parityToo(), r.Name) {
			r.Name, r.Layout = r.Name+parityName, ParityOnly
			list = append(list, r)
		}
	}
	for i := range list {
		name := list[i].Name
		list[i].Harmless, list[i].Hangs, list[i].Profile = harmless()[name], hangs()[name], soonest()[name]
	}
	return list
}

// together is several rules of list broken at once.
func together(list []Rule, names []string) Rule {
	all := Rule{Name: strings.Join(names, "+"), Part: "several", Broken: union(list, names), Layout: MirrorOnly}
	for i := range names {
		all.Fewer = append(all.Fewer, union(list, slices.Delete(slices.Clone(names), i, i+1)))
	}
	return all
}

// union is what the named rules of list break.
func union(list []Rule, names []string) Broken {
	var all Broken
	for _, r := range list {
		if slices.Contains(names, r.Name) {
			all.Mirror |= r.Broken.Mirror
			all.Leg |= r.Broken.Leg
			all.Raft |= r.Broken.Raft
			all.Driver |= r.Broken.Driver
		}
	}
	return all
}

func (h *host) serveOnLogin(x mirror.Effect) {
	v := h.w.raft.vol()
	r := mirror.Reply{Config: v.Config(), Clean: v.Clean}
	h.w.after(0, func() {
		h.run(func() { h.step(&mirror.Event{Kind: mirror.EventAnswer, Call: x.Call, Reply: r}) })
	})
}
