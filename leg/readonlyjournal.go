package leg

import (
	"errors"
	"fmt"
	"sync"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/leg/journal"
	"github.com/holdfast-storage/holdfast/volume"
)

// pending is what the journal of a leg that is only looked at lays over its home. Nothing is written: what a start of
// the node would write home lies over it instead. It is as large as the heads of the journal's entries; payloads stay
// in the file. It is safe for use by many goroutines.
type pending struct {
	file *journalFile

	mu      sync.Mutex
	core    *journal.Core
	records volume.Records // before anything was taken back
	taken   bool           // something was
}

// openPending replays the journal of a leg of parity; a leg of a mirror has none, and gets nil.
func (s *ReadOnlyStore) openPending(label volume.Label) (*pending, error) {
	f, err := s.store.openJournal(label)
	if err != nil || f == nil {
		return nil, err
	}
	p := &pending{file: f}
	if err = f.damage; err == nil {
		p.core, err = f.replayed()
	}
	if err != nil {
		return nil, errors.Join(err, f.file.Close())
	}
	p.records.Floor = p.core.Head().Floor
	p.records.Records, _, _ = p.core.Records(0, int(f.ring/journal.SectorBytes)) // all: no entry is shorter
	return p, nil
}

// replayed replays the journal into memory alone: what a start of the node would write home lies over it.
func (f *journalFile) replayed() (*journal.Core, error) {
	core := journal.New(f.ring, f.head)
	if err := f.replay(core, false); err != nil {
		return nil, err
	}
	if redo := core.Redo(); len(redo) > 0 {
		core.NotHome(redo)
	}
	return core, nil
}

// overlay returns what lies over the blocks of r, as journal.Core.Overlay does.
func (p *pending) overlay(r block.Range) []journal.Source {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.core.Overlay(nil, r.Off/volume.BlockBytes, r.Len/volume.BlockBytes)
}

// Records returns what the leg would answer an engine that asks for its records, nil for a leg of a mirror or one whose
// journal cannot be read. They must not be changed.
func (l *ReadOnlyLeg) Records() *volume.Records {
	if l.pending == nil {
		return nil
	}
	return &l.pending.records
}

// TakeBack takes records that are only staged out of the content that Blocks shows, those of this list and no others:
// what an earlier call took out is back. On the disk nothing changes. What the leg has no record of, or has committed,
// is left alone. It may read the journal again.
func (l *ReadOnlyLeg) TakeBack(list []volume.Transaction) error {
	p := l.pending
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.taken {
		core, err := p.file.replayed()
		if err != nil {
			return fmt.Errorf("leg %s: %w", l.Label.LegID, err)
		}
		p.core = core
	}
	p.core.RolledBack(list)
	p.taken = true
	return nil
}

// overlaid lays what the journal holds over the blocks of a scan of home, and visits them in order.
type overlaid struct {
	p     *pending
	left  []journal.Source // of blocks that were not visited yet
	visit func(ReadOnlyBlock) error
	block [volume.BlockBytes]byte
	delta [volume.BlockBytes]byte
}

// home takes the next block of the scan.
func (o *overlaid) home(b ReadOnlyBlock) error {
	if err := o.upTo(b.Number); err != nil {
		return err
	}
	if len(o.left) > 0 && o.left[0].Block == b.Number {
		return o.next(b)
	}
	return o.visit(b)
}

// upTo visits the blocks before n, whose home the scan has left out: it is good, and zeroes.
func (o *overlaid) upTo(n int64) error {
	for len(o.left) > 0 && o.left[0].Block < n {
		zero := ReadOnlyBlock{Number: o.left[0].Block, State: BlockGood}
		if err := o.next(zero); err != nil {
			return err
		}
	}
	return nil
}

// next visits the next block that something lies over, with b at home. No content stands for zeroes if b is good.
func (o *overlaid) next(b ReadOnlyBlock) error {
	end := blockEnd(o.left, 0)
	sources := o.left[:end]
	o.left = o.left[end:]
	deltas, base := sources, sources[end-1]
	content := o.block[:]
	switch {
	case base.Kind == volume.RecordDelta:
		clear(content)
		copy(content, b.Content)
		if b.State == BlockUnreadable {
			return o.visit(b)
		}
	case base.Kind != volume.RecordImage: // a delta was committed over a block that nobody could read
		return o.visit(ReadOnlyBlock{Number: b.Number, State: BlockUnreadable})
	default:
		b.State, deltas = BlockGood, sources[:end-1]
		if err := o.p.file.readBlocks(content, sources[end-1:]); err != nil {
			return err
		}
	}
	if err := o.p.file.addDeltas(content, o.delta[:], deltas); err != nil {
		return err
	}
	b.Content = content
	return o.visit(b)
}
