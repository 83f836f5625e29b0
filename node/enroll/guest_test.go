package enroll

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/export/nbd"
	"github.com/holdfast-storage/holdfast/node/identity"
	"github.com/holdfast-storage/holdfast/volume"
)

// muddled is a cluster that signs, but what another guest asked for.
type muddled struct {
	ca    *identity.CA
	id    volume.ID
	other []byte // a request
}

func (m muddled) Volume(context.Context, string) (api.Volume, error) {
	return api.Volume{ID: m.id.String(), Name: "v1"}, nil
}

func (m muddled) IssueCredential(context.Context, string, api.IssueCredential) (api.Credential, error) {
	key, err := identity.ParseGuestRequest(m.other)
	if err != nil {
		return api.Credential{}, err
	}
	cert, err := m.ca.SignGuest(identity.GuestOptions{Name: "v1", Now: time.Now(), Lifetime: time.Hour,
		Guest: identity.Guest{Volume: m.id, Series: volume.NewUUID()}}, key)
	return api.Credential{Volume: m.id.String(), Cert: cert}, err
}

// A certificate that does not fit the key would only be found to be useless by the guest.
func TestCredential_anAnswerForAnotherKeyIsNotKept(t *testing.T) {
	ca, err := identity.NewCA("prod", volume.NewClusterID(), time.Now())
	require.NoError(t, err)
	other, err := identity.NewKey(filepath.Join(t.TempDir(), "key"))
	require.NoError(t, err)
	csr, err := other.GuestRequest()
	require.NoError(t, err)
	dir := t.TempDir()
	_, err = Credential(t.Context(), muddled{ca, volume.NewID(), csr}, "v1", dir, time.Hour)
	require.ErrorContains(t, err, "not for the key that was asked for")
	require.NoFileExists(t, filepath.Join(dir, nbd.FileCert))
}
