package api

import "time"

// IssueCredential asks for a credential, by which who has its key uses the exports of a volume from another machine.
type IssueCredential struct {
	CSR             []byte `json:"csr" maxLength:"16384" doc:"PKCS #10, DER, base64, without names: the key"`
	LifetimeSeconds int64  `json:"lifetime_seconds" minimum:"60" maximum:"315360000"`
}

// Credential is what a guest shows, and what it verifies the host with.
type Credential struct {
	Volume  string    `json:"volume" doc:"id of the volume that it is for"`
	Cert    []byte    `json:"cert" doc:"the guest's certificate, DER, base64"`
	CA      []byte    `json:"ca" doc:"the CA's certificate, DER, base64"`
	Expires time.Time `json:"expires_at"`
}
