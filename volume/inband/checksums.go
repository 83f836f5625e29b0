package inband

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// AppendChecksums appends CHECKSUMS' answer: one CRC32C (Castagnoli) per block, in order.
func AppendChecksums(b []byte, sums []uint32) []byte {
	b = appendHeader(b, 4*len(sums))
	for _, sum := range sums {
		b = binary.BigEndian.AppendUint32(b, sum)
	}
	return b
}

// ParseChecksums reads CHECKSUMS' answer to a command that asked for blocks blocks.
func ParseChecksums(b []byte, blocks int) ([]uint32, error) {
	body, err := parseHeader(b)
	if err != nil {
		return nil, err
	}
	if len(body) != 4*blocks {
		return nil, fmt.Errorf("%w: %d bytes of checksums for %d blocks", ErrLength, len(body), blocks)
	}
	sums := make([]uint32, blocks)
	for i := range sums {
		sums[i] = binary.BigEndian.Uint32(body[4*i:])
	}
	return sums, nil
}

// Checksum returns the checksum of one block as CHECKSUMS answers it.
func Checksum(block []byte) uint32 {
	return crc32.Checksum(block, crc32.MakeTable(crc32.Castagnoli))
}
