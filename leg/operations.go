package leg

import (
	"fmt"
	"slices"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/volume"
)

// Config makes a configuration durable and opens the leg for I/O of its epoch (protocol §1.8). The marked
// regions are stamped with it first: their stamps are durable before the label with the configuration.
func (c *Core) Config(op OpID, id SessionID, e volume.Epoch, cfg volume.Config) {
	o := &operation{id: op, kind: opConfig, session: id, config: cfg.Clone(), before: true}
	_, err := c.live(id)
	if err == nil {
		err = c.checkConfig(e, cfg)
	}
	if err != nil {
		c.reply(o, err)
		return
	}
	c.restamp(cfg.CfgVer)
	o.regions = c.dirty.changes
	c.enqueue(o)
}

// newestConfig returns the configuration that was accepted last, durable or on its way.
func (c *Core) newestConfig() volume.Config {
	for _, o := range slices.Backward(c.pending) {
		if o.kind == opConfig && o.before {
			return o.config
		}
	}
	return c.label.Config
}

func (c *Core) checkConfig(e volume.Epoch, cfg volume.Config) error {
	have := c.newestConfig()
	switch {
	case e != c.label.FenceEpoch:
		return c.invalid("CONFIG of epoch %s, the leg has %s", e, c.label.FenceEpoch)
	case cfg.CfgVer < have.CfgVer:
		return c.invalid("CONFIG %s is older than the leg's %s", cfg.CfgVer, have.CfgVer)
	case cfg.CfgVer == have.CfgVer && !slices.Equal(cfg.InSync, have.InSync):
		return c.invalid("CONFIG %s names other legs than the leg's", cfg.CfgVer)
	case len(cfg.InSync) == 0 || len(cfg.InSync) > volume.MaxInSync:
		return c.invalid("CONFIG %s with %d legs in sync", cfg.CfgVer, len(cfg.InSync))
	}
	return nil
}

// Detach spends the epoch: the gate closes, requests in flight end, the data is on stable storage,
// and the label says closed, and clean if the host said so. The session that asked lives on to hear
// the answer; all others are killed.
func (c *Core) Detach(op OpID, id SessionID, clean bool) {
	o := &operation{id: op, kind: opDetach, session: id, clean: clean, before: true}
	_, err := c.live(id)
	if err == nil && clean && c.label.Marked {
		err = c.invalid("DETACH says clean, but regions are marked: STABLE comes first")
	}
	if err != nil {
		c.reply(o, err)
		return
	}
	c.closing = true
	for _, s := range c.sessions {
		if s.id != id {
			c.kill(s)
		}
	}
	c.enqueue(o)
}

func (c *Core) invalid(format string, args ...any) error {
	return fmt.Errorf("leg %s: %w: %s", c.label.LegID, ErrInvalid, fmt.Sprintf(format, args...))
}

func (c *Core) enqueue(o *operation) {
	c.pending = append(c.pending, o)
	c.settle()
}

// advance moves one operation on. done says that it was answered, progressed that others may now
// be ready because of it.
func (c *Core) advance(o *operation) (done, progressed bool) {
	if o.kind == opLogin {
		return c.advanceLogin(o), false
	}
	if err := c.overtaken(o); err != nil {
		if o.kind == opDetach {
			c.closing = false
		}
		c.reply(o, err)
		return true, false
	}
	if o.before {
		if !c.ready(o) {
			return false, false
		}
		o.before, progressed = false, true
		c.apply(o)
	}
	if c.durableChange < o.label || c.regionsDurable < o.regions {
		return false, progressed
	}
	if o.kind == opDetach {
		c.closing = false // the label says so from now on
	}
	c.reply(o, nil)
	return true, progressed
}

// overtaken returns why an accepted operation must not succeed any more.
func (c *Core) overtaken(o *operation) error {
	s := c.session(o.session)
	switch {
	case c.failed != nil:
		return c.failed
	case s == nil:
		return c.refusal(block.ErrClosed)
	case c.outdated(s.login.Epoch):
		c.counters.RefusedCommands++
		return fmt.Errorf("leg %s: epoch %s: %w (%s)",
			c.label.LegID, s.login.Epoch, block.ErrFenced, c.label.FenceEpoch)
	case !s.open:
		return c.refusal(block.ErrClosed)
	case o.kind == opConfig && o.before && (c.closing || c.label.Closed):
		return c.refusal(fmt.Errorf("the epoch is detached: %w", block.ErrClosed))
	}
	return nil
}

// ready reports whether a CONFIG, STABLE or DETACH may change the label or the marks; it asks for the sync
// on the way.
func (c *Core) ready(o *operation) bool {
	switch o.kind {
	case opConfig:
		return c.regionsDurable >= o.regions
	case opStable:
		if c.nothingStale(o) {
			return true
		}
	case opDetach:
		for _, s := range c.sessions {
			if s.inflight > 0 {
				return false
			}
		}
	}
	if o.kind == opStable && c.broken.breaks(BreakClearUnsynced) {
		o.syncing, o.synced = true, true
	}
	if !o.syncing {
		o.syncing = true
		c.emit(Effect{Kind: EffectSync, Op: o.id})
	}
	return o.synced && (o.kind != opStable || c.stamped(o))
}

// stamped reports whether the stamps of all that a STABLE may clear are durable.
func (c *Core) stamped(o *operation) bool {
	return c.regionsDurable >= max(o.regions, c.restamped) || c.broken.breaks(BreakClearUnstamped)
}

// apply does what a CONFIG, STABLE or DETACH was to do, once it is ready.
func (c *Core) apply(o *operation) {
	switch o.kind {
	case opConfig:
		if !c.label.Admit || !c.label.Config.Equal(o.config) || c.label.OpenBoot != c.boot {
			// The host knows now of what another boot may have lost, but that is there still.
			c.label.Mixed = c.regions.Marks() > 0 && (c.label.Mixed || c.label.OpenBoot != c.boot)
			c.label.Config, c.label.Admit, c.label.OpenBoot = o.config, true, c.boot
			c.label.Progress++
			c.change()
		}
		o.label, o.regions = c.labelChange, 0
	case opStable:
		c.clear(o)
	case opDetach:
		c.label.Closed, c.label.Clean, c.label.Admit = true, o.clean && !c.label.Marked, false
		c.label.Progress++
		c.change()
		o.label = c.labelChange
	}
}
