package mirror

import (
	"errors"
	"math/bits"
	"time"

	"github.com/holdfast-storage/holdfast/block"
)

// A disk can be dead behind a node that is alive: the node answers signs of life, takes writes into its page
// cache and gives reads from it, and the loss shows when it is too late. So every Timing.Challenge each leg
// in sync is asked for the checksum of one block as its medium has it. A leg that does not answer
// while another one does is slow, however fast it is otherwise.
//
// The answer's value counts for nothing: the block is not locked, and finding blocks that differ is the
// scrub's work.
type challenge struct {
	at    time.Duration // of the latest round
	round uint64
	touch int64 // where was written last: not a hole of the legs' files
}

// medium is what the Core knows of one leg's medium.
type medium struct {
	under    bool          // one is under way
	sentAt   time.Duration // of the one under way
	answered time.Duration // send time of the newest request that its medium answered
	at       time.Duration // when that answer came
}

// challenge asks the legs in sync for a sign of life of their media, and accuses those that do not give it.
func (c *Core) challenge() {
	for s := c.read; s != 0; s = s.rest() {
		c.judgeMedium(s.first())
	}
	every := c.timing().Challenge
	if i := c.join.leg; c.join.active && c.leg(i).state == LegCopying {
		c.judgeMedium(i)
		if m := &c.leg(i).medium; c.onProbation(i) && c.now-max(m.answered, m.sentAt) >= every {
			c.challengeLeg(i, c.challengeBlock()) // it is to be read again soon
		}
	}
	k := &c.challenged
	if k.at == 0 {
		k.at = c.now
	}
	if c.phase != phaseServing || c.read.rest() == 0 || c.now-k.at < every {
		return // a leg alone has nobody to be compared with
	}
	k.at = c.now
	k.round++
	r := c.challengeBlock()
	for s := c.read; s != 0; s = s.rest() {
		if c.now-c.leg(s.first()).medium.answered >= every {
			c.challengeLeg(s.first(), r)
		}
	}
}

// challengeBlock returns the block of this round: in turns the one that was written last and one
// anywhere, by steps of the golden ratio, which come near every block before they come back to one.
func (c *Core) challengeBlock() block.Range {
	blocks := uint64(c.legBytes() / BlockBytes)
	b, _ := bits.Mul64(c.challenged.round*0x9e3779b97f4a7c15, blocks)
	if c.challenged.round%2 == 0 {
		b = uint64(c.challenged.touch / BlockBytes)
	}
	return block.Range{Off: int64(b) * BlockBytes, Len: BlockBytes}
}

func (c *Core) challengeLeg(i LegIndex, r block.Range) {
	g := c.leg(i)
	if m := &g.medium; !m.under && c.usable(i) && g.trouble == 0 {
		m.under, m.sentAt = true, max(c.now, 1)
		c.callLeg(i, &Command{Kind: CommandSums, Range: r, Medium: true}, nil, sumsChallenge)
	}
}

// sumsChallenge marks a CHECKSUMS that is a challenge.
const sumsChallenge uint64 = 1 << 63

// judgeMedium accuses a leg whose challenge is still under way when the medium of another one answered twice
// as long ago as a slow leg may take.
func (c *Core) judgeMedium(i LegIndex) {
	m := &c.leg(i).medium
	if !m.under {
		return
	}
	for s := c.read.without(i); s != 0; s = s.rest() {
		other := &c.leg(s.first()).medium
		if other.answered >= m.sentAt && c.now-max(other.at, c.awake) >= 2*c.timing().SlowLeg {
			c.accuse(i, "its medium does not answer")
			return
		}
	}
}

// onChallenge takes the answer to a challenge. One that the block cannot be read is an answer, too.
func (c *Core) onChallenge(k call, err error) {
	c.leg(k.leg).medium.under = false
	if err != nil && !errors.Is(err, block.ErrMedium) {
		c.legCallFailed(k, err)
	}
}
