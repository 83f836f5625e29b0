package coordinator

import (
	"context"
	"crypto/x509"
	"time"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/node/identity"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// IssueCredential signs a credential for the exports of a volume, once the log says that somebody gets one.
func (s service) IssueCredential(ctx context.Context, name string, r api.IssueCredential) (api.Credential, error) {
	state, _ := s.raft.State()
	vol, err := findVolume(state, name)
	if err != nil {
		return api.Credential{}, err
	}
	object := "volume/" + vol.Name
	key, err := identity.ParseGuestRequest(r.CSR)
	if err != nil {
		return api.Credential{}, api.Errorf(api.CodeInvalid, object, "", "%s", err)
	}
	ca, err := authority(state)
	if err != nil {
		return api.Credential{}, err
	}
	o := identity.GuestOptions{Name: vol.Name, Now: s.wallClock(),
		Lifetime: time.Duration(r.LifetimeSeconds) * time.Second}
	issued, err := s.propose(ctx, object, raft.Command{IssueCredential: &raft.IssueCredential{
		Volume: vol.ID, Series: volume.NewUUID(), Until: ca.Until(o.Now.Add(o.Lifetime))}})
	if err != nil {
		return api.Credential{}, err
	}
	// Of the series that it was issued in: what was taken back since then is to take this back, too.
	o.Guest = identity.Guest{Volume: vol.ID, Series: issued.Credentials}
	out := api.Credential{Volume: vol.ID.String(), CA: state.Authority.Cert}
	if out.Cert, err = ca.SignGuest(o, key); err != nil {
		return api.Credential{}, api.Errorf(api.CodeFailed, object, "", "%s", err)
	}
	cert, err := x509.ParseCertificate(out.Cert)
	if err != nil {
		return api.Credential{}, api.Errorf(api.CodeFailed, object, "", "%s", err)
	}
	out.Expires = cert.NotAfter
	return out, nil
}

// RevokeCredentials takes back every credential of a volume.
func (s service) RevokeCredentials(ctx context.Context, name string) error {
	state, _ := s.raft.State()
	vol, err := findVolume(state, name)
	if err != nil {
		return err
	}
	_, err = s.propose(ctx, "volume/"+vol.Name, raft.Command{RevokeCredentials: &raft.RevokeCredentials{
		Volume: vol.ID, Series: volume.NewUUID()}})
	return err
}
