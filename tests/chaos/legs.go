package chaos

import (
	"slices"
	"strings"
	"time"
)

// PowerCut is a node's loss of its power, on CLOCK_MONOTONIC: what was on its way to its disks was called before.
type PowerCut struct {
	Node string
	At   time.Duration
}

// stay is a time in which a node had a leg of a volume.
type stay struct {
	node        string
	from, until time.Duration
}

// Legs knows which nodes had a leg of a volume, and when. Where it is not sure it says that they had one.
type Legs struct{ stays []stay }

// NewLegs begins with the nodes that a volume was made on.
func NewLegs(nodes ...string) *Legs {
	l := &Legs{}
	for _, n := range nodes {
		l.stays = append(l.stays, stay{n, 0, never})
	}
	return l
}

// Note takes an event of the volume, in their order. Those that are not about a replacement change nothing; neither
// does the end of one that did not come to its end: the node may have had the leg for a while longer.
func (l *Legs) Note(kind, message string, at time.Duration) {
	// leg 1234 on NODE of volume NAME is to take, or: has taken, the place of leg 5678 on NODE
	words := strings.Fields(message)
	if len(words) < 4 {
		return
	}
	to, from := words[3], words[len(words)-1]
	switch kind {
	case "leg_replacing":
		l.stays = append(l.stays, stay{to, at, never})
	case "leg_replaced":
		for i := range l.stays {
			if s := &l.stays[i]; s.node == from && s.until == never {
				s.until = at
				return
			}
		}
	}
}

// Cuts returns those losses of power that can have hit a leg of the volume, in their order. Events are told by another
// clock than cuts.
func (l *Legs) Cuts(all []PowerCut) []time.Duration {
	var cuts []time.Duration
	for _, c := range all {
		if slices.ContainsFunc(l.stays, func(s stay) bool {
			return s.node == c.Node && c.At+lossSlack >= s.from && c.At-lossSlack <= s.until
		}) {
			cuts = append(cuts, c.At)
		}
	}
	return cuts
}
