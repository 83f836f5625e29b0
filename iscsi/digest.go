package iscsi

import (
	"encoding/binary"
	"hash/crc32"
)

// DigestLen is the length of a CRC32C digest on the wire in bytes.
const DigestLen = 4

// Digests says which digests the PDUs of a connection carry after login (RFC 7143 §13.1).
type Digests struct {
	Header, Data bool // CRC32C; none otherwise
}

// putDigest stores the digest as RFC 7143 §13.1 sends it: the least significant byte first.
func putDigest(b []byte, crc uint32) { binary.LittleEndian.PutUint32(b, crc) }

// digestOf goes on with crc over b. hash/crc32 keeps the table and uses the processor's own
// instruction where there is one.
func digestOf(crc uint32, b []byte) uint32 {
	return crc32.Update(crc, crc32.MakeTable(crc32.Castagnoli), b)
}

// padLen returns how many bytes pad n to a multiple of four.
func padLen(n int) int { return -n & 3 }

// padding holds the zeroes that pad a segment.
const padding = "\x00\x00\x00"
