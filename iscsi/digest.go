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

// The table is computed once; hash/crc32 uses the processor's own instruction where there is one.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// putDigest stores the digest as RFC 7143 §13.1 sends it: the least significant byte first.
func putDigest(b []byte, crc uint32) { binary.LittleEndian.PutUint32(b, crc) }

func digestOf(crc uint32, b []byte) uint32 { return crc32.Update(crc, castagnoli, b) }

// padLen returns how many bytes pad n to a multiple of four.
func padLen(n int) int { return -n & 3 }

var padding [4]byte
