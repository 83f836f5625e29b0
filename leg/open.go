package leg

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/leg/journal"
	"github.com/holdfast-storage/holdfast/volume"
)

// OpenLeg opens a leg of the store, or returns it if it is open. One goroutine calls it at a time,
// since it may have to write the labels of legs that are not open. A *LostError means that the
// leg's data is gone; any other error that it cannot be used now, or by this program
// (volume.ErrLabelVersion).
func (s *Store) OpenLeg(id volume.LegID) (*Leg, error) {
	if l := s.opened(id); l != nil {
		return l, nil
	}
	l, err := s.openLeg(id)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	s.mu.Lock()
	other, closed := s.legs[id], s.closed
	if other == nil && !closed {
		s.legs[id] = l
	}
	s.mu.Unlock()
	if other != nil || closed {
		// This is only a safety net.
		err := fmt.Errorf("open leg %s: it was opened, or the store closed, meanwhile", id)
		return nil, errors.Join(err, l.release())
	}
	return l, nil
}

func (s *Store) openLeg(id volume.LegID) (*Leg, error) {
	if err := s.inPlace(); err != nil {
		return nil, fmt.Errorf("leg %s: %w", id, err)
	}
	if _, err := s.fsys.ReadDir(legDir(id)); errors.Is(err, fs.ErrNotExist) {
		return nil, &LostError{Leg: id, Reason: "its directory is missing"}
	}
	labels, label, err := openLabelFile(s.fsys, legFile(id, labelName))
	if err != nil {
		return nil, labelError(id, err)
	}
	if label.LegID != id || label.StoreID != s.ID() {
		return nil, errors.Join(fmt.Errorf("leg %s: %w: its label says leg %s on store %s",
			id, ErrMismatch, label.LegID, label.StoreID), labels.file.Close())
	}
	files, regions, err := s.openFiles(labels, label)
	if err != nil {
		return nil, err
	}
	failure, err := s.failure(id)
	if err == nil && failure == nil {
		if label, err = s.startLeg(&files, label, regions); err == nil && files.journal != nil {
			err = s.startJournal(&files, regions)
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("leg %s: %w", id, err), files.close())
	}
	// From here on a change has an open label and marks, without which a place of the witness might outlive the crash.
	files.data.witness, files.data.crashGen = s.witness, label.CrashGen
	l := newLeg(s, files, label, regions)
	if failure != nil {
		l.core.Fail(failure)
		l.core.Effects() // it is recorded already
	}
	return l, nil
}

// legFiles is what a leg consists of.
type legFiles struct {
	labels *labelFile
	marks  *regionsFile
	data   *checkedData

	journal *journalFile  // of a leg of parity
	core    *journal.Core // what was replayed, once it was

	left []block.Range // what the process before had under way, as the witness says

	unfinished []journal.Source // of that, what home had no room for
}

func (f legFiles) close() error {
	err := f.labels.file.Close()
	if f.marks != nil {
		err = errors.Join(err, f.marks.file.Close())
	}
	if f.data != nil {
		err = errors.Join(err, f.data.Close())
	}
	if f.journal != nil {
		err = errors.Join(err, f.journal.file.Close())
	}
	return err
}

// openFiles opens the other files of a leg. After an error all are closed, the label too.
func (s *Store) openFiles(labels *labelFile, label volume.Label) (legFiles, *Regions, error) {
	files := legFiles{labels: labels}
	var regions *Regions
	var err error
	if files.data, err = s.openChecked(label); err == nil {
		files.marks, regions, err = s.openRegions(label)
	}
	if err == nil {
		files.journal, err = s.openJournal(label)
	}
	if err != nil {
		return legFiles{}, nil, errors.Join(err, files.close())
	}
	return files, regions, nil
}

func (s *Store) openData(id volume.LegID, label volume.Label) (Data, error) {
	data, err := s.fsys.OpenData(legFile(id, dataName), 512)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &LostError{Leg: id, Reason: "its data is missing"}
	}
	if err != nil {
		return nil, fmt.Errorf("leg %s: %w", id, err)
	}
	switch size, want := data.Limits().SizeBytes, label.LegBytes(); {
	case size < want:
		return nil, errors.Join(&LostError{Leg: id,
			Reason: fmt.Sprintf("its data has %d bytes, its label says %d", size, want)},
			data.Close())
	case size > want:
		return nil, errors.Join(fmt.Errorf("leg %s: %w: its data has %d bytes, its label says %d",
			id, ErrMismatch, size, want), data.Close())
	}
	return data, nil
}

// startLeg makes durable with what the leg goes on. Both files are written even if nothing in them changed:
// what was read may be in the page cache only, left by a process that was killed before its sync, and
// every answer from now on says that it is durable.
func (s *Store) startLeg(files *legFiles, label volume.Label, regions *Regions) (volume.Label, error) {
	found, settled := Found{Label: label, Regions: regions, Halved: files.labels.halved}, false
	files.left = s.witness.leftOf(label.LegID, label.CrashGen)
	if found.Halved {
		s.log.Warn("a slot of the label is corrupt: the leg counts as lossy", "leg", label.LegID.String())
	}
	if (label.Marked || found.Halved) && label.OpenBoot == s.boot {
		if err := s.fsys.SyncAll(); err != nil {
			found.Suspect = true
			s.log.Error("the page cache may be incomplete: legs with marks count as lossy", "error", err)
			s.suspectOthers(label.LegID)
		} else if found.Settles(s.boot) {
			settled = s.settle(*files, regions)
			found.Suspect = !settled
		}
	}
	if !settled {
		if err := files.data.announce(files.left); err != nil {
			s.log.Warn("what was under way on a leg could not be noted: it may count as lossy after the next crash",
				"leg", label.LegID.String(), "error", err)
		}
	}
	next, sectors := StartLeg(found, s.boot)
	next, err := files.labels.write(next)
	if err == nil {
		err = files.marks.write(sectors)
	}
	if errors.Is(err, errSync) {
		// The next start would read the pages that the kernel dropped, and take them for durable.
		s.recordFailure(label.LegID, err)
	}
	if err == nil {
		s.witness.forget(label.LegID)
	}
	return next, err
}

// suspectOthers makes the labels of all legs with marks that are not open say that their cache is
// lost: the kernel tells of a failed write-back once, and not of which file it was. An open leg hears
// of its own at its next sync.
func (s *Store) suspectOthers(but volume.LegID) {
	ids, err := s.List()
	for _, id := range ids {
		if id == but || s.opened(id) != nil {
			continue
		}
		err = errors.Join(err, s.suspectLeg(id))
	}
	if err != nil {
		s.log.Error("not every leg could be marked as lossy", "error", err)
	}
}

func (s *Store) suspectLeg(id volume.LegID) error {
	labels, label, err := openLabelFile(s.fsys, legFile(id, labelName))
	if err != nil {
		return labelError(id, err)
	}
	if label.Marked && label.StoreID == s.ID() {
		_, err = labels.write(suspectLabel(label, true))
	}
	return errors.Join(err, labels.file.Close())
}

// recordFailure writes down that a leg has failed, so that a restart does not take pages that the kernel
// dropped for good ones. The disk may refuse: then the leg's marks have to speak for it.
func (s *Store) recordFailure(id volume.LegID, cause error) {
	s.log.Error("leg failed for good", "leg", id.String(), "error", cause)
	err := writeFile(s.fsys, legFile(id, failedName), []byte(cause.Error()))
	if err == nil {
		err = s.fsys.SyncDir(legDir(id))
	}
	if err != nil {
		s.log.Error("leg failure could not be recorded", "leg", id.String(), "error", err)
	}
}

// failure returns what an earlier run recorded when the leg failed for good, nil if it did not.
func (s *Store) failure(id volume.LegID) (recorded, err error) {
	text, err := readFile(s.fsys, legFile(id, failedName), 4096)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return fmt.Errorf("earlier: %s", text), nil
}
