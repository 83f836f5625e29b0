package api

// Limit is how fast the guest of a volume may read and write it, both together.
type Limit struct {
	IOPS           int64   `json:"iops" doc:"requests a second; 0 is no limit"`
	BandwidthBytes int64   `json:"bandwidth_bytes" doc:"bytes a second; 0 is no limit"`
	BurstSeconds   float64 `json:"burst_seconds" doc:"for how long either may be saved up while less is used"`
}

// SetLimit sets a limit; a field that is null stays as it is, or has its default in a new volume.
type SetLimit struct {
	IOPS           *int64   `json:"iops,omitempty" doc:"requests a second, from 10; 0 is no limit"`
	BandwidthBytes *int64   `json:"bandwidth_bytes,omitempty" doc:"bytes a second, from 1 MiB; 0 is no limit"`
	BurstSeconds   *float64 `json:"burst_seconds,omitempty" doc:"0.1 to 3600; 0 is the default of 1"`
}

// SetVolume changes settings of a volume; a field that is null stays as it is.
type SetVolume struct {
	Limit  *SetLimit  `json:"limit,omitempty" doc:"how fast its guest may read and write it"`
	Export *SetExport `json:"export,omitempty" doc:"an export beside NBD on a unix socket; only while it is detached"`
	// ScrubEverySeconds is a pointer since never (0) is a wish, too.
	ScrubEverySeconds *int64 `json:"scrub_every_seconds,omitempty" doc:"how often it is scrubbed by itself; 0 is never"`
}
