package demo

import (
	"encoding/binary"
	"errors"
	"hash/crc32"

	"github.com/holdfast-storage/holdfast/volume"
)

// RecordBytes is the size of one record: one block of the volume.
const RecordBytes = volume.BlockBytes

// recordMagic starts every record.
const recordMagic = "HFDEMO01"

// Offsets in a record. The rest, up to RecordBytes, is filled from the sequence number, so that a
// block that is half old and half new fails its checksum.
const (
	seqAt   = 8
	epochAt = 16
	crcAt   = 24
	fillAt  = 28
)

// errNoRecord means that a block holds no valid record.
var errNoRecord = errors.New("no valid record")

// putRecord fills block, RecordBytes long, with record seq as written in an epoch.
func putRecord(block []byte, seq, epoch uint64) {
	copy(block, recordMagic)
	binary.BigEndian.PutUint64(block[seqAt:], seq)
	binary.BigEndian.PutUint64(block[epochAt:], epoch)
	x := seq*0x9e3779b97f4a7c15 + epoch
	for i := fillAt; i+4 <= len(block); i += 4 {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		binary.BigEndian.PutUint32(block[i:], uint32(x))
	}
	binary.BigEndian.PutUint32(block[crcAt:], recordChecksum(block))
}

// checkRecord returns the epoch in which record seq was written, or errNoRecord when block does not
// hold that very record.
func checkRecord(block []byte, seq uint64) (epoch uint64, err error) {
	if string(block[:seqAt]) != recordMagic || binary.BigEndian.Uint64(block[seqAt:]) != seq ||
		binary.BigEndian.Uint32(block[crcAt:]) != recordChecksum(block) {
		return 0, errNoRecord
	}
	return binary.BigEndian.Uint64(block[epochAt:]), nil
}

func recordChecksum(block []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	return crc32.Update(crc32.Checksum(block[:crcAt], table), table, block[fillAt:])
}
