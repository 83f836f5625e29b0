package enroll

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/export/nbd"
	"github.com/holdfast-storage/holdfast/node/identity"
)

// guestClient is what Credential needs of api.Client.
type guestClient interface {
	Volume(ctx context.Context, name string) (api.Volume, error)
	IssueCredential(ctx context.Context, name string, r api.IssueCredential) (api.Credential, error)
}

// Credential gets a credential for the exports of a volume into a directory, as QEMU and libnbd read it. Only a request
// leaves the machine; the key stays. A directory that has a credential of this volume gets the next one for the same
// key, and one that has something else is left as it is.
func Credential(ctx context.Context, c guestClient, name, dir string, lifetime time.Duration) (api.Credential,
	error) {
	v, err := c.Volume(ctx, name)
	if err != nil {
		return api.Credential{}, err
	}
	files := identity.Files{CA: filepath.Join(dir, nbd.FileCA), Cert: filepath.Join(dir, nbd.FileCert),
		Key: filepath.Join(dir, nbd.FileKey)}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return api.Credential{}, err
	}
	if err := ownGuestFiles(files, v); err != nil {
		return api.Credential{}, err
	}
	key, err := identity.LoadKey(files.Key)
	if errors.Is(err, fs.ErrNotExist) {
		key, err = identity.NewKey(files.Key)
	}
	if err != nil {
		return api.Credential{}, err
	}
	csr, err := key.GuestRequest()
	if err != nil {
		return api.Credential{}, err
	}
	answer, err := c.IssueCredential(ctx, v.ID, api.IssueCredential{CSR: csr,
		LifetimeSeconds: int64(lifetime / time.Second)})
	if err != nil {
		return api.Credential{}, err
	}
	cert, err := guestCert(answer.Cert, v)
	if err == nil && !key.Has(cert) {
		err = errors.New("it is not for the key that was asked for")
	}
	if err != nil {
		return api.Credential{}, fmt.Errorf("the cluster's answer: %w", err)
	}
	return answer, identity.Install(files, identity.PEM(answer.CA), identity.PEM(answer.Cert))
}

// ownGuestFiles refuses a directory whose files are not of a credential of the volume.
func ownGuestFiles(f identity.Files, v api.Volume) error {
	text, err := os.ReadFile(f.Cert)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		// A key alone is what an attempt has left that was refused.
		if _, err := os.Lstat(f.CA); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s exists, and %s does not: it is of something else, or was left by an attempt "+
				"that was cut short: choose another directory", f.CA, f.Cert)
		}
		return nil
	case err != nil:
		return err
	}
	der, err := identity.DER(text)
	if err == nil {
		_, err = guestCert(der, v)
	}
	if err != nil {
		return fmt.Errorf("%s is not of a credential of volume %s: choose another directory: %w", f.Cert, v.Name, err)
	}
	return nil
}

// guestCert reads a certificate that has to be a credential of the volume.
func guestCert(der []byte, v api.Volume) (*x509.Certificate, error) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	guest, err := identity.GuestOf(cert)
	if err == nil && guest.Volume.String() != v.ID {
		err = fmt.Errorf("it is of volume %s, not of %s (%s)", guest.Volume, v.Name, v.ID)
	}
	return cert, err
}
