package parity

// Rules is a set of rules of the protocol that a search breaks on purpose.
type Rules uint64

// The rules, under the names of the protocol's text ([M:…], and protocol-parity).
const (
	InPlace Rules = 1 << iota
	LoseStaged
	AnyStaged
	FewFence
	FlushEarly
	IgnoreLossy
	AnyLossy
	LateMark
	ForgetLossy
	BlindRelogin
	RecStale
	CommitUndurable
	CommitLocal
	RecUndurable
	BackOrder
	RecNoFlush
	MergeLate
	DropEarly
	FreeEarly
	FreeUnflushed
	FreeOrder
	LogHoles
	NoChunkLock
	DecodeFlying
	ListQ
	LockToAck
	JoinRecords
	NoFloor
	CopyUnlocked
	NoJoinDrain
	NoJoinFlush
	JoinUndurable
	JoinReboot

	// Broken alone, these make no difference in the bounds that were searched.
	RemoveGood
	KeptFew
)

// Rule describes one rule: what the broken protocol does, and where a search sees that.
type Rule struct {
	Rules Rules
	Name  string
	Text  string // what the broken protocol does
	Shown *Bounds
}

// small returns the smallest bounds that show something, changed: 2+1, two epochs, one write.
func small(change ...func(*Bounds)) *Bounds {
	b := Bounds{Data: 2, Parity: 1, Epochs: 2, Writes: 1}
	for _, f := range change {
		f(&b)
	}
	return &b
}

func writes(n int) func(*Bounds)  { return func(b *Bounds) { b.Writes = n } }
func epochs(n int) func(*Bounds)  { return func(b *Bounds) { b.Epochs = n } }
func flushes(n int) func(*Bounds) { return func(b *Bounds) { b.Flushes = n } }
func cuts(n int) func(*Bounds)    { return func(b *Bounds) { b.Cuts = n } }
func removes(n int) func(*Bounds) { return func(b *Bounds) { b.Removes = n } }
func joins(n int) func(*Bounds)   { return func(b *Bounds) { b.Joins = n } }
func concurrent(b *Bounds)        { b.Concurrent = true }

// AllRules returns every rule that can be broken, in the order of the protocol's text.
func AllRules() []Rule {
	return append(append(stagingRules(), cacheRules()...), joinRules()...)
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

// stagingRules are those of protocol §2: they hold in both classes.
func stagingRules() []Rule {
	return []Rule{
		{InPlace, "inPlace", "data and parity are written in place: the write hole", small()},
		{LoseStaged, "loseStaged", "a write is acknowledged when its data leg has staged it", small()},
		{AnyStaged, "anyStaged", "recovery goes forward if any leg has staged a write", small()},
		{FewFence, "fewFence", "Activate with k-1 legs fenced", small()},
		{DropEarly, "dropEarly", "a record is freed when its own leg has applied it", small(cuts(1))},
		{NoChunkLock, "noChunkLock", "two writes of one chunk are in flight at once", small(writes(2))},
		{DecodeFlying, "decodeFlying", "a lost chunk is decoded while another of the stripe is being written",
			small(concurrent, removes(1))},
		{ListQ, "listQ", "recovery asks the legs that a write would go to, not those that its record names",
			small(removes(1), joins(1))},
	}
}

// cacheRules are those of class flush (protocol-parity).
func cacheRules() []Rule {
	return []Rule{
		{FlushEarly, "flushEarly", "a flush is answered when k legs have answered",
			small(writes(2), cuts(2), flushes(1))},
		{IgnoreLossy, "ignoreLossy", "Activate treats a leg that lost its cache like any other", small(cuts(2))},
		{AnyLossy, "anyLossy", "Activate on legs that lost their cache while an in-sync leg is not fenced",
			small(cuts(2))},
		{LateMark, "lateMark", "a node does not know that it lost its cache", small(cuts(2))},
		{ForgetLossy, "forgetLossy", "a login overwrites the evidence", small(cuts(2), epochs(3))},
		{BlindRelogin, "blindRelogin", "the host goes on with a leg that came back without its cache", small(cuts(2))},
		{RecStale, "recStale", "recovery decides while a leg of S' has lost its cache since its login",
			small(cuts(2), removes(1))},
		{CommitUndurable, "commitUndurable", "a record that is durable nowhere is committed and applied",
			small(cuts(2))},
		{CommitLocal, "commitLocal", "the same, with the record durable on its own leg only", small(cuts(2))},
		{RecUndurable, "recUndurable", "the same in recovery", small(cuts(3), epochs(3))},
		{BackOrder, "backOrder", "of two writes of one chunk the older is rolled back first",
			small(cuts(2), writes(2), removes(1))},
		{RecNoFlush, "recNoFlush", "recovery serves before what it decided is durable",
			small(cuts(3), epochs(3), removes(1))},
		{MergeLate, "mergeLate", "a leg of parity writes home before the after-image is durable",
			small(cuts(2))},
		{FreeEarly, "freeEarly", "a record is freed before the commits of all legs of Q are durable",
			small(cuts(2))},
		{FreeUnflushed, "freeUnflushed", "a record is freed before its own home block is durable", small(cuts(1))},
		{FreeOrder, "freeOrder", "records of a leg are freed in another order than that of its log",
			small(cuts(1), writes(2))},
		{LogHoles, "logHoles", "replay goes on behind a hole in the log", small(cuts(2), writes(2))},
		{RemoveGood, "removeGood", "the host removes a good leg while fewer than k others are good", nil},
		{KeptFew, "keptFew", "after a loss of all sites k legs go on, not all that are in sync", nil},
	}
}

// joinRules are those of a leg that comes back (protocol §2, 7).
func joinRules() []Rule {
	return []Rule{
		{JoinRecords, "joinRecords", "a leg that joins keeps its old records", small(removes(1), joins(1))},
		{LockToAck, "lockToAck", "the lock is given back at the ack, while a leg that joins has not staged the write",
			small(writes(2), removes(1), joins(1))},
		{NoFloor, "noFloor", "a leg that joined is asked for records of before, which it dropped",
			small(removes(1), joins(1))},
		{CopyUnlocked, "copyUnlocked", "a stripe is copied while a write of it is in flight",
			small(removes(1), joins(1))},
		{NoJoinDrain, "noJoinDrain", "acks need the leg before older writes have reached it",
			small(removes(1), joins(1))},
		{NoJoinFlush, "noJoinFlush", "AddLeg without a flush of the leg that joins",
			small(removes(1), joins(1), cuts(1))},
		{JoinUndurable, "joinUndurable", "AddLeg while records that the copy contains are not durable on their legs",
			small(writes(2), removes(1), joins(1), cuts(2))},
		{JoinReboot, "joinReboot", "a leg that restarted goes on joining where it was",
			small(removes(1), joins(1), cuts(1))},
	}
}
