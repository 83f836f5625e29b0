package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/holdfast-storage/holdfast/volume"
)

// The versions of the file journal: all from VersionFirst on are read, Version is written, with the first head of a
// start. One of version 1 says of nothing that it was durable, and its entries have a zero there.
const (
	VersionFirst = 1
	Version      = 2
)

const (
	headMagic      = "HFJRNAL\n"
	headAtVersion  = 8
	headAtLeg      = 16
	headAtRing     = 32
	headAtSequence = 40
	headAtTerm     = 48
	headAtStart    = 56
	headAtCut      = 64
	headAtFreed    = 72
	headAtFloor    = 88
	headAtDurable  = 104
	headAtEnded    = 112
	headAtReserved = 113
	headAtSum      = SectorBytes - 4

	headReservedV1 = 104 // where what is zero begins in version 1
)

var (
	// ErrHeadCorrupt means that a slot of the head is not what was written.
	ErrHeadCorrupt = errors.New("slot of the journal's head is corrupt")
	// ErrVersion means that the journal is of a version that this program does not know: the leg is intact and
	// waits for a newer program. It wraps volume.ErrLabelVersion.
	ErrVersion = fmt.Errorf("the journal is newer than this program: %w", volume.ErrLabelVersion)
)

// HeadSlot is a slot of the head as it stands on disk.
type HeadSlot struct {
	Head
	Leg       volume.LegID
	RingBytes int64
	Sequence  uint64 // which slot counts; it grows with every write
}

// AppendHead appends the sector of a slot.
func AppendHead(b []byte, s HeadSlot) []byte {
	start := len(b)
	b = slices.Grow(b, SectorBytes)[:start+SectorBytes]
	p := b[start:]
	clear(p)
	copy(p, headMagic)
	binary.BigEndian.PutUint16(p[headAtVersion:], Version)
	copy(p[headAtLeg:], s.Leg.UUID[:])
	binary.BigEndian.PutUint64(p[headAtRing:], uint64(s.RingBytes))
	binary.BigEndian.PutUint64(p[headAtSequence:], s.Sequence)
	binary.BigEndian.PutUint64(p[headAtTerm:], s.Term)
	binary.BigEndian.PutUint64(p[headAtStart:], uint64(s.Start))
	binary.BigEndian.PutUint64(p[headAtCut:], uint64(s.Cut))
	putTransaction(p[headAtFreed:], s.Freed)
	putTransaction(p[headAtFloor:], s.Floor)
	binary.BigEndian.PutUint64(p[headAtDurable:], uint64(s.Durable))
	if s.Ended {
		p[headAtEnded] = 1
	}
	binary.BigEndian.PutUint32(p[headAtSum:], BlockSum(p[:headAtSum]))
	return b
}

// ParseHead reads the sector of a slot. The error wraps ErrHeadCorrupt or ErrVersion.
func ParseHead(p []byte) (HeadSlot, error) {
	switch {
	case len(p) < SectorBytes:
		return HeadSlot{}, fmt.Errorf("%w: it has %d bytes", ErrHeadCorrupt, len(p))
	case string(p[:len(headMagic)]) != headMagic:
		return HeadSlot{}, fmt.Errorf("%w: no magic", ErrHeadCorrupt)
	case BlockSum(p[:headAtSum]) != binary.BigEndian.Uint32(p[headAtSum:]):
		return HeadSlot{}, fmt.Errorf("%w: wrong checksum", ErrHeadCorrupt)
	}
	version := binary.BigEndian.Uint16(p[headAtVersion:])
	if version < VersionFirst || version > Version {
		return HeadSlot{}, fmt.Errorf("%w: version %d, this program knows %d", ErrVersion, version, Version)
	}
	s := HeadSlot{
		Leg:       volume.LegID{UUID: volume.UUID(p[headAtLeg:])},
		RingBytes: int64(binary.BigEndian.Uint64(p[headAtRing:])),
		Sequence:  binary.BigEndian.Uint64(p[headAtSequence:]),
		Head: Head{
			Term:  binary.BigEndian.Uint64(p[headAtTerm:]),
			Start: Place(binary.BigEndian.Uint64(p[headAtStart:])),
			Cut:   Place(binary.BigEndian.Uint64(p[headAtCut:])),
			Freed: getTransaction(p[headAtFreed:]), Floor: getTransaction(p[headAtFloor:]),
			Durable: Place(binary.BigEndian.Uint64(p[headAtDurable:])), Ended: p[headAtEnded] == 1,
		},
	}
	reserved := headAtReserved
	if version == VersionFirst {
		reserved = headReservedV1
	}
	for _, gap := range [][]byte{p[headAtVersion+2 : headAtLeg], p[reserved:headAtSum]} {
		for _, b := range gap {
			if b != 0 {
				return HeadSlot{}, fmt.Errorf("%w: reserved bytes are set", ErrHeadCorrupt)
			}
		}
	}
	if s.RingBytes < SectorBytes || s.RingBytes%SectorBytes != 0 || s.Start%SectorBytes != 0 ||
		s.Cut%SectorBytes != 0 || s.Durable%SectorBytes != 0 || p[headAtEnded] > 1 {
		return HeadSlot{}, fmt.Errorf("%w: ring of %d bytes from %d on, cut at %d, durable up to %d, ended %d",
			ErrHeadCorrupt, s.RingBytes, s.Start, s.Cut, s.Durable, p[headAtEnded])
	}
	return s, nil
}
