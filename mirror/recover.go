package mirror

import (
	"time"

	"github.com/holdfast-storage/holdfast/volume"
)

// recoverJob is what comes before an epoch of a set of parity serves (docs/safety/journal.md): the journals of S' are
// flushed, every leg says which records it has, and each write that was under way is carried forward on all legs or
// taken back on all. When a leg of S' fails meanwhile it leaves first, and everything begins anew with those that are
// left [M:recStale].
type recoverJob struct {
	step    recoverStep
	number  uint64
	legs    legSet
	pending legSet
	flushed bool
	has     [MaxLegs]*volume.Records
	retryAt time.Duration
}

type recoverStep uint8

const (
	recoverIdle recoverStep = iota
	recoverFlushing
	recoverAsking
	recoverBack
	recoverForward
)

// prepare implements layout.
func (p *paritySet) prepare(c *Core) {
	j := &p.recover
	if c.attach.clean { // every leg has freed all of its records
		p.round.at = c.now
		c.serve()
		return
	}
	if all := c.ack &^ c.removed; !p.recoverable(c, all) || j.step != recoverIdle && j.legs != all {
		p.abortRecover(c)
		if !p.recoverable(c, all) {
			return
		}
	}
	switch j.step {
	case recoverIdle:
		if j.retryAt <= c.now && !p.takingBack(c, c.ack&^c.removed) {
			p.beginRecover(c)
		}
	case recoverFlushing:
		if j.flushed {
			p.askRecords(c)
		}
	}
}

// recoverable reports whether every leg of S' is well, so that what they say is all there is to know.
func (p *paritySet) recoverable(c *Core, all legSet) bool {
	if c.breaks(BreakRecStale) {
		return all != 0
	}
	if all == 0 || c.removed != 0 || !c.configured() || !all.within(c.usableOf(all)) {
		return false
	}
	for s := all; s != 0; s = s.rest() {
		if state := c.leg(s.first()).state; state != LegAnnounced && state != LegInSync {
			return false
		}
	}
	return true
}

// takingBack reports whether a leg has yet to answer a ROLLBACK of a recovery that was given up. With a leg less a
// write may go forward that was to be taken back, and then it must not be taken back behind that.
func (p *paritySet) takingBack(c *Core, legs legSet) bool {
	for _, k := range c.calls {
		if k.kind == CommandRollback && legs.has(k.leg) && k.sess == c.leg(k.leg).sess {
			return true
		}
	}
	return false
}

// abortRecover gives the recovery up; it begins anew.
func (p *paritySet) abortRecover(c *Core) {
	if p.recover.step != recoverIdle {
		p.recover = recoverJob{number: p.recover.number + 1, retryAt: c.retryLater()}
	}
}

func (p *paritySet) beginRecover(c *Core) {
	j := &p.recover
	*j = recoverJob{step: recoverFlushing, number: j.number + 1, legs: c.ack &^ c.removed}
	if c.breaks(BreakRecUndurable | BreakRecStale) { // [M:recUndurable]
		p.askRecords(c)
		return
	}
	c.flushFor(flushRecover, j.legs, j.number)
}

func (p *paritySet) askRecords(c *Core) {
	p.recover.step = recoverAsking
	p.askAll(c, p.recover.legs, func(LegIndex) *Command { return &Command{Kind: CommandRecords} })
}

// askAll sends a command of the recovery to legs.
func (p *paritySet) askAll(c *Core, legs legSet, command func(LegIndex) *Command) {
	j := &p.recover
	j.pending = legs
	for s := legs; s != 0; s = s.rest() {
		c.callLeg(s.first(), command(s.first()), nil, recoverRef|j.number)
	}
}

// recoverRef marks the commands of a recovery; the rest is its number.
const recoverRef = uint64(1) << 63

// onRecover takes a leg's answer to a command of the recovery.
func (p *paritySet) onRecover(c *Core, k call, err error, has *volume.Records) {
	j := &p.recover
	c.note(workAttach)
	current := k.ref == recoverRef|j.number
	if err != nil {
		if current {
			p.abortRecover(c)
		}
		c.legCallFailed(k, err)
		return
	}
	if !current || c.phase != phaseMarking {
		return
	}
	if k.kind == CommandRecords {
		if has == nil {
			c.bug("leg %s answered RECORDS with nothing", c.describe(k.leg))
			return
		}
		j.has[k.leg] = has
	}
	if j.pending = j.pending.without(k.leg); j.pending != 0 {
		return
	}
	switch j.step {
	case recoverAsking:
		p.decide(c)
	case recoverBack:
		p.goForward(c)
	case recoverForward:
		p.recovered(c)
	}
}

// decide takes back what cannot be carried forward, on every leg that has a record of it.
func (p *paritySet) decide(c *Core) {
	j := &p.recover
	var votes []vote
	for s := j.legs; s != 0; s = s.rest() {
		votes = append(votes, vote{leg: c.leg(s.first()).info.ID, has: j.has[s.first()]})
	}
	back := takenBack(votes, p.isWhole(c), p.decision(c))
	var to legSet
	lists := map[LegIndex][]volume.Transaction{}
	for s := j.legs; s != 0; s = s.rest() {
		for _, r := range j.has[s.first()].Records {
			if back[r.Transaction] {
				lists[s.first()] = append(lists[s.first()], r.Transaction)
				to = to.with(s.first())
			}
		}
	}
	j.step = recoverBack
	if to == 0 {
		p.goForward(c)
		return
	}
	// One entry for the whole list, so that a leg takes back all or nothing of it [M:backOrder].
	p.askAll(c, to, func(i LegIndex) *Command { return &Command{Kind: CommandRollback, List: lists[i]} })
	if c.breaks(BreakRecNoFlush) { // [M:recNoFlush]
		p.goForward(c)
	}
}

// goForward commits what is left. What was decided is durable before anything is served [M:recNoFlush].
func (p *paritySet) goForward(c *Core) {
	j := &p.recover
	j.step = recoverForward
	upTo := volume.Transaction{Epoch: c.opts.Epoch}
	p.askAll(c, j.legs, func(LegIndex) *Command { return &Command{Kind: CommandCommit, UpTo: upTo} })
	if c.breaks(BreakRecNoFlush) {
		p.recovered(c)
	}
}

func (p *paritySet) recovered(c *Core) {
	for s := p.recover.legs; s != 0; s = s.rest() {
		p.room.found(s.first(), p.recover.has[s.first()].Records)
	}
	p.recover = recoverJob{number: p.recover.number + 1}
	p.round.left, p.round.at = true, c.now
	c.serve()
}
