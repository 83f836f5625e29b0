package image

import (
	"time"

	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/volume"
)

// step is what to do next about one blob.
type step string

const (
	stepNone   step = ""
	stepVerify step = "verify" // read the file: nobody may use it before
	stepPull   step = "pull"   // get it from another node
	stepHeld   step = "held"   // tell the coordinators that it is here
	stepLost   step = "lost"   // tell them that it is not
	stepCheck  step = "check"  // read it once more, in no hurry: it may have rotted
	stepRemove step = "remove" // nobody wants it any more
)

// task is a step and the blob that it is about. The urgent ones come first: it may interrupt what matters less.
type task struct {
	step  step
	order peer.ImageOrder // for stepRemove the digest alone
	rank  int             // lower is more urgent
	// checked is when the blob was last known to be right, if it is to be read: the longest ago comes first in a rank.
	checked time.Time
}

// before reports whether a task comes before another one that was found earlier. What is here and has to be read comes
// before what is not here: it takes less, and then this node can give it.
func (t task) before(o task) bool {
	pull, otherPull := t.step == stepPull, o.step == stepPull
	switch {
	case o.step == stepNone:
		return true
	case t.rank != o.rank:
		return t.rank < o.rank
	case pull != otherPull:
		return otherPull
	}
	return t.checked.Before(o.checked)
}

// standing is what is known of a blob that is ordered.
type standing struct {
	order    peer.ImageOrder
	here     bool      // there is a file of it
	verified time.Time // zero = not by this daemon
	checked  time.Time // when it was last known to be right, by whichever daemon; zero = nobody knows
	retry    time.Time // no attempt before
}

// How often things are done.
const (
	checkEvery  = 24 * time.Hour // a blob is read again
	removeAfter = time.Hour      // nobody has wanted a blob for so long
)

// decideFor returns what is due for one blob that is ordered.
//
//	file  verified  coordinators believe  due
//	yes   no        either                verify
//	no    -         yes                   lost
//	no    -         no                    pull, if somebody has it
//	yes   yes       no                    held
//	yes   long ago  yes                   check
func decideFor(s standing, now time.Time) step {
	switch {
	case now.Before(s.retry):
		return stepNone
	case s.here && s.verified.IsZero():
		return stepVerify
	case !s.here && s.order.Has:
		return stepLost
	case !s.here && len(s.order.From) > 0:
		return stepPull
	case !s.here:
		return stepNone
	case !s.order.Has:
		return stepHeld
	case now.Sub(s.verified) >= checkEvery:
		return stepCheck
	}
	return stepNone
}

// unhurried is the rank of what can wait for everything else, whatever it is of.
const unhurried = 1 << 20

// decide returns the most urgent task of all, with stepNone if nothing is due. The orders come in the order in which
// they matter; what tells the coordinators something comes before what takes long. Of what matters alike the one is
// read first that was not for longest: whatever interrupts a round, none is left out again and again.
func decide(orders []standing, unwanted map[volume.Digest]time.Time, now time.Time) task {
	var best task
	rank := 0
	for i, s := range orders {
		if i == 0 || !s.order.Alike {
			rank = i + 1
		}
		t := task{step: decideFor(s, now), order: s.order, rank: rank}
		switch t.step {
		case stepNone:
			continue
		case stepHeld, stepLost:
			t.rank = 0
		case stepVerify:
			t.checked = s.checked
		case stepCheck:
			t.rank, t.checked = unhurried, s.checked
		}
		if t.before(best) {
			best = t
		}
	}
	for digest, since := range unwanted { // any one will do, so the order of the map does not matter
		if now.Sub(since) >= removeAfter && best.step == stepNone {
			best = task{step: stepRemove, order: peer.ImageOrder{Digest: digest}, rank: 2 * unhurried}
		}
	}
	return best
}
