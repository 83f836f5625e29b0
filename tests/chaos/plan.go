package chaos

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Fault is a kind of thing that goes wrong, or that an operator does meanwhile.
type Fault string

// The faults.
const (
	KillEngine  Fault = "kill engine"    // of Volume
	PauseEngine Fault = "pause engine"   // of Volume
	KillDaemon  Fault = "kill daemon"    // of Node, whose engines and guests go on
	KillNode    Fault = "kill node"      // all processes of Node; the page cache stays
	CutPower    Fault = "cut power"      // of Node, with the page cache
	CutSite     Fault = "cut all power"  // of every node at once
	PauseNode   Fault = "pause node"     // all processes of Node
	KillLeader  Fault = "kill leader"    // all processes of the node that leads
	PauseLeader Fault = "pause leader"   // the same, paused
	CutLeader   Fault = "cut off leader" // from every other node
	CutLink     Fault = "cut link"       // between Node and Other, or all if that is empty
	CutOneWay   Fault = "cut one way"    // only what Node sends to Other, or to all
	SlowLink    Fault = "slow, lossy"    // every link of Node
	FillDisk    Fault = "fill disk"      // of Node
	FailOver    Fault = "fail over"      // the domain of Volume, by order
	Move        Fault = "move"           // Volume, by an operator, with --takeover
	Detach      Fault = "detach, attach" // Volume, by an operator
	ReplaceNode Fault = "replace a node" // a storage node by the spare one; the old one becomes the spare, empty
)

// The measures of a plan.
const (
	firstFault   = 2 * time.Second // after the beginning
	restAtTheEnd = 4 * time.Second // in which nothing more begins
	gapMin       = 500 * time.Millisecond
	gapMax       = 3500 * time.Millisecond
	lengthMin    = 1 * time.Second
	lengthMax    = 7 * time.Second
)

// Cast is who takes part.
type Cast struct {
	Nodes   []string // with their power and links
	Storage []string // that hold legs, for faults of disks
	Domains []string // volumes that a domain uses
	Manual  []string // volumes that an operator attaches
	Replace []string // storage nodes that may be replaced by one without legs
}

// Step is one fault of a plan.
type Step struct {
	Number int
	At     time.Duration // when it begins, since the beginning of the plan
	For    time.Duration // how long it stays
	Fault  Fault
	Node   string
	Other  string
	Volume string
	Delay  time.Duration // of SlowLink
	Loss   float64       // of SlowLink
}

// String is a line of the list that is printed before anything happens.
func (s Step) String() string {
	return fmt.Sprintf("%3d  %6.1fs  +%4.1fs  %s", s.Number, s.At.Seconds(), s.For.Seconds(), s.What())
}

// What says what happens, and to whom.
func (s Step) What() string {
	text := fmt.Sprintf("%-15s", s.Fault)
	what := slices.DeleteFunc([]string{s.Node, s.Other, s.Volume}, func(w string) bool { return w == "" })
	text += " " + strings.Join(what, " ")
	if s.Fault == SlowLink {
		text += fmt.Sprintf(" %s %.0f %%", s.Delay, 100*s.Loss)
	}
	return strings.TrimRight(text, " ")
}

// weight says how often a fault comes, beside others.
type weight struct {
	fault Fault
	count int
}

func weights() []weight {
	return []weight{
		{KillEngine, 3}, {PauseEngine, 3}, {KillDaemon, 2}, {KillNode, 4}, {CutPower, 5}, {CutSite, 1}, {PauseNode, 4},
		{KillLeader, 2}, {PauseLeader, 2}, {CutLeader, 2}, {CutLink, 4}, {CutOneWay, 4}, {SlowLink, 3}, {FillDisk, 2},
		{FailOver, 3}, {Move, 3}, {Detach, 2}, {ReplaceNode, 1},
	}
}

// Plan draws the faults of a run. The same seed, length and cast give the same plan; nothing else is asked. Each fault
// comes once before any comes twice, in any order; they overlap.
func Plan(seed uint64, length time.Duration, cast Cast) []Step {
	chance := rand.New(rand.NewPCG(seed, 0))
	var deck []Fault
	var steps []Step
	at := firstFault
	for number := 1; at+restAtTheEnd < length; number++ {
		if len(deck) == 0 {
			deck = shuffled(chance, number == 1)
		}
		s := Step{Number: number, At: at, For: between(chance, lengthMin, lengthMax), Fault: deck[0]}
		deck = deck[1:]
		if !s.choose(chance, cast) {
			number--
			continue
		}
		steps = append(steps, s)
		at += between(chance, gapMin, gapMax)
	}
	return steps
}

// shuffled returns faults in a drawn order: all of them once for the first, by their weights for the others.
func shuffled(chance *rand.Rand, once bool) []Fault {
	var deck []Fault
	for _, w := range weights() {
		n := w.count
		if once {
			n = 1
		}
		for range n {
			deck = append(deck, w.fault)
		}
	}
	chance.Shuffle(len(deck), func(i, j int) { deck[i], deck[j] = deck[j], deck[i] })
	return deck
}

func between(chance *rand.Rand, low, high time.Duration) time.Duration {
	return (low + time.Duration(chance.Int64N(int64(high-low)))).Round(100 * time.Millisecond)
}

func pick(chance *rand.Rand, from []string) string { return from[chance.IntN(len(from))] }

// choose draws whom the fault strikes. False says that nobody in the cast can be struck.
func (s *Step) choose(chance *rand.Rand, cast Cast) bool {
	switch s.Fault {
	case KillEngine, PauseEngine:
		s.Volume = pick(chance, slices.Concat(cast.Domains, cast.Manual))
	case KillDaemon, KillNode, PauseNode:
		s.Node = pick(chance, cast.Nodes)
	case CutPower, FillDisk:
		s.Node = pick(chance, cast.Storage)
	case CutLink, CutOneWay:
		if len(cast.Nodes) < 2 {
			return false
		}
		s.Node = pick(chance, cast.Nodes)
		if chance.IntN(2) == 0 {
			others := slices.DeleteFunc(slices.Clone(cast.Nodes), func(n string) bool { return n == s.Node })
			s.Other = pick(chance, others)
		}
	case SlowLink:
		s.Node = pick(chance, cast.Nodes)
		s.Delay = time.Duration(1+chance.IntN(60)) * time.Millisecond
		s.Loss = float64(chance.IntN(6)) / 100
	case FailOver:
		if len(cast.Domains) == 0 {
			return false
		}
		s.Volume = pick(chance, cast.Domains)
	case Move, Detach:
		if len(cast.Manual) == 0 {
			return false
		}
		s.Volume = pick(chance, cast.Manual)
	case ReplaceNode:
		if len(cast.Replace) == 0 {
			return false
		}
		s.Node = pick(chance, cast.Replace)
	}
	return true
}
