package leg

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/holdfast-storage/holdfast/volume"
)

// RegionSectorBytes is the size of a sector of the file regions: the smallest unit that a disk writes
// whole, so that a power cut leaves each sector old or new.
const RegionSectorBytes = 512

// RegionSector is one sector of the file regions, as it stands at RegionSectorBytes × Number.
type RegionSector struct {
	Number uint32
	Bytes  [RegionSectorBytes]byte
}

// The layout of the file: the header, the mark sectors, the version sectors (docs/ondisk.md).
const (
	regionsMagic      = "HFREGNS\n"
	regionsVersion    = 1
	sectorSumAt       = RegionSectorBytes - 4
	marksPerSector    = 8 * sectorSumAt
	versionsPerSector = 63

	headerVersionAt = 8
	headerLegAt     = 16
	headerCountAt   = 32
	headerRegionAt  = 36
	headerEnd       = 40
)

var (
	// ErrRegionsVersion means that the file regions is of a version that this program does not know: the
	// leg is intact and waits for a newer program. It wraps volume.ErrLabelVersion.
	ErrRegionsVersion = fmt.Errorf("the region file is newer than this program: %w", volume.ErrLabelVersion)

	errSectorDamaged = errors.New("sector of the region file is damaged")
)

func (r *Regions) markSectors() uint32 { return (r.Count() + marksPerSector - 1) / marksPerSector }

// Sectors returns how many sectors the file has.
func (r *Regions) Sectors() uint32 {
	return 1 + r.markSectors() + (r.Count()+versionsPerSector-1)/versionsPerSector
}

// markSector and versionSector return the number of the sector that a region's mark or version is in.
func (r *Regions) markSector(region uint32) uint32 { return 1 + region/marksPerSector }

func (r *Regions) versionSector(region uint32) uint32 {
	return 1 + r.markSectors() + region/versionsPerSector
}

// sectorRegions returns the regions that a sector tells of: [first, end), and whether it holds marks.
func (r *Regions) sectorRegions(number uint32) (first, end uint32, marks bool) {
	if number <= r.markSectors() {
		first = (number - 1) * marksPerSector
		return first, min(first+marksPerSector, r.Count()), true
	}
	first = (number - 1 - r.markSectors()) * versionsPerSector
	return first, min(first+versionsPerSector, r.Count()), false
}

// Sector returns a sector as it is to be on the disk.
func (r *Regions) Sector(number uint32) RegionSector {
	s := RegionSector{Number: number}
	b := &s.Bytes
	if number == 0 {
		copy(b[:], regionsMagic)
		binary.BigEndian.PutUint16(b[headerVersionAt:], regionsVersion)
		copy(b[headerLegAt:], r.leg.UUID[:])
		binary.BigEndian.PutUint32(b[headerCountAt:], r.Count())
		binary.BigEndian.PutUint32(b[headerRegionAt:], volume.RegionBytes)
		binary.BigEndian.PutUint32(b[sectorSumAt:], sectorSum(b[:sectorSumAt]))
		return s
	}
	first, end, marks := r.sectorRegions(number)
	if marks {
		for i, ok := r.marks.next(first); ok && i < end; i, ok = r.marks.next(i + 1) {
			b[(i-first)/8] |= 0x80 >> ((i - first) % 8)
		}
	} else {
		for i, version := range r.versions[first:end] {
			binary.BigEndian.PutUint64(b[8*i:], uint64(version))
		}
	}
	binary.BigEndian.PutUint32(b[sectorSumAt:], r.bodySum(number, b[:sectorSumAt]))
	return s
}

// Load takes over what a sector of the disk says. A sector that is damaged (its checksum is wrong, it
// belongs to another place or leg, or it says what no sector can) changes nothing and is remembered as
// damaged until a whole one is loaded; StartLeg judges what that means. The error is ErrRegionsVersion
// or ErrMismatch for a whole header of another version or leg, else nil.
func (r *Regions) Load(s RegionSector) error {
	err := r.load(s)
	if errors.Is(err, errSectorDamaged) {
		r.damaged.set(s.Number)
		return nil
	}
	if err == nil {
		r.damaged.unset(s.Number)
	}
	return err
}

func (r *Regions) load(s RegionSector) error {
	b, sum := s.Bytes[:sectorSumAt], binary.BigEndian.Uint32(s.Bytes[sectorSumAt:])
	if s.Number == 0 {
		return r.loadHeader(b, sum)
	}
	if sum != r.bodySum(s.Number, b) {
		return errSectorDamaged
	}
	first, end, marks := r.sectorRegions(s.Number)
	used := 8 * int(end-first)
	if marks {
		used = int(end-first+7) / 8
		if tail := (end - first) % 8; tail != 0 && b[used-1]<<tail != 0 {
			return errSectorDamaged
		}
	}
	if !allZero(b[used:]) {
		return errSectorDamaged
	}
	for i := first; i < end; i++ {
		at := i - first
		switch {
		case !marks:
			r.versions[i] = volume.CfgVer(binary.BigEndian.Uint64(b[8*at:]))
		case b[at/8]&(0x80>>(at%8)) != 0:
			r.marks.set(i)
		default:
			r.marks.unset(i)
		}
	}
	return nil
}

// loadHeader checks the header, which holds nothing that changes.
func (r *Regions) loadHeader(b []byte, sum uint32) error {
	version := binary.BigEndian.Uint16(b[headerVersionAt:])
	switch {
	case string(b[:len(regionsMagic)]) != regionsMagic || sum != sectorSum(b):
		return errSectorDamaged
	case version != regionsVersion:
		return fmt.Errorf("%w: version %d, this program knows %d", ErrRegionsVersion, version,
			regionsVersion)
	case volume.UUID(b[headerLegAt:]) != r.leg.UUID ||
		binary.BigEndian.Uint32(b[headerCountAt:]) != r.Count() ||
		binary.BigEndian.Uint32(b[headerRegionAt:]) != volume.RegionBytes:
		return fmt.Errorf("leg %s: %w: its region file is of another leg or size", r.leg, ErrMismatch)
	case !allZero(b[headerVersionAt+2:headerLegAt]) || !allZero(b[headerEnd:]):
		return errSectorDamaged
	}
	return nil
}

// bodySum is the checksum of a mark or version sector. It covers the sector's place, the leg and the
// version of the layout, so that a sector of elsewhere is not taken for it.
func (r *Regions) bodySum(number uint32, b []byte) uint32 {
	var place [22]byte
	copy(place[:], r.leg.UUID[:])
	binary.BigEndian.PutUint16(place[16:], regionsVersion)
	binary.BigEndian.PutUint32(place[18:], number)
	return crc32.Update(sectorSum(place[:]), crc32.MakeTable(crc32.Castagnoli), b)
}

func sectorSum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }
