package leg

import (
	"errors"
	"fmt"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/leg/journal"
)

// startJournal replays the journal: what was committed is at home when it returns, what is staged is known, and
// durably so. It runs before any login, after what it says of the leg's marks and cache is durable; regions are what
// StartLeg made of them. A journal that is damaged fails the leg for good.
func (s *Store) startJournal(files *legFiles, regions *Regions) error {
	err := s.replayJournal(files, regions)
	if errors.Is(err, block.ErrFailed) || errors.Is(err, errJournal) {
		s.recordFailure(files.journal.leg, err)
	}
	return err
}

func (s *Store) replayJournal(files *legFiles, regions *Regions) error {
	f := files.journal
	if f.damage != nil {
		return f.damage
	}
	core := journal.New(f.ring, f.head)
	if err := f.replay(core, s.broken.breaks(BreakLogHoles)); err != nil {
		return err
	}
	// Before home is written: what came back may be older than what is there.
	if err := unmarkedRecord(core, regions); err != nil {
		return err
	}
	// What was read may be in the page cache only, left by a process that was killed before its sync: a commit is
	// durable before home is written.
	if err := f.sync(); err != nil {
		return err
	}
	redo := core.Redo()
	// The head that says so comes before home is written, too: a commit that rots after that must not look like one
	// that never was.
	h := core.Started()
	if err := f.writeHead(h); err != nil {
		return err
	}
	core.SetHead(h)
	var buf journalBuffer
	for len(redo) > 0 {
		n := runLength(redo)
		err := copyHome(f, files.data, redo[:n], &buf)
		if errors.Is(err, block.ErrNoSpace) && !errors.Is(err, block.ErrFailed) {
			s.log.Warn("home has no room for what is committed: it stays in the journal", "leg", f.leg.String(),
				"error", err)
			core.NotHome(redo)
			break
		}
		if err != nil {
			return fmt.Errorf("replay of the journal: block %d: %w", redo[0].Block, err)
		}
		redo = redo[n:]
	}
	files.core, files.unfinished = core, redo
	return nil
}
