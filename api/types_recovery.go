package api

// Unfreeze lets a frozen volume be attached again, once all of its legs have answered.
type Unfreeze struct {
	Reason string `json:"reason" minLength:"1" maxLength:"500" doc:"kept as an event"`
}

// Promote lets a volume go on from one leg alone, whatever the others hold.
type Promote struct {
	Leg    string `json:"leg" minLength:"1" doc:"the leg's id, its first digits, or the name of its node"`
	Reason string `json:"reason" minLength:"1" maxLength:"500" doc:"kept as an event"`
	// HostIsOff is needed where a host may use the legs that are given up.
	HostIsOff bool `json:"host_is_off,omitempty" doc:"your word that no host uses the volume any more"`
}

// EndRestore says that every leg was found after a restore.
type EndRestore struct {
	Anyway bool `json:"anyway,omitempty" doc:"also if storage nodes have not told what is on their disks"`
}
