package volume

// VersionRun is a run of regions whose last write had the same configuration version.
type VersionRun struct {
	First, Count uint32 // regions of RegionBytes; Count is at least 1
	Version      CfgVer // never zero
}

// LegSeq says how far a leg's label had come: a leg that shows less later was set back.
type LegSeq struct {
	Leg LegID  `json:"leg"`
	Seq uint64 `json:"seq"` // Progress of its durable label, at least
}
