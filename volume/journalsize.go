package volume

// The size of the journal of a leg of parity (docs/ondisk.md, The journal).
const (
	// JournalHeadBytes is the beginning of the file, in front of the ring.
	JournalHeadBytes = 2 * BlockBytes

	journalMaxBytes    = 64 << 20
	journalShare       = 8  // of what the leg holds; more would not pay on a small leg
	journalMinRecords  = 16 // of the longest kind must fit
	recordSectorBytes  = 512
	recordFixedBytes   = 84
	recordLegBytes     = 16
	recordSumBytes     = 4
	journalRoomDivisor = 5
)

// RecordBytes returns how much of a journal a record of so many blocks takes up that names so many legs.
func RecordBytes(blocks int64, legs int) int64 {
	head := recordFixedBytes + recordLegBytes*int64(legs) + recordSumBytes*blocks
	return (head+recordSectorBytes-1)/recordSectorBytes*recordSectorBytes + blocks*BlockBytes
}

// JournalBytes returns how long the file journal of each leg of a volume of this size is; 0 for a mirror, whose
// legs have none.
func (l Layout) JournalBytes(size int64) int64 {
	if l.Kind != KindParity {
		return 0
	}
	least := journalMinRecords * RecordBytes(l.Chunk/BlockBytes, MaxInSync)
	ring := max(least, min(l.LegBytes(size)/journalShare, journalMaxBytes))
	return JournalHeadBytes + (ring+BlockBytes-1)/BlockBytes*BlockBytes
}

// JournalRoom returns how much of each leg's journal records that are not freed may take up, by RecordBytes. The
// rest is for after-images, as long as the deltas at most, and for what of both is freed but lies behind a record
// that is not: with no more records than this a leg can always commit.
func (l Layout) JournalRoom(size int64) int64 {
	return (l.JournalBytes(size) - JournalHeadBytes) / journalRoomDivisor
}
