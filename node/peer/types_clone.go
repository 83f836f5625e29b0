package peer

import "github.com/holdfast-storage/holdfast/volume"

// CloneOrder tells a host to fill the clones of one group, all of which are attached there with their sources, and to
// cut them at one moment.
type CloneOrder struct {
	Group volume.UUID `json:"group"`
	Rate  int64       `json:"rate,omitempty"` // bytes a second for each clone; zero = the engine's default
	Fills []CloneFill `json:"fills"`
}

// CloneFill is one clone that is to be filled.
type CloneFill struct {
	Volume      volume.ID    `json:"volume"`
	Name        string       `json:"name"`
	Epoch       volume.Epoch `json:"epoch"`
	Source      volume.ID    `json:"source"`
	SourceEpoch volume.Epoch `json:"source_epoch"`
}

// CopyState is how far the copy of a volume is.
type CopyState string

// The states of a copy.
const (
	CopyRuns  CopyState = "copying"  // more has to be copied than can be while the guest waits
	CopyNear  CopyState = "near"     // so little is left that it can be cut; what changes is copied on
	CopyHeld  CopyState = "held"     // the guest waits while the rest is copied
	CopyEnded CopyState = "complete" // the clone holds what the volume held at the cut, on stable storage
)

// CopyStatus is how an engine copies its volume onto a clone.
type CopyStatus struct {
	Group  volume.UUID  `json:"group"`
	Volume volume.ID    `json:"volume"` // the clone
	Epoch  volume.Epoch `json:"epoch"`  // of the clone's attachment
	State  CopyState    `json:"state"`
	Cut    volume.UUID  `json:"cut,omitzero"` // the cut that it is held for, or was complete at
	Done   int64        `json:"done_bytes"`   // of the first pass
	Total  int64        `json:"total_bytes"`
	Rest   int64        `json:"rest_bytes"`      // that are left to copy, as far as is known
	Error  string       `json:"error,omitempty"` // why it stands still; it is tried again
	Lost   bool         `json:"lost,omitempty"`  // it is not: what the clone's engine did last is not known
}
