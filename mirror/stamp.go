package mirror

// A join compares before it copies, and what is equal is not written: the joining leg's own versions say
// nothing of such regions. Before acks need it, it takes over the source's versions of everything that
// is newer than what it surely has (I17): else a third leg, which comes back when this one is the only
// source, would not learn what it missed.

// stampVersions asks the source for its versions.
func (c *Core) stampVersions() {
	j := &c.join
	if c.breaks(BreakNoStampTake) { // [M:noStampTake]
		c.promote()
		return
	}
	src := c.joinSource()
	if j.stamping || src == noLeg || j.retryAt > c.now {
		return
	}
	j.stamping = true
	c.callLeg(src, &Command{Kind: CommandVersions, Since: c.leg(j.leg).copySince()}, nil, j.number)
}

// stamps reports whether an answer is about the join that is under way.
func (c *Core) stamps(k call) bool {
	return c.join.active && k.ref == c.join.number && c.leg(c.join.leg).state == LegStamping
}

// onVersions has the source's versions made durable on the joining leg.
func (c *Core) onVersions(k call, err error, r *Reply) {
	j := &c.join
	if !c.stamps(k) {
		return
	}
	c.note(workJoin)
	switch {
	case err != nil: // asked anew, perhaps of another source
		j.stamping, j.retryAt = false, c.retryLater()
		c.legCallFailed(k, err)
	case len(r.Versions) == 0:
		c.lay.stamped(c)
	default:
		c.callLeg(j.leg, &Command{Kind: CommandStamp, Versions: r.Versions}, nil, j.number)
	}
}

// onStamp goes on when the versions are durable. A leg that cannot store them does not join.
func (c *Core) onStamp(k call, err error) {
	if !c.stamps(k) {
		return
	}
	c.note(workJoin)
	if err != nil {
		c.legCallFailed(k, err)
		return
	}
	c.lay.stamped(c)
}
