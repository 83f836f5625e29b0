package mirror

import (
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-storage/holdfast/volume"
)

// changeJob is the one question about the in-sync list that may be under way. One at a time: the
// next is asked by what the answer to the last one said.
type changeJob struct {
	retryAt time.Duration
	why     string // why the last question was not answered with yes
}

// pumpChange asks the coordinators for the next change of the in-sync list, if one is due.
func (c *Core) pumpChange() {
	if c.phase < phaseConfiguring || c.phase > phaseDraining ||
		c.asking(CommandRemoveLeg) || c.asking(CommandAddLeg) || c.asking(CommandActivate) {
		return
	}
	c.markRetiring()
	if c.change.retryAt > c.now {
		c.wake(c.change.retryAt)
		return
	}
	if i := c.nextRemoval(); i != noLeg {
		g := c.leg(i)
		if g.joinedUnseen {
			// AddLeg of an old configuration never adds a leg anew (its compare-and-set fails); of a
			// leg that is in the list it answers the configuration that RemoveLeg has to name.
			c.askAddLeg(i)
			return
		}
		if g.state == LegSuspect {
			c.enter(i, LegRemoving, g.why)
		}
		c.ask(i, &Command{Kind: CommandRemoveLeg, CfgVer: c.kcfg.CfgVer, Reason: g.why,
			SetBack: g.setBack, Seqs: c.labelSeqs(c.kisr | only(i))}, 0)
		return
	}
	if i := c.unsure(); i != noLeg {
		c.ask(i, &Command{Kind: CommandActivate}, 0)
		return
	}
	// [M:noCAS] AddLeg names the newest configuration, which every leg already has. It is not asked for a
	// leg that is away: nobody knows what it will have when it is back [M:joinReboot].
	if i := c.join.leg; c.join.active && c.leg(i).state == LegAdding && c.usable(i) && c.configured() &&
		c.kisr.count() < volume.MaxInSync { // else one that is replaced leaves first, since labels hold no more
		c.askAddLeg(i)
	}
}

func (c *Core) askAddLeg(i LegIndex) {
	r := &c.leg(i).report
	c.ask(i, &Command{Kind: CommandAddLeg, CfgVer: c.kcfg.CfgVer, Store: r.Label.StoreID, Instance: r.Instance},
		uint64(c.kcfg.CfgVer))
}

// nextRemoval returns the leg whose removal is to be asked for, noLeg if there is none. A question
// whose outcome is unknown comes first; it too is repeated only while the set may shrink by the leg,
// for what was right to ask may be wrong by now.
func (c *Core) nextRemoval() LegIndex {
	for _, state := range [...]LegState{LegRemoving, LegSuspect} {
		for s := c.ack; s != 0; s = s.rest() {
			if i := s.first(); c.leg(i).state == state && c.removable(i) {
				return i
			}
		}
	}
	return noLeg
}

// unsure returns a leg that answers and may or may not have been removed, when it is wrong to ask
// for its removal again: raft has to be asked what it is. A repeated Activate answers that and
// changes nothing.
func (c *Core) unsure() LegIndex {
	for s := c.ack; s != 0; s = s.rest() {
		i := s.first()
		g := c.leg(i)
		open := g.state == LegRemoving || g.state == LegSuspect && g.unresolved
		rest := c.kisr.without(i)
		if g.state == LegRemoving && c.usable(i) || open && c.enough(rest) && c.allLost(rest) {
			if g.lookAt > c.now { // raft was asked just now; meanwhile another question may help
				c.wake(g.lookAt)
				continue
			}
			return i
		}
	}
	return c.perhapsAdded()
}

// allLost reports whether what is left of s without the legs that lost their cache is not enough: then one whose
// removal may be committed is all that is left, or nothing is, and only raft can tell.
func (c *Core) allLost(s legSet) bool { return !c.enough(c.kept(s)) }

// onLook takes raft's answer to what the configuration is.
func (c *Core) onLook(i LegIndex, err error, r *Reply) {
	c.note(workChange | workState)
	c.change.why = ""
	if err != nil {
		c.retryChange(err)
		return
	}
	c.adopt(r.Config)
	g := c.leg(i)
	if c.stop == nil && c.perhapsAdded() == i {
		g.lost = true // raft does not have it, and nothing that is left has what the guest was told
		c.checkCacheLost()
		return
	}
	if c.stop == nil && !c.usable(i) { // it is away, and a late RemoveLeg may still commit: look again
		c.change.retryAt = c.now + c.timing().TRead
		c.wake(c.change.retryAt)
	}
	if c.stop == nil && g.state == LegRemoving && r.Config.Contains(g.info.ID) {
		g.unresolved = true // a late RemoveLeg may still come: it is kept, and not read
		c.enter(i, LegSuspect, "it is still in sync")
		c.rehabilitate(i)
	}
	if g.state == LegSuspect {
		g.lookAt = c.now + c.timing().TRead
	}
}

// removable reports whether the set may shrink by leg i.
//
// [M:removeGood] The host never removes the last leg that it does not know to have lost its cache
// (protocol-flush C.3). Nor does it shrink to a corpse: others that are enough must answer now, or the
// wait for whichever comes back first is the better choice. A leg that is only suspect because its own
// removal was asked for is as good as one in sync: if that one was committed, or is before this one, the
// coordinators refuse this one, for it names an older configuration than they have [M:lateRemove] (from cluster
// version 2 on).
func (c *Core) removable(i LegIndex) bool {
	var rest legSet
	for s := (c.ack &^ c.removed).without(i); s != 0; s = s.rest() {
		k := s.first()
		g := c.leg(k)
		if g.up && (c.breaks(BreakRemoveGood) || c.breaks(BreakLagLast) && c.leg(i).slow.accused) {
			return true
		}
		alive := g.lastConfirm != 0 && c.now-g.lastConfirm < c.timing().TRead || g.lastConfirm == 0 && g.up
		good := g.state == LegAnnounced || g.state == LegInSync ||
			g.state == LegSuspect && g.unresolved && c.kisr.has(k) && g.retryAt == 0 && !c.owes(k)
		if good && c.usable(k) && alive {
			rest = rest.with(k)
		}
	}
	return c.enough(rest)
}

// onRemoveLeg takes the answer to RemoveLeg.
func (c *Core) onRemoveLeg(k call, err error, r *Reply) {
	g := c.leg(k.leg)
	c.note(workChange | workState)
	c.change.why = ""
	switch {
	case err == nil:
		if c.adopt(r.Config); g.state != LegRemoving {
			return
		}
		err = fmt.Errorf("RemoveLeg answered configuration %s, which has the leg or is old", r.Config.CfgVer)
	case errors.Is(err, ErrLast):
		c.adopt(r.Config)
		g.unresolved = !c.kcfg.Contains(g.info.ID)
		c.enter(k.leg, LegSuspect, err.Error())
		c.rehabilitate(k.leg)
	case errors.Is(err, ErrStaleRequest):
		old := c.kcfg.CfgVer
		c.adopt(r.Config)
		if c.kcfg.CfgVer > old {
			return // with the newer configuration it can be decided anew, now
		}
		g.joinedUnseen = true // an AddLeg whose answer was lost was committed
	default: // unknown: ask again
	}
	c.retryChange(err)
}

// onAddLeg takes the answer to AddLeg. A refusal is settled by RemoveLeg, which also makes a new
// configuration that any late duplicate of this AddLeg misses.
func (c *Core) onAddLeg(k call, err error, r *Reply) {
	c.note(workChange | workState)
	c.change.why = ""
	c.leg(k.leg).joinedUnseen = false
	if err == nil || errors.Is(err, ErrRetry) || errors.Is(err, ErrStaleRequest) {
		c.adopt(r.Config)
		if err == nil && !c.kcfg.Contains(c.leg(k.leg).info.ID) && c.leg(k.leg).state == LegAdding {
			err = fmt.Errorf("configuration %s is without it: %w", c.kcfg.CfgVer, ErrRetry)
		}
		if err != nil && c.leg(k.leg).state == LegAdding {
			c.suspect(k.leg, err.Error())
		}
		return
	}
	c.retryChange(err)
}

func (c *Core) retryChange(err error) {
	c.change.why = err.Error()
	c.change.retryAt = c.now + c.timing().Retry
	c.wake(c.change.retryAt)
}

// retireDue reports whether the leg is to leave because the one that replaces it is in sync.
func (c *Core) retireDue(i LegIndex) bool {
	g := c.leg(i)
	if !g.info.Retiring {
		return false
	}
	for s := c.ack; s != 0; s = s.rest() {
		if k := c.leg(s.first()); k.info.Replaces == g.info.ID && k.state == LegInSync {
			return true
		}
	}
	return false
}

// markRetiring makes retiring legs suspect once they have been replaced.
func (c *Core) markRetiring() {
	for s := c.ack; s != 0; s = s.rest() {
		if i := s.first(); c.leg(i).state == LegInSync && c.configured() && c.retireDue(i) && c.removable(i) {
			c.suspect(i, "it is replaced")
		}
	}
}
