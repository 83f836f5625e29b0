package leg

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/volume"
)

// The layout of the file of checksums: one sector of header in a page of its own, then one checksum
// for each block of the data, big endian, then zeroes up to a whole page. docs/ondisk.md says why.
const (
	sumsHeaderBytes = 4096
	sumsPageBytes   = 4096
	sumBytes        = 4
	sumsVersion     = 1
	sumsMagic       = "HFCSUMS\n"
)

// The checksums that are not computed from a block's content alone.
const (
	// sumZero is that of a block that is all zero: never written, zeroed, or written so.
	sumZero uint32 = 0
	// sumUnderWay says that a write of the block was under way: it is old or new, nobody knows.
	sumUnderWay uint32 = 1
)

var (
	// ErrChecksumsVersion means that the file checksums is of a version that this program does not know:
	// the leg is intact and waits for a newer program. It wraps volume.ErrLabelVersion.
	ErrChecksumsVersion = fmt.Errorf("the checksums are newer than this program: %w", volume.ErrLabelVersion)

	// errSumsCorrupt means that the header of the checksums is torn or rotten.
	errSumsCorrupt = errors.New("the header of the checksums is corrupt")
)

// sumsHeader says what a file of checksums belongs to.
type sumsHeader struct {
	Leg    volume.LegID
	Blocks uint64 // of volume.BlockBytes: how many checksums there are
}

// The places of the header's fields. Magic, version and checksum keep theirs in every version.
const (
	sumsSectorBytes = 512
	sumsAtVersion   = 8
	sumsAtBlocks    = 16
	sumsAtLeg       = 24
	sumsAtChecksum  = 508
)

// appendSumsHeader appends the sector that is the header.
func appendSumsHeader(b []byte, h sumsHeader) []byte {
	b = slices.Grow(b, sumsSectorBytes)
	start := len(b)
	b = append(b, sumsMagic...)
	b = binary.BigEndian.AppendUint16(b, sumsVersion)
	b = append(b, make([]byte, sumsAtBlocks-sumsAtVersion-2)...)
	b = binary.BigEndian.AppendUint64(b, h.Blocks)
	b = append(b, h.Leg.UUID[:]...)
	b = append(b, make([]byte, start+sumsAtChecksum-len(b))...)
	return binary.BigEndian.AppendUint32(b, sectorSum(b[start:]))
}

// parseSumsHeader reads the header. The error wraps errSumsCorrupt or ErrChecksumsVersion.
func parseSumsHeader(b []byte) (sumsHeader, error) {
	switch {
	case len(b) < sumsSectorBytes:
		return sumsHeader{}, fmt.Errorf("%w: it has %d bytes", errSumsCorrupt, len(b))
	case string(b[:sumsAtVersion]) != sumsMagic:
		return sumsHeader{}, fmt.Errorf("%w: no magic", errSumsCorrupt)
	case sectorSum(b[:sumsAtChecksum]) != binary.BigEndian.Uint32(b[sumsAtChecksum:]):
		return sumsHeader{}, fmt.Errorf("%w: wrong checksum", errSumsCorrupt)
	}
	if v := binary.BigEndian.Uint16(b[sumsAtVersion:]); v != sumsVersion {
		return sumsHeader{}, fmt.Errorf("%w: version %d, this program knows %d",
			ErrChecksumsVersion, v, sumsVersion)
	}
	h := sumsHeader{Leg: volume.LegID{UUID: volume.UUID(b[sumsAtLeg:])}}
	h.Blocks = binary.BigEndian.Uint64(b[sumsAtBlocks:])
	for _, gap := range [][]byte{
		b[sumsAtVersion+2 : sumsAtBlocks], b[sumsAtLeg+len(h.Leg.UUID) : sumsAtChecksum],
	} {
		if !allZero(gap) {
			return sumsHeader{}, fmt.Errorf("%w: reserved bytes are set", errSumsCorrupt)
		}
	}
	return h, nil
}

// sumsFileBytes is how long the file is for data of this size.
func sumsFileBytes(sizeBytes int64) int64 {
	sums := sizeBytes / volume.BlockBytes * sumBytes
	return sumsHeaderBytes + (sums+sumsPageBytes-1)&^(sumsPageBytes-1)
}

// sumsRange is where the checksums of a range of whole blocks lie in the file.
func sumsRange(r block.Range) block.Range {
	return block.Range{
		Off: sumsHeaderBytes + r.Off/volume.BlockBytes*sumBytes,
		Len: r.Len / volume.BlockBytes * sumBytes,
	}
}

// summedRange is the data that a range of whole checksums covers, the reverse of sumsRange.
func summedRange(r block.Range) block.Range {
	return block.Range{
		Off: (r.Off - sumsHeaderBytes) / sumBytes * volume.BlockBytes,
		Len: r.Len / sumBytes * volume.BlockBytes,
	}
}

// blockSum is the checksum of block n while it holds content, a whole block: sumZero if that is all
// zero, else CRC32C over the block's number, 8 bytes, and its content, with 0 and 1 taken for 2 and 3.
// The number makes a write that went to another place show there and, as the old content stayed, here.
//
// It is a function: a block is bad if and only if blockSum of what it holds is not what is stored.
func blockSum(n int64, content []byte) uint32 {
	if allZero(content) {
		return sumZero
	}
	table := crc32.MakeTable(crc32.Castagnoli)
	crc := ^uint32(0)
	for shift := 56; shift >= 0; shift -= 8 {
		crc = table[byte(crc)^byte(n>>shift)] ^ crc>>8
	}
	sum := crc32.Update(^crc, table, content)
	if sum <= sumUnderWay {
		sum += 2
	}
	return sum
}

// allZero compares b with itself, one byte further on, which is as fast as the processor compares.
func allZero(b []byte) bool {
	return len(b) == 0 || b[0] == 0 && bytes.Equal(b[1:], b[:len(b)-1])
}

// getSum returns the i-th checksum of a run of them.
func getSum(sums []byte, i int64) uint32 { return binary.BigEndian.Uint32(sums[i*sumBytes:]) }

// putSum sets the i-th checksum of a run.
func putSum(sums []byte, i int64, sum uint32) { binary.BigEndian.PutUint32(sums[i*sumBytes:], sum) }

// putSums sets the checksums of the blocks from first on that p holds.
func putSums(sums []byte, first int64, p []byte) {
	for i := int64(0); len(p) > 0; i, p = i+1, p[volume.BlockBytes:] {
		putSum(sums, i, blockSum(first+i, p[:volume.BlockBytes]))
	}
}

// badBlock is the error of a block that is not what was written last.
func badBlock(n int64) error {
	return fmt.Errorf("block %d at byte %d does not match its checksum: %w", n, n*volume.BlockBytes, block.ErrMedium)
}
