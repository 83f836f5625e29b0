package identity

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"slices"
	"time"

	"github.com/holdfast-storage/holdfast/node/durable"
	"github.com/holdfast-storage/holdfast/volume"
)

// caLifetime is how long a cluster's CA is valid.
const caLifetime = 10 * 365 * 24 * time.Hour

// DefaultLifetime is how long the certificate of a node is valid unless the cluster was told otherwise.
const DefaultLifetime = 90 * 24 * time.Hour

// backdateMax makes fresh certificates valid on nodes whose clock is behind by no more than that.
const backdateMax = time.Hour

// caBackdate makes certificates of a fresh CA valid whose signer's clock is behind.
const caBackdate = 24 * time.Hour

// CA is a cluster's certificate authority with its private key. Whoever holds it can make nodes.
type CA struct {
	cluster volume.ClusterID
	cert    *x509.Certificate
	key     *ecdsa.PrivateKey
}

// NewCA makes the authority of a new cluster.
func NewCA(clusterName string, cluster volume.ClusterID, now time.Time) (*CA, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("cluster CA: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               pkix.Name{Organization: organization(), CommonName: "cluster " + clusterName},
		NotBefore:             now.Add(-caBackdate),
		NotAfter:              now.Add(caLifetime),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true, // it signs nodes, never another authority
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("cluster CA: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("cluster CA: %w", err)
	}
	return &CA{cluster: cluster, cert: cert, key: key}, nil
}

// Save writes the authority's certificate and key into new files, both of mode 0600. It never
// replaces one: a cluster whose CA key is lost can admit no node any more.
func (ca *CA) Save(certFile, keyFile string) error {
	keyPEM, err := encodeKey(ca.key)
	if err != nil {
		return fmt.Errorf("cluster CA: %w", err)
	}
	if err := durable.CreateFile(keyFile, keyPEM, 0o600); err != nil {
		return fmt.Errorf("cluster CA: %w", err)
	}
	if err := durable.CreateFile(certFile, encodeCert(ca.cert.Raw), 0o600); err != nil {
		return fmt.Errorf("cluster CA: %w", err)
	}
	return nil
}

// LoadCA reads an authority that Save wrote.
func LoadCA(cluster volume.ClusterID, certFile, keyFile string) (*CA, error) {
	text, err := os.ReadFile(certFile)
	if err != nil {
		return nil, fmt.Errorf("cluster CA: %w", err)
	}
	cert, err := decodeCert(text)
	if err != nil {
		return nil, fmt.Errorf("cluster CA: %s: %w", certFile, err)
	}
	key, err := readKey(keyFile)
	if err != nil {
		return nil, fmt.Errorf("cluster CA: %w", err)
	}
	if !cert.IsCA || !key.PublicKey.Equal(cert.PublicKey) {
		return nil, fmt.Errorf("cluster CA: key %s does not belong to certificate %s", keyFile, certFile)
	}
	return &CA{cluster: cluster, cert: cert, key: key}, nil
}

// NodeOptions describe a node to Issue a certificate for.
type NodeOptions struct {
	Name     string
	ID       volume.NodeID
	Hosts    []string      // addresses and DNS names under which others reach it, without ports
	Now      time.Time     // its clock may be an hour behind
	Lifetime time.Duration // zero means as long as the CA's
}

// Issue makes a key and a certificate for a node and writes them, with the CA's certificate, into
// new files. Existing files are an error: a key is never replaced behind a running node.
func (ca *CA) Issue(o NodeOptions, f Files) error {
	if err := volume.CheckName("node", o.Name); err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("node %s: make its key: %w", o.Name, err)
	}
	der, err := ca.Sign(o, key.Public())
	if err != nil {
		return err
	}
	keyPEM, err := encodeKey(key)
	if err != nil {
		return fmt.Errorf("node %s: %w", o.Name, err)
	}
	for _, file := range []struct {
		path string
		data []byte
	}{{f.Key, keyPEM}, {f.Cert, encodeCert(der)}, {f.CA, encodeCert(ca.cert.Raw)}} {
		if err := durable.CreateFile(file.path, file.data, 0o600); err != nil {
			return fmt.Errorf("node %s: %w", o.Name, err)
		}
	}
	return nil
}

// Sign returns a certificate, as DER, for a node that has the private key to a public one.
func (ca *CA) Sign(o NodeOptions, key crypto.PublicKey) ([]byte, error) {
	if err := volume.CheckName("node", o.Name); err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, ca.nodeTemplate(o), ca.cert, key, ca.key)
	if err != nil {
		return nil, fmt.Errorf("node %s: sign its certificate: %w", o.Name, err)
	}
	return der, nil
}

func (ca *CA) nodeTemplate(o NodeOptions) *x509.Certificate {
	until := ca.cert.NotAfter
	if end := o.Now.Add(o.Lifetime); o.Lifetime != 0 && end.Before(until) {
		until = end
	}
	t := &x509.Certificate{
		SerialNumber: serial(),
		Subject:      pkix.Name{Organization: organization(), CommonName: "node " + o.Name},
		NotBefore:    o.Now.Add(-min(backdateMax, until.Sub(o.Now)/10)), // see RenewAt
		NotAfter:     until,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		DNSNames:     []string{o.Name, "localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	t.URIs = append(t.URIs, nodeURI(ca.cluster, o.ID))
	for _, host := range o.Hosts {
		if ip := net.ParseIP(host); ip == nil {
			if !slices.Contains(t.DNSNames, host) {
				t.DNSNames = append(t.DNSNames, host)
			}
		} else if !slices.ContainsFunc(t.IPAddresses, ip.Equal) {
			t.IPAddresses = append(t.IPAddresses, ip)
		}
	}
	return t
}

func organization() []string { return []string{"Holdfast"} }

// serial returns 120 random bits: unique, and positive in 16 bytes.
func serial() *big.Int {
	id := volume.NewUUID()
	return new(big.Int).SetBytes(id[:15])
}

func encodeCert(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

func decodeCert(text []byte) (*x509.Certificate, error) {
	block, rest := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE" || len(rest) != 0 {
		return nil, errors.New("want exactly one PEM block of type CERTIFICATE")
	}
	return x509.ParseCertificate(block.Bytes)
}
