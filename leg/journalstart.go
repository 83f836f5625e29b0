package leg

import (
	"errors"
	"fmt"

	"github.com/holdfast-storage/holdfast/leg/journal"
)

// startJournal replays the journal: what was committed is at home when it returns, what is staged is known, and
// durably so. It runs before any login, after what it says of the leg's marks and cache is durable. A journal that is
// damaged fails the leg for good.
func (s *Store) startJournal(files *legFiles) error {
	core, err := s.replayJournal(files)
	if errors.Is(err, errSync) || errors.Is(err, errJournal) {
		s.recordFailure(files.journal.leg, err)
	}
	files.core = core
	return err
}

func (s *Store) replayJournal(files *legFiles) (*journal.Core, error) {
	f := files.journal
	if f.damage != nil {
		return nil, f.damage
	}
	core := journal.New(f.ring, f.head)
	if err := f.replay(core, s.broken.breaks(BreakLogHoles)); err != nil {
		return nil, err
	}
	// What was read may be in the page cache only, left by a process that was killed before its sync: a commit is durable
	// before home is written. The head that says that all of it is whole comes after.
	if err := f.sync(); err != nil {
		return nil, err
	}
	var buf journalBuffer
	for redo := core.Redo(); len(redo) > 0; {
		n := runLength(redo)
		if err := copyHome(f, files.data, redo[:n], &buf); err != nil {
			return nil, fmt.Errorf("replay of the journal: block %d: %w", redo[0].Block, err)
		}
		redo = redo[n:]
	}
	h := core.Started()
	if err := f.writeHead(h); err != nil {
		return nil, err
	}
	core.SetHead(h)
	return core, nil
}
