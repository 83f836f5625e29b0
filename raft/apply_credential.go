package raft

import (
	"time"

	"github.com/holdfast-storage/holdfast/volume"
)

// IssueCredential notes that somebody gets a credential for the exports of a volume. It is signed with the volume's
// series, which begins with the first.
type IssueCredential struct {
	Volume volume.ID   `json:"volume"`
	Series volume.UUID `json:"series"` // a fresh one, for a volume that has none
	Until  time.Time   `json:"until"`  // when the credential ends
}

// RevokeCredentials takes back every credential of a volume: none of another series than this, a fresh one, is good any
// more. The engine that serves the volume learns of it by its next ticket and ends who shows an older one.
type RevokeCredentials struct {
	Volume volume.ID   `json:"volume"`
	Series volume.UUID `json:"series"`
}

// issueCredential applies IssueCredential.
func (t *txn) issueCredential(c *IssueCredential) *Refusal {
	v, r := t.volume(c.Volume)
	if r != nil {
		return r
	}
	switch {
	case v.Deleting:
		return refuse(CodeBusy, "volume %s is being deleted", v.Name)
	case c.Series.IsZero():
		return invalid("volume %s: a series of credentials has no name", v.Name)
	}
	if v.Credentials.IsZero() {
		v = t.edit(v)
		v.Credentials = c.Series
	}
	t.event(SeverityInfo, "volume/"+v.Name, "credential_issued", "a credential for the exports of volume %s was made, "+
		"valid until %s", v.Name, c.Until.UTC().Format(time.RFC3339))
	t.answer(v)
	t.result.Credentials = v.Credentials
	return nil
}

// revokeCredentials applies RevokeCredentials.
func (t *txn) revokeCredentials(c *RevokeCredentials) *Refusal {
	v, r := t.volume(c.Volume)
	if r != nil {
		return r
	}
	if c.Series.IsZero() {
		return invalid("volume %s: a series of credentials has no name", v.Name)
	}
	if v.Credentials != c.Series {
		v = t.edit(v)
		v.Credentials = c.Series
		t.event(SeverityInfo, "volume/"+v.Name, "credentials_revoked",
			"all credentials for the exports of volume %s were taken back", v.Name)
	}
	t.answer(v)
	return nil
}
