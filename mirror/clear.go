package mirror

// clearJob empties the marks of the legs, so that the next takeover has less to reconcile
// (protocol §3 "Clearing", protocol-flush C.7): ROTATE on every leg of ack_set; when every write
// dispatched before the last answer has ended on all legs, flush; then STABLE. It never goes to a
// joining leg, whose marks are its copy set, and any change of ack_set or loss of a session ends
// it without harm: marks that stay only cost time.
type clearJob struct {
	step    clearStep
	number  uint64
	legs    legSet
	pending legSet
	gens    [MaxLegs]uint64
	through uint64 // writes up to this one are covered
	flushed bool
}

type clearStep uint8

const (
	clearIdle clearStep = iota
	clearRotating
	clearWaiting
	clearFlushing
	clearStabling
)

// calm reports whether every leg that acks need is in sync, connected and configured.
func (c *Core) calm() bool {
	if c.ack == 0 || c.ack != c.kisr || c.removed != 0 || !c.configured() || !c.ack.within(c.usableOf(c.ack)) {
		return false
	}
	for s := c.ack; s != 0; s = s.rest() {
		if g := c.leg(s.first()); g.state != LegInSync || g.trouble != 0 {
			return false
		}
	}
	return true
}

// clearDue reports whether marks are to be cleared now.
func (c *Core) clearDue() bool {
	if !c.uncleared || !c.serving() || c.reconcile.set.left > 0 || !c.calm() || c.rotating() {
		return false
	}
	idle := c.writes.head == nil && c.now-c.lastWrite >= c.timing().StableIdle
	return idle || c.now-c.lastClear >= c.timing().StableBusy || c.phase == phaseDraining && c.guestOps == 0
}

// settleClear takes the next step of clearing that has become possible.
func (c *Core) settleClear() {
	k := &c.clear
	switch k.step {
	case clearIdle:
		if c.clearDue() {
			c.beginClear()
		}
	case clearWaiting:
		if c.writtenThrough(k.through) || c.breaks(BreakClearEarly) { // [M:clearEarly]
			if c.breaks(BreakClearUnflushed) { // [M:clearUnflushed]
				c.sendStable()
				return
			}
			k.step, k.flushed = clearFlushing, false
			c.lay.stabilize(c)
		}
	case clearFlushing:
		if k.flushed {
			c.sendStable()
		}
	}
}

// rotating reports whether a leg has yet to answer a ROTATE of a clearing that was given up. It may reach
// the leg behind the next one: that one's window would not be the last that ended, and its STABLE would
// clear nothing, so that the marks stay until the next write.
func (c *Core) rotating() bool {
	for _, k := range c.calls {
		if k.kind == CommandRotate && c.ack.has(k.leg) && k.sess == c.leg(k.leg).sess {
			return true
		}
	}
	return false
}

func (c *Core) beginClear() {
	k := &c.clear
	k.number++
	k.step, k.legs = clearRotating, c.ack
	if c.breaks(BreakStableJoining) {
		k.legs |= c.usableOf(c.wo)
	}
	// A write under way may reach a leg before or behind ROTATE there: its marks need another turn.
	k.pending, c.uncleared = k.legs, c.writes.n > 0
	for s := k.legs; s != 0; s = s.rest() {
		c.callLeg(s.first(), &Command{Kind: CommandRotate}, nil, k.number)
	}
}

func (c *Core) onRotate(n call, err error, r *Reply) {
	if n.ref&saveRef != 0 {
		c.onSaveRotate(n, err, r)
		return
	}
	k := &c.clear
	c.note(workClear) // that of a clearing which was given up may be what the next one waits for
	if err != nil {
		c.abortClear()
		c.legCallFailed(n, err)
		return
	}
	c.labelSeq(n.leg, r.Seq)
	if k.step != clearRotating || n.ref != k.number {
		return
	}
	k.gens[n.leg] = r.Generation
	if k.pending = k.pending.without(n.leg); k.pending == 0 {
		k.step, k.through = clearWaiting, c.seq
	}
}

func (c *Core) sendStable() {
	k := &c.clear
	k.step, k.pending = clearStabling, k.legs
	for s := k.legs; s != 0; s = s.rest() {
		i := s.first()
		c.leg(i).shown.cleared = k.through
		c.callLeg(i, &Command{Kind: CommandStable, Generation: k.gens[i]}, nil, k.number)
	}
}

func (c *Core) onStable(n call, err error, r *Reply) {
	if n.ref&saveRef != 0 {
		c.onSaveStable(n, err, r)
		return
	}
	k := &c.clear
	if err != nil {
		c.abortClear()
		c.legCallFailed(n, err)
		return
	}
	c.labelSeq(n.leg, r.Seq)
	if k.step != clearStabling || n.ref != k.number {
		return
	}
	if k.pending = k.pending.without(n.leg); k.pending == 0 {
		k.step, c.lastClear = clearIdle, c.now
		c.note(workDetach)
	}
}

// abortClear gives the clearing under way up; it begins anew when the legs are calm.
func (c *Core) abortClear() {
	if c.clear.step == clearIdle {
		return
	}
	c.clear.step = clearIdle
	c.clear.number++
	c.uncleared = true
}
