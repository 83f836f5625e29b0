package leg

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/holdfast-storage/holdfast/volume"
)

// regionsName is the file of a leg that holds marks and versions.
const regionsName = "regions"

// regionsChunk is how much of the file regions is read or made at once.
const regionsChunk = 2048 * RegionSectorBytes

// regionsFile is the marks and versions of a leg at rest. It is a file of its own so that the sync of a
// mark never has to wait for pages of data, checksums or the label.
type regionsFile struct{ file File }

// createRegions makes the file of a new leg and syncs it. Every sector is written, so that later a write
// of a mark allocates nothing and a sector of zeroes is one that was lost.
func createRegions(fsys FS, path string, r *Regions) error {
	file, err := fsys.CreateFull(path, int64(r.Sectors())*RegionSectorBytes)
	if err != nil {
		return err
	}
	buf := make([]byte, 0, regionsChunk)
	for n, off := uint32(0), int64(0); n < r.Sectors() && err == nil; {
		for buf = buf[:0]; n < r.Sectors() && len(buf) < regionsChunk; n++ {
			s := r.Sector(n)
			buf = append(buf, s.Bytes[:]...)
		}
		_, err = file.WriteAt(buf, off)
		off += int64(len(buf))
	}
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// openRegions opens the file of a leg and reads it. A *LostError means that it is gone or cut short.
func (s *Store) openRegions(label volume.Label) (*regionsFile, *Regions, error) {
	file, err := s.fsys.Open(legFile(label.LegID, regionsName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, &LostError{Leg: label.LegID, Reason: "its region file is missing"}
	}
	if err != nil {
		return nil, nil, fmt.Errorf("leg %s: %w", label.LegID, err)
	}
	f := &regionsFile{file}
	r, err := f.read(label)
	if err != nil {
		return nil, nil, errors.Join(err, file.Close())
	}
	if r.Damaged() > 0 {
		s.log.Warn("the region file is damaged: what it no longer tells counts as marked",
			"leg", label.LegID.String(), "sectors", r.Damaged())
	}
	return f, r, nil
}

func (f *regionsFile) read(label volume.Label) (*Regions, error) {
	r := NewRegions(label.LegID, label.LegBytes())
	buf := make([]byte, min(regionsChunk, int64(r.Sectors())*RegionSectorBytes))
	for next := uint32(0); next < r.Sectors(); {
		off := int64(next) * RegionSectorBytes
		chunk := buf[:min(int64(len(buf)), int64(r.Sectors())*RegionSectorBytes-off)]
		n, err := f.file.ReadAt(chunk, off)
		switch {
		case n == len(chunk):
		case errors.Is(err, io.EOF):
			return nil, &LostError{Leg: label.LegID,
				Reason: fmt.Sprintf("its region file ends at byte %d", off+int64(n))}
		default:
			return nil, fmt.Errorf("leg %s: read the region file: %w", label.LegID, err)
		}
		for ; len(chunk) > 0; chunk = chunk[RegionSectorBytes:] {
			err := r.Load(RegionSector{Number: next, Bytes: [RegionSectorBytes]byte(chunk)})
			if err != nil {
				return nil, fmt.Errorf("leg %s: %w", label.LegID, err)
			}
			next++
		}
	}
	return r, nil
}

// write makes sectors durable, which ascend within runs. After an error the file must not be used again:
// what the disk holds is unknown. It syncs also when there is nothing to write, since what was read may be
// in the page cache only, left by a process that was killed before its sync.
func (f *regionsFile) write(sectors []RegionSector) error {
	var buf []byte
	for i := 0; i < len(sectors); {
		first := sectors[i].Number
		buf = buf[:0]
		for ; i < len(sectors) && sectors[i].Number == first+uint32(len(buf)/RegionSectorBytes); i++ {
			buf = append(buf, sectors[i].Bytes[:]...)
		}
		if _, err := f.file.WriteAt(buf, int64(first)*RegionSectorBytes); err != nil {
			return fmt.Errorf("write sector %d of the region file: %w", first, err)
		}
	}
	if err := f.file.Sync(); err != nil {
		return fmt.Errorf("sync the region file: %w: %w", errSync, err)
	}
	return nil
}
