package inband

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// checksumsBytes is the length of CHECKSUMS' answer for blocks blocks: a CRC32C for each, and one bit
// for each, which says that the block is bad.
func checksumsBytes(blocks int) int { return headerBytes + 4*blocks + (blocks+7)/8 }

// AppendChecksums appends CHECKSUMS' answer: one CRC32C (Castagnoli) per block, in order, of what it
// holds; and a bit map, first block in the highest bit, of those that are not what was written last.
// bad holds indices into sums.
func AppendChecksums(b []byte, sums, bad []uint32) []byte {
	b = appendHeader(b, checksumsBytes(len(sums))-headerBytes)
	for _, sum := range sums {
		b = binary.BigEndian.AppendUint32(b, sum)
	}
	bits := len(b)
	b = append(b, make([]byte, (len(sums)+7)/8)...)
	for _, i := range bad {
		b[bits+int(i/8)] |= 0x80 >> (i % 8)
	}
	return b
}

// ParseChecksums reads CHECKSUMS' answer to a command that asked for blocks blocks. bad ascends.
func ParseChecksums(b []byte, blocks int) (sums, bad []uint32, err error) {
	body, err := parseHeader(b)
	if err != nil {
		return nil, nil, err
	}
	if len(body) != checksumsBytes(blocks)-headerBytes {
		return nil, nil, fmt.Errorf("%w: %d bytes of checksums for %d blocks", ErrLength, len(body), blocks)
	}
	sums = make([]uint32, blocks)
	for i := range sums {
		sums[i] = binary.BigEndian.Uint32(body[4*i:])
	}
	bits := body[4*blocks:]
	for i := range 8 * len(bits) {
		switch {
		case bits[i/8]&(0x80>>(i%8)) == 0:
		case i >= blocks:
			return nil, nil, fmt.Errorf("%w: a bit is set behind the last of %d blocks", ErrLength, blocks)
		default:
			bad = append(bad, uint32(i))
		}
	}
	return sums, bad, nil
}

// Checksum returns the checksum of one block as CHECKSUMS answers it.
func Checksum(block []byte) uint32 {
	return crc32.Checksum(block, crc32.MakeTable(crc32.Castagnoli))
}
