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

// Rotate starts a new window of marks and returns the generation of the one that ended, and the
// progress of the label that is durable.
func (s *Session) Rotate() (generation, progress uint64, err error) {
	s.leg.mu.Lock()
	defer s.leg.mu.Unlock()
	generation, err = s.leg.core.Rotate(s.id)
	return generation, s.leg.core.Durable().Progress, err
}

// Stable clears the marks of generations up to gen, as far as no later write needs them, and no record that is not
// freed.
func (s *Session) Stable(ctx context.Context, gen uint64) error {
	return s.command(ctx, func(op OpID) {
		if j := s.leg.staged; j != nil {
			j.Touched(s.leg.core.Hold)
		}
		s.leg.core.Stable(op, s.id, gen)
	})
}

// Detach makes {closed, clean} durable: the epoch is spent.
func (s *Session) Detach(ctx context.Context, clean bool) error {
	return s.command(ctx, func(op OpID) { s.leg.core.Detach(op, s.id, clean) })
}

// Progress returns how far the durable label has come; it never decreases (docs/protocol.md).
func (s *Session) Progress() uint64 {
	s.leg.mu.Lock()
	defer s.leg.mu.Unlock()
	return s.leg.core.Durable().Progress
}

func (s *Session) command(ctx context.Context, event func(OpID)) error {
	reply, err := s.leg.wait(ctx, event)
	return errors.Join(err, reply.Err)
}

// Marks returns one page of the regions from first on that are marked or newer than since.
func (s *Session) Marks(since volume.CfgVer, first uint32) (inband.MarksPage, error) {
	s.leg.mu.Lock()
	defer s.leg.mu.Unlock()
	return s.leg.core.Marks(s.id, since, first)
}

// Versions returns one page of the regions from first on that are newer than since.
func (s *Session) Versions(since volume.CfgVer, first uint32) (inband.VersionsPage, error) {
	s.leg.mu.Lock()
	defer s.leg.mu.Unlock()
	return s.leg.core.Versions(s.id, since, first)
}

// Stamp makes versions durable where they are newer than the leg's own.
func (s *Session) Stamp(ctx context.Context, runs []volume.VersionRun) error {
	return s.command(ctx, func(op OpID) { s.leg.core.Stamp(op, s.id, runs) })
}
