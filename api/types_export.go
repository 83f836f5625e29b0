package api

// ExportSetting is an export that a volume has beside NBD on the unix socket of its host.
type ExportSetting struct {
	Kind    string `json:"kind" doc:"iscsi or nbd-tls"`
	Address string `json:"address" doc:"IP address and port that the host which has the volume listens on"`
	User    string `json:"user,omitempty" doc:"who has to prove the secret, by CHAP; absent if there is none"`
}

// SetExport gives a volume an export, in place of one of the same kind, or takes it away.
type SetExport struct {
	Kind string `json:"kind" enum:"iscsi,nbd-tls"`
	Off  bool   `json:"off,omitempty" doc:"the volume is to have no export of the kind"`
	// Address may be left out.
	Address string `json:"address,omitempty" doc:"IP address and port; default a free port, of iscsi on loopback"`
	Open    bool   `json:"open,omitempty" doc:"without a secret, on loopback only: every user of the host gets at it"`
}

// ExportSecret is what a guest proves to use an export.
type ExportSecret struct {
	Kind   string `json:"kind"`
	User   string `json:"user"`
	Secret string `json:"secret" doc:"of CHAP"`
}

// ExportFault is an export that does not open; it is tried again.
type ExportFault struct {
	Kind    string `json:"kind"`
	Address string `json:"address"`
	Error   string `json:"error"`
}
