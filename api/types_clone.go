package api

import "time"

// CloneVolumes asks for copies of volumes, all of which hold what their sources held at one moment.
type CloneVolumes struct {
	// Request is chosen by the caller, so that a request repeated after a lost answer makes the clones once. It names
	// their group.
	Request   string     `json:"request,omitempty" doc:"a fresh UUID; chosen by the server if empty"`
	Clones    []NewClone `json:"clones" minItems:"1" maxItems:"32"`
	RateBytes int64      `json:"rate_bytes,omitempty" minimum:"0" doc:"of each source a second; 0 is the default"`
	Wait
}

// NewClone is one copy that is asked for. What it does not say is as with its source, but for limits and exports, which
// it has none of.
type NewClone struct {
	Source        string   `json:"source" doc:"name or id of the volume that it is to be a copy of"`
	Name          string   `json:"name" maxLength:"63"`
	Layout        string   `json:"layout,omitempty" example:"mirror=2" doc:"default: that of the source"`
	Durability    string   `json:"durability,omitempty" doc:"flush or sync; default: that of the source"`
	UnflushedLoss string   `json:"unflushed_loss,omitempty" doc:"wait or accept; default: that of the source"`
	LegsOn        []string `json:"legs_on,omitempty" doc:"storage nodes to use, one for each leg"`
	Spread        string   `json:"spread,omitempty" doc:"zone, rack or node; default: that of the source"`
	ApartFrom     []string `json:"apart_from,omitempty" doc:"volumes with whose legs it shall share no node"`
}

// The states of a clone.
const (
	CloneFilling = "filling" // its content is nothing yet
	CloneCut     = "cut"     // it holds what its source held then, and is a volume like any other
)

// Clone says of a volume that it was made as a copy of another one.
type Clone struct {
	Source    string     `json:"source" doc:"name of the volume that it is a copy of"`
	SourceID  string     `json:"source_id"`
	Group     string     `json:"group" doc:"clones of one group are cut at the same moment"`
	State     string     `json:"state" enum:"filling,cut"`
	By        string     `json:"by,omitempty" doc:"who wants it, if that is no operator"`
	Waits     string     `json:"waits,omitempty" doc:"what keeps it from being filled now"`
	Error     string     `json:"error,omitempty" doc:"why the copying stands still; it is tried again"`
	Progress  float64    `json:"progress" minimum:"0" maximum:"1" doc:"of the first pass over the source; 1 when cut"`
	RestBytes int64      `json:"rest_bytes,omitempty" doc:"that are left to copy, as far as is known"`
	RateBytes int64      `json:"rate_bytes,omitempty" doc:"a second at most; 0 is the default"`
	CutAt     *time.Time `json:"cut_at" doc:"null while it is being filled"`
	Frozen    bool       `json:"frozen" doc:"the guest had written its file systems back before the cut"`
}
