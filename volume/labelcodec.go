package volume

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/bits"
	"strings"
)

// LabelBytes is the size of a label at rest and on the wire: one 512-byte sector, the smallest
// unit that a disk writes whole, so that a power cut leaves a label old or new.
const LabelBytes = 512

// The versions of labels that this code writes and reads. Magic, version and checksum keep their places in
// every version.
const (
	// LabelVersionMirror is that of every leg of a mirror.
	LabelVersionMirror = 1
	// LabelVersionParity is that of every leg of parity: it adds the chunk. It is a version of its own so that
	// a program that knows no chunks leaves the leg alone; it would take a reserved field that is set for damage.
	LabelVersionParity = 2
)

// MaxInSync is the longest in-sync list that a label holds: the widest layout with every leg
// being replaced at once never comes near it.
const MaxInSync = 16

var (
	// ErrLabelCorrupt means that the bytes are no label: wrong length, magic, checksum or field.
	ErrLabelCorrupt = errors.New("label is corrupt")
	// ErrLabelVersion means that the label is whole but of a version that this code does not know.
	// The leg is intact: it must be left alone, never treated as lost.
	ErrLabelVersion = errors.New("label is of an unknown version")
)

// The places of a label's fields; docs/ondisk.md gives the reason for each.
const (
	offMagic       = 0
	offVersion     = 8
	offFlags       = 10
	offLayoutKind  = 11
	offLayoutData  = 12
	offLayoutExtra = 13
	offSlot        = 14
	offDurability  = 15
	offSlotSeq     = 16
	offFenceEpoch  = 24
	offAttachID    = 32
	offCfgVer      = 48
	offInSyncCount = 56
	offChunk       = 57 // its binary logarithm, 0 without chunks
	offCrashGen    = 64
	offSizeBytes   = 72
	offIncarnation = 80
	offVolumeID    = 96
	offLegID       = 112
	offStoreID     = 128
	offDataGen     = 144
	offOpenBoot    = 160
	offVolumeName  = 176
	offInSync      = 240
	offProgress    = 496
	offChecksum    = LabelBytes - 4
)

const labelMagic = "HFLABEL\n"

// The bits of the flags byte.
const (
	flagAdmit = 1 << iota
	flagClosed
	flagClean
	flagMarked
	flagMixed
	flagsKnown = flagAdmit | flagClosed | flagClean | flagMarked | flagMixed
)

// AppendLabel appends the LabelBytes bytes of l to b. It refuses a label that it could not read
// back: one with an unknown layout or durability, a name or a list that is too long.
func AppendLabel(b []byte, l Label) ([]byte, error) {
	if err := l.check(); err != nil {
		return b, err
	}
	start := len(b)
	b = append(b, make([]byte, LabelBytes)...)
	p := b[start:]
	copy(p[offMagic:], labelMagic)
	binary.BigEndian.PutUint16(p[offVersion:], labelVersion(l.Layout.Kind))
	p[offFlags] = l.flags()
	p[offLayoutKind] = layoutCode(l.Layout.Kind)
	p[offLayoutData], p[offLayoutExtra] = byte(l.Layout.Data), byte(l.Layout.Extra)
	if l.Layout.Chunk != 0 {
		p[offChunk] = byte(bits.TrailingZeros64(uint64(l.Layout.Chunk)))
	}
	p[offSlot] = byte(l.Slot)
	p[offDurability] = durabilityCode(l.Durability)
	binary.BigEndian.PutUint64(p[offSlotSeq:], l.SlotSeq)
	binary.BigEndian.PutUint64(p[offFenceEpoch:], uint64(l.FenceEpoch))
	copy(p[offAttachID:], l.AttachID.UUID[:])
	binary.BigEndian.PutUint64(p[offCfgVer:], uint64(l.Config.CfgVer))
	p[offInSyncCount] = byte(len(l.Config.InSync))
	binary.BigEndian.PutUint64(p[offCrashGen:], l.CrashGen)
	binary.BigEndian.PutUint64(p[offSizeBytes:], uint64(l.SizeBytes))
	copy(p[offIncarnation:], l.Incarnation.UUID[:])
	copy(p[offVolumeID:], l.VolumeID.UUID[:])
	copy(p[offLegID:], l.LegID.UUID[:])
	copy(p[offStoreID:], l.StoreID.UUID[:])
	copy(p[offDataGen:], l.DataGen[:])
	copy(p[offOpenBoot:], l.OpenBoot[:])
	copy(p[offVolumeName:], l.VolumeName)
	for i, leg := range l.Config.InSync {
		copy(p[offInSync+16*i:], leg.UUID[:])
	}
	binary.BigEndian.PutUint64(p[offProgress:], l.Progress)
	binary.BigEndian.PutUint32(p[offChecksum:], labelChecksum(p))
	return b, nil
}

// ParseLabel reads the first LabelBytes bytes of b. The result shares nothing with b. The error
// wraps ErrLabelCorrupt or ErrLabelVersion.
func ParseLabel(b []byte) (Label, error) {
	if len(b) < LabelBytes {
		return Label{}, fmt.Errorf("%w: %d bytes, want %d", ErrLabelCorrupt, len(b), LabelBytes)
	}
	p := b[:LabelBytes]
	if string(p[offMagic:offMagic+len(labelMagic)]) != labelMagic {
		return Label{}, fmt.Errorf("%w: wrong magic", ErrLabelCorrupt)
	}
	if binary.BigEndian.Uint32(p[offChecksum:]) != labelChecksum(p) {
		return Label{}, fmt.Errorf("%w: wrong checksum", ErrLabelCorrupt)
	}
	// The checksum comes first: only a whole label can say that it is of another version.
	if v := binary.BigEndian.Uint16(p[offVersion:]); v != LabelVersionMirror && v != LabelVersionParity {
		return Label{}, fmt.Errorf("%w: %d, this program knows %d and %d; use a newer one",
			ErrLabelVersion, v, LabelVersionMirror, LabelVersionParity)
	}
	return parseLabelFields(p)
}

// parseLabelFields reads the fields of a label whose frame was verified.
func parseLabelFields(p []byte) (Label, error) {
	flags, count := p[offFlags], int(p[offInSyncCount])
	if flags&^flagsKnown != 0 || count > MaxInSync || !allZero(p[offChunk+1:offCrashGen]) ||
		!allZero(p[offInSync+16*count:offProgress]) || !allZero(p[offProgress+8:offChecksum]) {
		return Label{}, fmt.Errorf("%w: a reserved field is set", ErrLabelCorrupt)
	}
	name := strings.TrimRight(string(p[offVolumeName:offInSync]), "\x00")
	l := Label{
		SlotSeq:     binary.BigEndian.Uint64(p[offSlotSeq:]),
		Progress:    binary.BigEndian.Uint64(p[offProgress:]),
		Incarnation: ClusterID{UUID(p[offIncarnation:])},
		VolumeID:    ID{UUID(p[offVolumeID:])},
		VolumeName:  name,
		LegID:       LegID{UUID(p[offLegID:])},
		StoreID:     StoreID{UUID(p[offStoreID:])},
		DataGen:     UUID(p[offDataGen:]),
		Layout: Layout{
			Kind: wordOf(p[offLayoutKind], layoutCode, KindMirror, KindParity), Data: int(p[offLayoutData]),
			Extra: int(p[offLayoutExtra]), Chunk: chunkOf(p[offChunk]),
		},
		Slot:       int(p[offSlot]),
		Durability: wordOf(p[offDurability], durabilityCode, DurabilityFlush, DurabilitySync),
		SizeBytes:  int64(binary.BigEndian.Uint64(p[offSizeBytes:])),
		FenceEpoch: Epoch(binary.BigEndian.Uint64(p[offFenceEpoch:])),
		AttachID:   AttachID{UUID(p[offAttachID:])},
		Admit:      flags&flagAdmit != 0,
		Closed:     flags&flagClosed != 0,
		Clean:      flags&flagClean != 0,
		Marked:     flags&flagMarked != 0,
		Mixed:      flags&flagMixed != 0,
		Config:     Config{CfgVer: CfgVer(binary.BigEndian.Uint64(p[offCfgVer:]))},
		CrashGen:   binary.BigEndian.Uint64(p[offCrashGen:]),
		OpenBoot:   UUID(p[offOpenBoot:]),
	}
	for i := range count {
		l.Config.InSync = append(l.Config.InSync, LegID{UUID(p[offInSync+16*i:])})
	}
	if err := l.check(); err != nil {
		return Label{}, fmt.Errorf("%w: %w", ErrLabelCorrupt, err)
	}
	if v := binary.BigEndian.Uint16(p[offVersion:]); v != labelVersion(l.Layout.Kind) {
		return Label{}, fmt.Errorf("%w: layout %s in version %d", ErrLabelCorrupt, l.Layout, v)
	}
	return l, nil
}

// check refuses what the layout cannot hold. It is the same for both directions.
func (l Label) check() error {
	if err := l.Layout.Check(); err != nil {
		return fmt.Errorf("label of leg %s: %w", l.LegID, err)
	}
	switch {
	case durabilityCode(l.Durability) == 0:
		return fmt.Errorf("label of leg %s: durability %q is unknown", l.LegID, l.Durability)
	case l.Slot < 0 || l.Slot >= l.Layout.Legs():
		return fmt.Errorf("label of leg %s: slot %d of a layout with %d legs", l.LegID, l.Slot,
			l.Layout.Legs())
	case l.SizeBytes <= 0 || l.SizeBytes > MaxSizeBytes || l.SizeBytes%BlockBytes != 0:
		return fmt.Errorf("label of leg %s: size %d", l.LegID, l.SizeBytes)
	case len(l.VolumeName) > NameMax || strings.Contains(l.VolumeName, "\x00"):
		return fmt.Errorf("label of leg %s: volume name %q", l.LegID, l.VolumeName)
	case len(l.Config.InSync) > MaxInSync:
		return fmt.Errorf("label of leg %s: %d legs in sync, at most %d", l.LegID, len(l.Config.InSync),
			MaxInSync)
	}
	return nil
}

func (l Label) flags() byte {
	var f byte
	if l.Admit {
		f |= flagAdmit
	}
	if l.Closed {
		f |= flagClosed
	}
	if l.Clean {
		f |= flagClean
	}
	if l.Marked {
		f |= flagMarked
	}
	if l.Mixed {
		f |= flagMixed
	}
	return f
}

// layoutCode and durabilityCode are for ever: a new word takes a new number. Zero is no word.
func layoutCode(k LayoutKind) byte {
	switch k {
	case KindMirror:
		return 1
	case KindParity:
		return 2
	}
	return 0
}

// labelVersion is the version of the labels of legs of a kind.
func labelVersion(k LayoutKind) uint16 {
	if k == KindParity {
		return LabelVersionParity
	}
	return LabelVersionMirror
}

// chunkOf is the chunk with this binary logarithm, 0 without one. What is no chunk check refuses.
func chunkOf(log byte) int64 {
	if log == 0 {
		return 0
	}
	return 1 << min(log, 62)
}

func durabilityCode(d Durability) byte {
	switch d {
	case DurabilityFlush:
		return 1
	case DurabilitySync:
		return 2
	}
	return 0
}

// wordOf returns the word with this code, the empty word (which check refuses) when there is none.
func wordOf[W ~string](code byte, codeOf func(W) byte, words ...W) W {
	for _, word := range words {
		if codeOf(word) == code {
			return word
		}
	}
	return ""
}

// labelChecksum is the CRC32C of everything but the checksum itself.
func labelChecksum(p []byte) uint32 {
	return crc32.Checksum(p[:offChecksum], crc32.MakeTable(crc32.Castagnoli))
}

func allZero(p []byte) bool {
	for _, b := range p {
		if b != 0 {
			return false
		}
	}
	return true
}
