package mirror

import (
	"time"

	"github.com/holdfast-storage/holdfast/volume"
)

// roundJob brings staged writes home and frees their records (docs/safety/journal.md, Destaging): FLUSH on every leg
// that gets records; when all have answered COMMIT; when all have answered FREE. One round is under way at a time, and
// a change of the legs begins it anew: every step may be repeated.
type roundJob struct {
	step    roundStep
	number  uint64
	legs    legSet
	pending legSet
	upTo    uint64 // every write up to this one is staged on all of its Q that is left
	freed   uint64 // every write up to this one is freed
	wanted  uint64 // somebody waits until every write up to this one is freed
	left    bool   // there are records of earlier epochs
	flushed bool
	at      time.Duration // when the latest round began
	retryAt time.Duration
}

type roundStep uint8

const (
	roundIdle roundStep = iota
	roundFlushing
	roundCommitting
	roundFreeing
)

// settleRound takes the next step of the round that has become possible.
func (p *paritySet) settleRound(c *Core) {
	r := &p.round
	if r.step != roundIdle && (r.legs != c.receivers() || !p.roundLegs(c)) {
		p.abortRound(c)
	}
	p.dropWaitedFor(c)
	switch r.step {
	case roundIdle:
		if p.roundDue(c) {
			p.beginRound(c)
		}
	case roundFlushing:
		if r.flushed {
			p.sendRound(c, roundCommitting, CommandCommit)
		}
	}
}

// dropWaitedFor drops a joining leg that alone keeps a round from its end while writes wait for room: acks do not need
// it, and the guest is not to wait for it as long as for the medium of a leg in sync.
func (p *paritySet) dropWaitedFor(c *Core) {
	r, i := &p.round, c.join.leg
	if r.step == roundIdle || p.room.waiting.n == 0 || !c.join.active || !c.wo.has(i) ||
		c.now-r.at < c.timing().SlowLeg {
		return
	}
	left := r.pending
	if r.step == roundFlushing {
		left = 0
		for o := c.flushes.head; o != nil; o = o.next {
			if o.purpose == flushRound && o.seq == r.number {
				left = o.targets &^ o.answered
			}
		}
	}
	if left == only(i) {
		c.dropJoin(i, "writes of the guest waited for room that it did not free")
		p.abortRound(c)
	}
}

// roundLegs reports whether every leg that gets records can take part in a round. One that failed comes back or leaves
// first, and CONFIG says so everywhere: what it has is asked for by nobody then. One whose removal is in doubt takes
// part as long as it is well, as it does in acks: it may be in sync, and while no coordinator answers journals fill.
func (p *paritySet) roundLegs(c *Core) bool {
	all := c.receivers()
	return all != 0 && c.removed == 0 && c.configured() && all.within(c.usableOf(all))
}

// upTo returns the highest number such that every write up to it is staged on all of its Q that is left.
func (p *paritySet) upTo(c *Core) uint64 {
	if c.writes.head != nil {
		return c.writes.head.seq - 1
	}
	return c.seq
}

// roundDue reports whether a round is to begin now.
func (p *paritySet) roundDue(c *Core) bool {
	r := &p.round
	if !c.serving() || !p.roundLegs(c) {
		return false
	}
	if r.retryAt > c.now {
		c.wake(r.retryAt)
		return false
	}
	upTo := p.upTo(c)
	switch {
	case r.wanted > r.freed && upTo >= r.wanted:
		return true
	case upTo == r.freed && !r.left:
		return false
	}
	idle := c.writes.head == nil && c.now-c.lastWrite >= c.timing().StableIdle
	return idle || c.now-r.at >= c.timing().StableBusy || p.room.isHalf() || p.room.waiting.n > 0
}

func (p *paritySet) beginRound(c *Core) {
	r := &p.round
	r.number++
	r.step, r.legs, r.upTo, r.flushed, r.at = roundFlushing, c.receivers(), p.upTo(c), false, c.now
	if c.breaks(BreakCommitLocal) { // [M:commitLocal]
		p.sendRound(c, roundCommitting, CommandCommit)
		return
	}
	c.flushFor(flushRound, r.legs, r.number)
}

// sendRound sends the next command of the round to its legs.
func (p *paritySet) sendRound(c *Core, step roundStep, kind CommandKind) {
	r := &p.round
	r.step, r.pending = step, r.legs
	for s := r.legs; s != 0; s = s.rest() {
		p.sendRoundTo(c, s.first(), kind)
	}
}

func (p *paritySet) sendRoundTo(c *Core, i LegIndex, kind CommandKind) {
	upTo := volume.Transaction{Epoch: c.opts.Epoch, Number: p.round.upTo}
	c.callLeg(i, &Command{Kind: kind, UpTo: upTo}, nil, p.round.number)
}

// onRound takes a leg's answer to COMMIT or FREE.
func (p *paritySet) onRound(c *Core, k call, err error) {
	r := &p.round
	c.note(workRound | workClear | workJoin)
	if err != nil {
		if k.ref == r.number {
			p.abortRound(c)
		}
		c.legCallFailed(k, err)
		return
	}
	want := roundCommitting
	if k.kind == CommandFree {
		want = roundFreeing
	}
	if k.ref != r.number || r.step != want {
		return
	}
	if r.pending = r.pending.without(k.leg); want == roundCommitting && c.breaks(BreakFreeEarly) {
		p.sendRoundTo(c, k.leg, CommandFree) // [M:freeEarly]
	}
	if r.pending != 0 {
		return
	}
	if want == roundCommitting {
		p.sendRound(c, roundFreeing, CommandFree)
		return
	}
	r.step, r.freed, r.left = roundIdle, r.upTo, false
	p.room.free(r.freed)
	p.pumpRoom(c)
	p.roundEnded(c)
}

// abortRound gives the round up; the next one begins at its FLUSH.
func (p *paritySet) abortRound(c *Core) {
	r := &p.round
	r.step, r.retryAt = roundIdle, c.retryLater()
	r.number++
}

// roundEnded goes on with those who waited for a round.
func (p *paritySet) roundEnded(c *Core) {
	r := &p.round
	if c.clear.step == clearFlushing && r.freed >= c.clear.through {
		c.clear.flushed = true
		c.note(workClear)
	}
	p.joinDurable(c)
}

// stabilize implements layout: STABLE forgets marks of what is freed, and of nothing else.
func (p *paritySet) stabilize(c *Core) {
	p.round.wanted = max(p.round.wanted, c.clear.through)
	if p.round.freed >= c.clear.through && !p.round.left {
		c.clear.flushed = true
		c.note(workClear)
	}
	c.note(workRound)
}
