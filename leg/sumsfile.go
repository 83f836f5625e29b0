package leg

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/volume"
)

// createSums makes the checksums of a new leg, whose data is all zero: all of the file's space is set
// aside, so that a write which finds room for its data finds room for its checksums, and it is synced.
func createSums(fsys FS, path string, id volume.LegID, sizeBytes int64) error {
	file, err := fsys.CreateFull(path, sumsFileBytes(sizeBytes))
	if err != nil {
		return err
	}
	header := sumsHeader{Leg: id, Blocks: uint64(sizeBytes / volume.BlockBytes)}
	if _, err = file.WriteAt(appendSumsHeader(nil, header), 0); err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// openSums opens the checksums of a leg. A *LostError means that they are gone; without them no block
// can be told from another.
//
// A header that is corrupt is made anew: all that it says stands in the label too, and every block
// is compared with its checksum whenever it is read, so nothing is trusted on its account.
func (s *Store) openSums(label volume.Label) (Data, error) {
	path := legFile(label.LegID, sumsName)
	sums, err := s.fsys.OpenData(path, sumBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &LostError{Leg: label.LegID, Reason: "its checksums are missing"}
	}
	if err != nil {
		return nil, fmt.Errorf("leg %s: checksums: %w", label.LegID, err)
	}
	if err := s.checkSums(sums, label); err != nil {
		return nil, errors.Join(err, sums.Close())
	}
	return sums, nil
}

// openChecked opens the data of a leg and its checksums.
func (s *Store) openChecked(label volume.Label) (*checkedData, error) {
	data, err := s.openData(label.LegID, label)
	if err != nil {
		return nil, err
	}
	sums, err := s.openSums(label)
	if err != nil {
		return nil, errors.Join(err, data.Close())
	}
	return newCheckedData(data, sums, label.LegID), nil
}

// checkSums returns why an open file of checksums is not that of the leg with this label.
func (s *Store) checkSums(sums Data, label volume.Label) error {
	id, size, want := label.LegID, sums.Limits().SizeBytes, sumsFileBytes(label.LegBytes())
	switch {
	case size < want:
		return &LostError{Leg: id, Reason: fmt.Sprintf("its checksums have %d bytes, want %d", size, want)}
	case size > want:
		return fmt.Errorf("leg %s: %w: its checksums have %d bytes, want %d", id, ErrMismatch, size, want)
	}
	sector := make([]byte, sumsSectorBytes)
	err := sums.Read(context.Background(), sector, 0)
	if err != nil && !errors.Is(err, block.ErrMedium) {
		return fmt.Errorf("leg %s: checksums: %w", id, err)
	}
	have := sumsHeader{}
	wanted := sumsHeader{Leg: id, Blocks: uint64(label.LegBytes() / volume.BlockBytes)}
	if err == nil {
		have, err = parseSumsHeader(sector)
	}
	switch {
	case errors.Is(err, ErrChecksumsVersion):
		return fmt.Errorf("leg %s: %w", id, err)
	case err != nil:
		s.log.Warn("the header of the checksums is made anew", "leg", id.String(), "error", err)
		if err := sums.Write(context.Background(), appendSumsHeader(nil, wanted), 0, block.FUA); err != nil {
			return fmt.Errorf("leg %s: checksums: %w", id, err)
		}
	case have != wanted:
		return fmt.Errorf("leg %s: %w: its checksums are of leg %s with %d blocks",
			id, ErrMismatch, have.Leg, have.Blocks)
	}
	return nil
}
