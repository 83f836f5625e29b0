package enroll

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/holdfast-storage/holdfast/api/credential"
	"github.com/holdfast-storage/holdfast/node/identity"
)

// pinned returns settings for a connection to any node of the cluster that a join token names, and to
// nobody else: before anything is sent, the other side has to show the CA that the token pins and a
// certificate of it that names a node of the cluster. Names and addresses do not matter.
func pinned(j credential.Join) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		// The usual check knows only of names and of roots that are known before; VerifyConnection replaces it.
		InsecureSkipVerify: true,
		VerifyConnection:   func(s tls.ConnectionState) error { return verifyPin(j, s) },
	}
}

func verifyPin(j credential.Join, s tls.ConnectionState) error {
	var ca *x509.Certificate
	for _, c := range s.PeerCertificates {
		if identity.FingerprintOf(c.Raw) == j.CA {
			ca = c
		}
	}
	if ca == nil {
		return fmt.Errorf("the other side is not of cluster %s (%s), whose CA the join token names: "+
			"check the address; nothing was told to it", j.Name, j.Cluster)
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	if _, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}); err != nil {
		return fmt.Errorf("the other side's certificate is not by the CA of cluster %s: %w", j.Name, err)
	}
	cluster, _, err := identity.NodeOf(s.PeerCertificates[0])
	if err == nil && cluster != j.Cluster {
		err = errors.New("it names another cluster")
	}
	if err != nil {
		return fmt.Errorf("the other side is no node of cluster %s: %w", j.Name, err)
	}
	return nil
}
