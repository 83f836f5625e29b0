package mirror

import (
	"fmt"

	"github.com/holdfast-storage/holdfast/volume"
)

// CONFIG is carried by the engine: after each commit that changes the in-sync list, every leg that
// receives writes, joining ones included, makes the new configuration durable and stamps its marked
// regions with it (protocol-flush B.5, B.6). Only then does the engine act on the commit.

// adopt takes over a configuration that the coordinators committed.
func (c *Core) adopt(cfg volume.Config) {
	if cfg.CfgVer <= c.kcfg.CfgVer {
		return
	}
	var in legSet
	for _, id := range cfg.InSync {
		i := c.indexOf(id)
		if i == noLeg || !legStates[c.leg(i).state].ack {
			c.bug("configuration %s has leg %s in sync, which acks do not need", cfg.CfgVer, id)
			return
		}
		in = in.with(i)
	}
	// A leg that was in sync and is not any more lacks at most what is newer than the configuration
	// before this one.
	for s := c.kisr &^ in; s != 0; s = s.rest() {
		g := c.leg(s.first())
		g.since = max(g.since, c.kcfg.CfgVer)
	}
	c.kcfg, c.kisr, c.conf = cfg.Clone(), in, 0
	for s := c.ack &^ c.removed; s != 0; s = s.rest() {
		c.place(s.first(), in.has(s.first()))
	}
	c.checkCacheLost()
	c.note(workMembers)
}

// place brings a leg's state in line with the configuration that was adopted.
func (c *Core) place(i LegIndex, in bool) {
	g := c.leg(i)
	switch {
	case in && g.state == LegAdding:
		c.join.active = false
		c.uncleared = true // its own marks were kept while it joined
		g.setBack, g.full = false, false
		c.enter(i, LegAnnounced, "AddLeg is committed")
		return
	case in || g.state <= LegAdding:
		return
	}
	if g.state == LegAnnounced || g.state == LegInSync {
		c.enter(i, LegSuspect, "the coordinators removed it")
	}
	if g.state == LegSuspect {
		c.enter(i, LegRemoving, "the coordinators removed it")
	}
	c.enter(i, LegRemoved, fmt.Sprintf("configuration %s is without it", c.kcfg.CfgVer))
}

// pushConfig sends CONFIG to every leg that must have it and has not.
func (c *Core) pushConfig() {
	to := c.receivers()
	if c.breaks(BreakPushISROnly) {
		to &^= c.wo
	}
	if i := c.join.leg; c.join.active && c.leg(i).state == LegConfiguring {
		to = to.with(i)
	}
	for s := to &^ c.conf; s != 0; s = s.rest() {
		i := s.first()
		if g := c.leg(i); c.usable(i) && !g.confCall && g.trouble == 0 {
			g.confCall = true
			c.callLeg(i, &Command{Kind: CommandConfig, Config: c.kcfg.Clone()}, nil, uint64(c.kcfg.CfgVer))
		}
	}
}

// onConfig takes a leg's answer to CONFIG. It counts only in the session that it was sent in: a
// label that shows the configuration is not an answer.
func (c *Core) onConfig(k call, err error) {
	g := c.leg(k.leg)
	g.confCall = false
	c.note(workConfig)
	if err != nil {
		c.legCallFailed(k, err)
		return
	}
	g.confirmed = max(g.confirmed, volume.CfgVer(k.ref))
	g.shown.config = max(g.shown.config, volume.CfgVer(k.ref))
	if volume.CfgVer(k.ref) != c.kcfg.CfgVer || g.lost || g.state == LegOutside {
		return // a newer one is on its way, or it takes no part any more
	}
	c.conf = c.conf.with(k.leg)
	if g.state != LegConfiguring {
		return
	}
	if c.stillSlow(k) {
		c.dropJoin(k.leg, "it is slow still")
		return
	}
	c.lay.settleIn(c, k.leg)
}

// configured reports whether every leg that receives writes has the newest configuration.
func (c *Core) configured() bool {
	need := c.receivers()
	if c.breaks(BreakPushISROnly) {
		need &^= c.wo
	}
	return need.within(c.conf)
}

// settleConfig acts on a commit once its CONFIG is everywhere: removed legs leave ack_set, and with
// that held acks and flushes go; added legs may be read.
func (c *Core) settleConfig() {
	if c.phase < phaseConfiguring || c.phase > phaseDraining {
		return
	}
	c.pushConfig()
	everywhere := c.configured() || c.breaks(BreakServeEarly)
	// [M:releaseEarly] Not before every leg that receives writes has CONFIG.
	if everywhere || c.breaks(BreakReleaseEarly) {
		for s := c.removed; s != 0; s = s.rest() {
			c.enter(s.first(), LegOutside, "CONFIG is on every leg that receives writes")
		}
	}
	if !everywhere {
		return
	}
	for s := c.ack; s != 0; s = s.rest() {
		if i := s.first(); c.leg(i).state == LegAnnounced && c.phase >= phaseServing {
			c.enter(i, LegInSync, "CONFIG is on every leg")
			c.note(workChange | workCopy)
		}
	}
}
