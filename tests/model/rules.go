package model

// Rules is a set of rules of the protocol that a search breaks on purpose.
type Rules uint64

// The rules, under the protocol's names ([M:…]). Each stands in one place of the transitions.
const (
	NoFence Rules = 1 << iota
	NoDrain
	VolFence
	OldLogin
	ServeOnLogin
	EpochReuse
	Aba
	NoKillSess
	StaleOK
	NoLease
	IsrOnly
	AckEarly
	ReleaseEarly
	ServeEarly
	PushISROnly
	NoRestamp
	NoBump
	NoCAS
	CommitFirst
	NoSeenCfg
	OwnJoinOnly
	NoRecon
	NoResync
	NoOwnMarks
	ClearEarly
	StableJoining
	NoWODrain
	ReadDuringW
	IgnoreLossy
	ForgetLossy
	OldEvidence
	AnyLossy
	BlindRelogin
	RemoveGood
	FlushEarly
	NoJoinFlush
	JoinReboot
	LateMark
	ClearUnflushed
	UnmarkedCopy
	ReadSuspect
	ReadUncommit
	NoLabelCheck

	// Broken alone, these make no difference: they are defence in depth.
	LateStamp
	NoSrcMarks
)

// Rule describes one rule: what the broken protocol does, and where a search sees that.
type Rule struct {
	Rules Rules
	Name  string
	Text  string // what the broken protocol does

	// Shown are small bounds, one for each class that needs the rule, in which a search finds a
	// history that goes wrong. None: the rule is defence in depth.
	Shown []Bounds
}

// AllRules returns every rule that can be broken, in the order of the protocol's text.
func AllRules() []Rule {
	all := fenceRules()
	all = append(all, configurationRules()...)
	all = append(all, copyRules()...)
	all = append(all, flushRules()...)
	return append(all, spareRules()...)
}

// RuleByName returns the rule with this name, false if there is none.
func RuleByName(name string) (Rule, bool) {
	for _, r := range AllRules() {
		if r.Name == name {
			return r, true
		}
	}
	return Rule{}, false
}

// small returns the smallest bounds that show something: two legs, two epochs, one write, no cut.
func small(class Class, maxCfg int) Bounds {
	return Bounds{Class: class, Legs: 2, Epochs: 2, Writes: 1, MaxCfg: maxCfg}
}

// both returns the same small bounds in both classes.
func both(maxCfg int, change ...func(*Bounds)) []Bounds {
	return append(inFlush(maxCfg, change...), inClass(ClassSync, maxCfg, change...)...)
}

// withFlush returns the bounds of a rule that shows in class flush only when the guest flushes.
func withFlush(maxCfg int) []Bounds {
	return append(inFlush(maxCfg, flushes(1)), inClass(ClassSync, maxCfg)...)
}

func inFlush(maxCfg int, change ...func(*Bounds)) []Bounds {
	return inClass(ClassFlush, maxCfg, change...)
}

func inClass(class Class, maxCfg int, change ...func(*Bounds)) []Bounds {
	b := small(class, maxCfg)
	for _, f := range change {
		f(&b)
	}
	return []Bounds{b}
}

func writes(n int) func(*Bounds)  { return func(b *Bounds) { b.Writes = n } }
func epochs(n int) func(*Bounds)  { return func(b *Bounds) { b.Epochs = n } }
func legs(n int) func(*Bounds)    { return func(b *Bounds) { b.Legs = n } }
func flushes(n int) func(*Bounds) { return func(b *Bounds) { b.Flushes = n } }
func cuts(n int) func(*Bounds)    { return func(b *Bounds) { b.Cuts = n } }
func operator(b *Bounds)          { b.Operator = true }
func restore(b *Bounds)           { b.Restore = true }
func duplicates(b *Bounds)        { b.Duplicates = true }

// fenceRules are those of protocol-flush B.1 to B.4.
func fenceRules() []Rule {
	return []Rule{
		{NoFence, "noFence", "a login with a newer epoch leaves older sessions admitted", both(2)},
		{NoDrain, "noDrain", "the login completes before older in-flight commands have drained", both(2)},
		{VolFence, "volFence", "a node's restart forgets the fence", both(2)},
		{OldLogin, "oldLogin", "a node admits a login of an older epoch", both(2)},
		{ServeOnLogin, "serveOnLogin", "the host serves from the legs that it fenced, without Activate", both(2)},
		{EpochReuse, "epochReuse", "an engine that restarted goes on with its epoch", both(2)},
		{Aba, "aba", "identity is the machine, not the epoch", both(3, epochs(3))},
		{NoKillSess, "noKillSess", "a login of the same epoch leaves the older session alive", both(3, writes(2))},
		{StaleOK, "staleOK", "Activate uses fenced legs that are not in sync", both(3)},
		{NoLease, "noLease", "Activate with granted legs that are not fenced does not wait for T_read", both(2)},
		{IsrOnly, "isrOnly", "the wait is skipped when the in-sync legs, not all granted ones, are fenced",
			both(3, operator)},
	}
}

// configurationRules are those of protocol-flush B.5 to B.9.
func configurationRules() []Rule {
	return []Rule{
		{AckEarly, "ackEarly", "a leg is dropped locally, the commit comes later or never", both(2)},
		{ReleaseEarly, "releaseEarly", "held acks go before CONFIG is on every leg that receives writes",
			withFlush(3)},
		{ServeEarly, "serveEarly", "the host serves before CONFIG of Activate is on every leg of S'",
			withFlush(3)},
		{PushISROnly, "pushISROnly", "CONFIG goes to in-sync legs only, not to joining ones",
			inClass(ClassSync, 5, legs(3))},
		{NoRestamp, "noRestamp", "CONFIG does not stamp marked regions", withFlush(3)},
		{NoBump, "noBump", "RemoveLeg of a leg that is not in sync makes no new configuration", both(4)},
		{NoCAS, "noCAS", "AddLeg is not conditional on cfgver", both(5)},
		{CommitFirst, "commitFirst", "AddLeg is committed before acks need the leg", both(4)},
		{NoSeenCfg, "noSeenCfg", "a late duplicate of RemoveLeg removes a leg that joined since",
			inFlush(5, cuts(1), duplicates)},
		{OwnJoinOnly, "ownJoinOnly", "a late RemoveLeg is refused only if that leg joined since, not another",
			inFlush(5, cuts(1), duplicates)},
	}
}

// copyRules are those of reconcile, resync and STABLE (protocol-flush B, C.6 to C.8; protocol §1.3, §3).
func copyRules() []Rule {
	return []Rule{
		{NoRecon, "noRecon", "marked regions are read before they are reconciled", both(2)},
		{NoResync, "noResync", "a leg is added without a copy", both(3)},
		{NoOwnMarks, "noOwnMarks", "the copy set leaves out the joining leg's own marks", both(3)},
		{ClearEarly, "clearEarly", "a mark is cleared when its own leg answered, not all legs", both(2)},
		{StableJoining, "stableJoining", "marks of a joining leg are cleared before its copy set is copied", both(3)},
		{NoWODrain, "noWODrain", "promotion does not wait for the joining leg's outstanding writes", both(3)},
		{ReadDuringW, "readDuringW", "reads overlap writes in flight", both(2)},
		{NoLabelCheck, "noLabelCheck", "a restored coordinator believes itself, not the labels", both(4, restore)},
	}
}

// flushRules are those that only class flush needs (protocol-flush C).
func flushRules() []Rule {
	return []Rule{
		{IgnoreLossy, "ignoreLossy", "Activate treats a leg that lost its cache like any other", inFlush(3, cuts(1))},
		{ForgetLossy, "forgetLossy", "the fence login overwrites the evidence of the reboot",
			inFlush(3, epochs(3), cuts(1))},
		{OldEvidence, "oldEvidence", "Activate's answer makes the host forget a lost cache", inFlush(3, cuts(1))},
		{AnyLossy, "anyLossy", "Activate takes legs that lost their cache while an in-sync leg is not fenced",
			inFlush(3, cuts(1))},
		{BlindRelogin, "blindRelogin", "the host goes on with a leg that lost its cache", inFlush(2, cuts(1))},
		{RemoveGood, "removeGood", "the host removes the last leg that kept its cache", inFlush(3, cuts(1))},
		{FlushEarly, "flushEarly", "a flush is answered when one leg has answered",
			inFlush(3, cuts(2), flushes(1))},
		{NoJoinFlush, "noJoinFlush", "AddLeg is sent without a flush of the joining leg",
			inFlush(4, cuts(2), flushes(1))},
		{JoinReboot, "joinReboot", "a joining leg that restarted keeps its copied state", inFlush(4, cuts(1))},
		{LateMark, "lateMark", "the mark reaches the medium with the data, not before it", inFlush(2, cuts(1))},
		{ClearUnflushed, "clearUnflushed", "marks are cleared when all legs answered, but have not flushed",
			inFlush(2, cuts(1))},
		{UnmarkedCopy, "unmarkedCopy", "reconcile's writes neither mark their region nor flush",
			inFlush(3, cuts(1))},
		{ReadSuspect, "readSuspect", "the host reads a leg whose removal it asked for", inFlush(3, cuts(1))},
		{ReadUncommit, "readUncommit", "the host reads a leg whose AddLeg is not known to be committed",
			inFlush(3, cuts(1))},
	}
}

// spareRules are defence in depth: no search has found a history that goes wrong without one of them.
func spareRules() []Rule {
	return []Rule{
		{LateStamp, "lateStamp", "the region version reaches the medium with the data, not before it", nil},
		{NoSrcMarks, "noSrcMarks", "the copy set leaves out the source's marks", nil},
	}
}
