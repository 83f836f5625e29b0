package leg

import (
	"context"
	"errors"

	"github.com/holdfast-storage/holdfast/volume"
	"github.com/holdfast-storage/holdfast/volume/inband"
)

// Config makes a configuration of this epoch durable and opens the leg for I/O.
func (s *Session) Config(ctx context.Context, e volume.Epoch, c volume.Config) error {
	return s.command(ctx, func(op OpID) { s.leg.core.Config(op, s.id, e, c) })
}

// Rotate starts a new window of marks and returns the generation of the one that ended.
func (s *Session) Rotate() (uint64, error) {
	s.leg.mu.Lock()
	defer s.leg.mu.Unlock()
	return s.leg.core.Rotate(s.id)
}

// Stable clears the marks of generations up to gen, as far as no later write needs them.
func (s *Session) Stable(ctx context.Context, gen uint64) error {
	return s.command(ctx, func(op OpID) { s.leg.core.Stable(op, s.id, gen) })
}

// Detach makes {closed, clean} durable: the epoch is spent.
func (s *Session) Detach(ctx context.Context, clean bool) error {
	return s.command(ctx, func(op OpID) { s.leg.core.Detach(op, s.id, clean) })
}

func (s *Session) command(ctx context.Context, event func(OpID)) error {
	reply, err := s.leg.wait(ctx, event)
	return errors.Join(err, reply.Err)
}

// Marks returns the regions from first on that are marked or newer than since.
func (s *Session) Marks(since volume.CfgVer, first uint32) (inband.MarksPage, error) {
	s.leg.mu.Lock()
	defer s.leg.mu.Unlock()
	return s.leg.core.Marks(s.id, since, first)
}

// Marks returns one page of what is marked or newer than since. Until regions are tracked one mark
// stands for all of them, and the label's configuration version for all of their versions: it is
// that of the last write or above it.
func (c *Core) Marks(id SessionID, since volume.CfgVer, first uint32) (inband.MarksPage, error) {
	if _, err := c.live(id); err != nil {
		return inband.MarksPage{}, err
	}
	total := regions(c.label.SizeBytes)
	page := inband.MarksPage{Next: total, Regions: total}
	run := inband.Run{First: first, Marked: c.label.Marked || c.durable.Marked,
		Newer: c.label.Config.CfgVer > since}
	if first < total && (run.Marked || run.Newer) {
		run.Count = total - first
		page.Runs = []inband.Run{run}
	}
	return page, nil
}
