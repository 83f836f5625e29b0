package mirror

import "github.com/holdfast-storage/holdfast/volume"

// StagePlan is what the records of one write to a set of parity have in common (docs/safety/journal.md). It does not
// change before the write has ended on all legs.
type StagePlan struct {
	Transaction volume.Transaction
	Legs        []volume.LegID // Q: every leg that gets a record
	Full        bool           // all of the stripe is written, and Data is all of it
	Repair      bool           // one leg alone gets Data, whatever chunk of the stripe it has
}

// Record returns the record that an EffectSubmit with a plan carries, in a layout of parity.
func (x *Effect) Record(l volume.Layout) volume.Record {
	kind := volume.RecordImage
	if x.Chunk >= l.Data && !x.Stage.Full && !x.Stage.Repair {
		kind = volume.RecordDelta
	}
	return volume.Record{Transaction: x.Stage.Transaction, Kind: kind, FirstBlock: x.Range.Off / BlockBytes,
		Blocks: x.Range.Len / BlockBytes, Legs: x.Stage.Legs}
}

// StageRequest is one record on its way to a leg.
type StageRequest struct {
	Record volume.Record
	Data   []byte // the payload
	// Complete is called exactly once, from any goroutine, as that of a block.Request.
	Complete func(*StageRequest, error)
	// Next is the leg's own while it has the request.
	Next *StageRequest
}
