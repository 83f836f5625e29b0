package leg

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/leg/journal"
	"github.com/holdfast-storage/holdfast/volume"
)

// journalName is the file of a leg of parity that holds its journal.
const journalName = "journal"

// errJournal means that the journal is not what was written: the leg has failed for good.
var errJournal = errors.New("the journal is damaged")

// journalFile is the journal of a leg at rest: two slots of a head, written in turn, and the ring of entries. Heads are
// written by one goroutine at a time; entries and payloads are read and written by many.
type journalFile struct {
	file   File
	syncs  syncer
	leg    volume.LegID
	ring   int64
	head   journal.Head
	damage error // why the journal cannot be used, nil if it can

	mu       sync.Mutex // for who checks the head beside who writes it; never held across I/O
	slot     int        // that counts
	sequence uint64     // its own
}

func newJournalFile(file File, id volume.LegID) *journalFile {
	return &journalFile{file: file, leg: id, syncs: syncer{sync: func() error {
		if err := file.Sync(); err != nil {
			return fmt.Errorf("sync the journal: %w: %w: %w", block.ErrFailed, errSync, err)
		}
		return nil
	}}}
}

// createJournal makes the journal of a new leg, with no entry in it, and syncs it.
func createJournal(fsys FS, path string, id volume.LegID, sizeBytes int64) error {
	file, err := fsys.CreateFull(path, sizeBytes)
	if err != nil {
		return err
	}
	f := newJournalFile(file, id)
	f.ring, f.slot = sizeBytes-volume.JournalHeadBytes, 1
	// Both slots, so that from the first day a slot that is corrupt is one that rotted.
	err = f.writeHead(journal.Head{})
	if err == nil {
		err = f.writeHead(journal.Head{})
	}
	return errors.Join(err, file.Close())
}

// openJournal opens the journal of a leg of parity; a leg of a mirror has none, and gets nil. A *LostError means that
// it is gone. One that is damaged is opened all the same and says so: startLeg fails the leg then.
func (s *Store) openJournal(label volume.Label) (*journalFile, error) {
	if label.Layout.Kind != volume.KindParity {
		return nil, nil
	}
	file, err := s.fsys.Open(legFile(label.LegID, journalName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &LostError{Leg: label.LegID, Reason: "its journal is missing"}
	}
	if err != nil {
		return nil, fmt.Errorf("leg %s: %w", label.LegID, err)
	}
	f := newJournalFile(file, label.LegID)
	if err := f.readHeads(); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return f, nil
}

// readHeads finds the slot that counts. With one corrupt slot nothing can be said: it may have been the newer one, and
// what lies behind its beginning may be written over.
func (f *journalFile) readHeads() error {
	var slots [2]journal.HeadSlot
	var bad [2]error
	for i := range slots {
		buf := make([]byte, journal.SectorBytes)
		n, err := f.file.ReadAt(buf, int64(i)*slotBytes)
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("leg %s: read slot %d of the journal's head: %w", f.leg, i, err)
		}
		slots[i], bad[i] = journal.ParseHead(buf[:n])
		if errors.Is(bad[i], journal.ErrVersion) {
			return fmt.Errorf("leg %s: %w", f.leg, bad[i])
		}
	}
	if bad[0] != nil && bad[1] != nil {
		return &LostError{Leg: f.leg, Reason: "both slots of its journal's head are corrupt", Err: bad[0]}
	}
	if slots[1].Sequence > slots[0].Sequence || bad[0] != nil {
		f.slot = 1
	}
	now := slots[f.slot]
	f.sequence, f.ring, f.head = now.Sequence, now.RingBytes, now.Head
	if now.Leg != f.leg {
		return fmt.Errorf("leg %s: %w: its journal is of leg %s", f.leg, ErrMismatch, now.Leg)
	}
	if err := errors.Join(bad[:]...); err != nil {
		f.damage = fmt.Errorf("%w: %w", errJournal, err)
	}
	last := make([]byte, 1)
	if n, err := f.file.ReadAt(last, volume.JournalHeadBytes+f.ring-1); n != 1 && errors.Is(err, io.EOF) {
		return &LostError{Leg: f.leg, Reason: "its journal is cut short"}
	}
	return nil
}

// counts returns the slot that counts, and its sequence.
func (f *journalFile) counts() (slot int, sequence uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.slot, f.sequence
}

// checkHead reads the slot that counts again. It may run beside everything, and waits for the disk alone: a head is
// written to the other slot; if one was meanwhile, the next may have been on its way to this one, and it is read again.
func (f *journalFile) checkHead() error {
	buf := make([]byte, journal.SectorBytes)
	for {
		slot, sequence := f.counts()
		_, err := f.file.ReadAt(buf, int64(slot)*slotBytes)
		if _, now := f.counts(); now != sequence {
			continue
		}
		if err != nil {
			return fmt.Errorf("read slot %d of the journal's head: %w", slot, err)
		}
		s, err := journal.ParseHead(buf)
		if err == nil && s.Sequence != sequence {
			err = fmt.Errorf("slot %d of the journal's head holds sequence %d, want %d", slot, s.Sequence, sequence)
		}
		return err
	}
}

// writeHead makes a head durable, and with it every entry that was written before. After an error the file must not be
// used again.
func (f *journalFile) writeHead(h journal.Head) error {
	slot, sequence := f.counts()
	slot = 1 - slot
	next := journal.HeadSlot{Head: h, Leg: f.leg, RingBytes: f.ring, Sequence: sequence + 1}
	if _, err := f.file.WriteAt(journal.AppendHead(nil, next), int64(slot)*slotBytes); err != nil {
		return fmt.Errorf("write slot %d of the journal's head: %w: %w", slot, block.ErrFailed, err)
	}
	if err := f.sync(); err != nil {
		return err
	}
	f.head = h
	f.mu.Lock()
	defer f.mu.Unlock()
	f.slot, f.sequence = slot, next.Sequence
	return nil
}

// sync puts what was written on stable storage. There is no second try after an error.
func (f *journalFile) sync() error { return f.syncs.do() }

// offset returns where a place is in the file, and how much lies behind it up to the end of the ring.
func (f *journalFile) offset(p journal.Place) (off, left int64) {
	at := int64(uint64(p) % uint64(f.ring))
	return volume.JournalHeadBytes + at, f.ring - at
}

func (f *journalFile) write(b []byte, p journal.Place) error {
	for len(b) > 0 {
		off, left := f.offset(p)
		n := min(left, int64(len(b)))
		if _, err := f.file.WriteAt(b[:n], off); err != nil {
			// Whatever the error: what was answered may be behind the hole that this leaves.
			return fmt.Errorf("write the journal at %d: %w: %w", off, block.ErrFailed, err)
		}
		b, p = b[n:], p+journal.Place(n)
	}
	return nil
}

func (f *journalFile) read(b []byte, p journal.Place) error {
	for len(b) > 0 {
		off, left := f.offset(p)
		n := min(left, int64(len(b)))
		if _, err := f.file.ReadAt(b[:n], off); err != nil {
			return fmt.Errorf("read the journal at %d: %w: %w", off, block.ErrFailed, err)
		}
		b, p = b[n:], p+journal.Place(n)
	}
	return nil
}

// readBlocks reads blocks of payload that lie together, the first at src, and holds them against their checksums.
func (f *journalFile) readBlocks(p []byte, src []journal.Source) error {
	if err := f.read(p, src[0].Place); err != nil {
		return err
	}
	for i := range src {
		if journal.BlockSum(p[i*volume.BlockBytes:][:volume.BlockBytes]) != src[i].Sum {
			return fmt.Errorf("%w: %w: the payload of block %d at place %d does not match its checksum",
				block.ErrFailed, errJournal, src[i].Block, src[i].Place)
		}
	}
	return nil
}
