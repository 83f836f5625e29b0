package api

// Unfreeze lets a frozen volume be attached again, once all of its legs have answered.
type Unfreeze struct {
	Reason string `json:"reason" minLength:"1" maxLength:"500" doc:"kept as an event"`
}

// Promote lets a volume go on from one leg alone, whatever the others hold.
type Promote struct {
	Leg    string `json:"leg" minLength:"1" doc:"the leg's id, its first digits, or the name of its node"`
	Reason string `json:"reason" minLength:"1" maxLength:"500" doc:"kept as an event"`
}
