package identity

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/holdfast-storage/holdfast/volume"
)

// Fingerprint names a certificate: the SHA-256 of its DER.
type Fingerprint [sha256.Size]byte

// FingerprintOf returns the fingerprint of a certificate.
func FingerprintOf(der []byte) Fingerprint { return sha256.Sum256(der) }

// Export returns the authority's certificate (DER) and private key (PKCS #8), for the coordinators to
// keep. The key is the most precious secret of the cluster.
func (ca *CA) Export() (cert, key []byte, err error) {
	key, err = x509.MarshalPKCS8PrivateKey(ca.key)
	if err != nil {
		return nil, nil, fmt.Errorf("cluster CA: %w", err)
	}
	return ca.cert.Raw, key, nil
}

// ParseCA makes an authority of what Export returned. An error does not quote the key.
func ParseCA(cluster volume.ClusterID, cert, key []byte) (*CA, error) {
	c, err := x509.ParseCertificate(cert)
	if err != nil {
		return nil, fmt.Errorf("cluster CA: %w", err)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(key)
	if err != nil {
		return nil, errors.New("cluster CA: its private key is damaged")
	}
	k, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || !c.IsCA || !k.PublicKey.Equal(c.PublicKey) {
		return nil, errors.New("cluster CA: its private key does not belong to its certificate")
	}
	return &CA{cluster: cluster, cert: c, key: k}, nil
}

// Certificate returns the authority's certificate as PEM.
func (ca *CA) Certificate() []byte { return encodeCert(ca.cert.Raw) }

// Signed returns which node a certificate (DER) names, if this authority signed it for this cluster.
// Whether it is still valid does not matter.
func (ca *CA) Signed(der []byte) (volume.NodeID, *x509.Certificate, error) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return volume.NodeID{}, nil, fmt.Errorf("certificate: %w", err)
	}
	if err := verifyChain(cert, pool(ca.cert), x509.ExtKeyUsageClientAuth); err != nil {
		return volume.NodeID{}, nil, err
	}
	cluster, node, err := NodeOf(cert)
	if err == nil && cluster != ca.cluster {
		err = fmt.Errorf("the certificate is of cluster %s, not of %s", cluster, ca.cluster)
	}
	return node, cert, err
}

func pool(certs ...*x509.Certificate) *x509.CertPool {
	p := x509.NewCertPool()
	for _, c := range certs {
		p.AddCert(c)
	}
	return p
}

// verifyChain verifies everything but the certificate's time: it looks at the moment at which the
// certificate began, so that who has an expired one can be told so.
func verifyChain(cert *x509.Certificate, roots *x509.CertPool, usage x509.ExtKeyUsage) error {
	_, err := cert.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: cert.NotBefore,
		KeyUsages: []x509.ExtKeyUsage{usage}})
	if err != nil {
		return fmt.Errorf("the certificate is not of this cluster's CA: %w", err)
	}
	return nil
}
