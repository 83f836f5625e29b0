package leg

import (
	"fmt"
	"slices"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/volume"
)

// Mark makes the mark durable that a write needs before its data enters the page cache. The reply
// is no admission: the session must Enter again.
func (c *Core) Mark(op OpID, id SessionID) {
	o := &operation{id: op, kind: opMark, session: id}
	if _, err := c.live(id); err != nil {
		c.reply(o, err)
		return
	}
	if !c.label.Marked {
		// There were no marks, so nothing that an earlier boot cached can have been lost: the
		// marks from here on belong to this boot.
		c.label.Marked, c.label.OpenBoot = true, c.boot
		c.change()
		c.markVersion = c.version
	}
	c.lastWrite = c.window
	o.version = c.markVersion
	c.enqueue(o)
}

// Config makes a configuration durable and opens the leg for I/O of its epoch (protocol §1.8).
func (c *Core) Config(op OpID, id SessionID, e volume.Epoch, cfg volume.Config) {
	o := &operation{id: op, kind: opConfig, session: id}
	if _, err := c.live(id); err != nil {
		c.reply(o, err)
		return
	}
	if err := c.checkConfig(e, cfg); err != nil {
		c.reply(o, err)
		return
	}
	if !c.label.Admit || !c.label.Config.Equal(cfg) || c.label.OpenBoot != c.boot {
		c.label.Config, c.label.Admit, c.label.OpenBoot = cfg.Clone(), true, c.boot
		c.change()
	}
	o.version = c.version
	c.enqueue(o)
}

func (c *Core) checkConfig(e volume.Epoch, cfg volume.Config) error {
	have := c.label.Config
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

// Rotate starts a new window of marks and returns the generation of the one that ended.
func (c *Core) Rotate(id SessionID) (uint64, error) {
	if _, err := c.live(id); err != nil {
		return 0, err
	}
	c.window++
	return c.window - 1, nil
}

// Stable clears the marks if no write belongs to a generation after gen. It syncs first: a mark is
// never cleared before the data that it covers is on stable storage here.
func (c *Core) Stable(op OpID, id SessionID, gen uint64) {
	o := &operation{id: op, kind: opStable, session: id, gen: gen, before: true}
	s, err := c.live(id)
	switch {
	case err != nil:
	case !c.admitted(s):
		// The marks of a leg that lost its cache are the evidence of it, for this host and the next.
		err = c.refusal(ErrNotAdmitted)
	case gen>>32 != c.window>>32:
		err = c.invalid("STABLE of generation %#x, which another start of the node gave out", gen)
	case gen >= c.window:
		err = c.invalid("STABLE of generation %#x, which has not ended", gen)
	case c.lastWrite <= gen && c.writes > 0:
		err = c.invalid("STABLE of generation %#x, which has %d writes in flight", gen, c.writes)
	}
	if err != nil {
		c.reply(o, err)
		return
	}
	c.enqueue(o)
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
	if c.durableVersion < o.version {
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
	case s.login.Epoch < c.label.FenceEpoch:
		c.counters.RefusedCommands++
		return fmt.Errorf("leg %s: epoch %s: %w (%s)",
			c.label.LegID, s.login.Epoch, block.ErrFenced, c.label.FenceEpoch)
	case !s.open:
		return c.refusal(block.ErrClosed)
	}
	return nil
}

// ready reports whether a STABLE or DETACH may change the label; it asks for the sync on the way.
func (c *Core) ready(o *operation) bool {
	if o.kind == opDetach {
		for _, s := range c.sessions {
			if s.inflight > 0 {
				return false
			}
		}
	}
	if !o.syncing {
		o.syncing = true
		c.emit(Effect{Kind: EffectSync, Op: o.id})
	}
	return o.synced
}

// apply changes the label for a STABLE or DETACH that is ready.
func (c *Core) apply(o *operation) {
	switch o.kind {
	case opStable:
		// A write may have come while the data was synced; then the mark stays for its sake.
		if c.label.Marked && c.lastWrite <= o.gen {
			c.label.Marked = false
			c.change()
		}
	case opDetach:
		c.label.Closed, c.label.Clean, c.label.Admit = true, o.clean && !c.label.Marked, false
		c.change()
	}
	o.version = c.version
}
