package leg

import "github.com/holdfast-storage/holdfast/leg/journal"

// The versions of what a store holds, for `holdfast version`. This program opens no others, but for a journal from
// JournalFirst on.
const (
	StoreFormat      = storeFormat     // layout of the store's directory
	RegionsVersion   = regionsVersion  // of the file regions
	ChecksumsVersion = sumsVersion     // of the file checksums
	JournalVersion   = journal.Version // of the file journal
	WitnessVersion   = witnessVersion  // of the store's witness, in memory
	JournalFirst     = journal.VersionFirst
)
