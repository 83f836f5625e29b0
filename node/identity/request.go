package identity

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"fmt"
	"net"

	"github.com/holdfast-storage/holdfast/node/durable"
	"github.com/holdfast-storage/holdfast/volume"
)

// Key is a node's private key. It never leaves the node.
type Key struct{ private *ecdsa.PrivateKey }

// NewKey makes a key and keeps it in a new file of mode 0600.
func NewKey(file string) (Key, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Key{}, fmt.Errorf("make a key: %w", err)
	}
	text, err := encodeKey(private)
	if err != nil {
		return Key{}, fmt.Errorf("make a key: %w", err)
	}
	return Key{private}, durable.CreateFile(file, text, 0o600)
}

// LoadKey reads a key, and refuses a file that others can read.
func LoadKey(file string) (Key, error) {
	private, err := readKey(file)
	return Key{private}, err
}

// Request is what a node asks to have certified, proven to come from who has the private key.
type Request struct {
	Cluster volume.ClusterID
	Node    volume.NodeID
	Hosts   []string // addresses and DNS names under which others reach it
	Key     any      // its public key
}

// Request returns a certificate signing request (PKCS #10, DER). Key and Node of r are of this key.
func (k Key) Request(r Request) ([]byte, error) {
	template := &x509.CertificateRequest{Subject: pkix.Name{Organization: organization()}}
	template.URIs = append(template.URIs, nodeURI(r.Cluster, r.Node))
	for _, host := range r.Hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, template, k.private)
	if err != nil {
		return nil, fmt.Errorf("certificate signing request: %w", err)
	}
	return der, nil
}

// ParseRequest reads a certificate signing request and verifies that it is signed by the key in it.
func ParseRequest(der []byte) (Request, error) {
	csr, key, err := parseRequest(der)
	if err != nil {
		return Request{}, err
	}
	r := Request{Key: key}
	if r.Cluster, r.Node, err = nodeOf(csr.URIs); err != nil {
		return Request{}, fmt.Errorf("certificate signing request: %w", err)
	}
	r.Hosts = hostsOf(csr.DNSNames, csr.IPAddresses)
	return r, nil
}

// parseRequest reads a request and verifies that it is signed by the key in it, which it returns.
func parseRequest(der []byte) (*x509.CertificateRequest, *ecdsa.PublicKey, error) {
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, nil, fmt.Errorf("certificate signing request: %w", err)
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, nil, fmt.Errorf("certificate signing request: %w", err)
	}
	key, ok := csr.PublicKey.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, nil, fmt.Errorf("certificate signing request: want a key on P-256, found %T", csr.PublicKey)
	}
	return csr, key, nil
}

// HostsOf returns the addresses and DNS names that a certificate is for.
func HostsOf(cert *x509.Certificate) []string { return hostsOf(cert.DNSNames, cert.IPAddresses) }

func hostsOf(names []string, ips []net.IP) []string {
	hosts := append([]string{}, names...)
	for _, ip := range ips {
		hosts = append(hosts, ip.String())
	}
	return hosts
}

// KeyHash names a public key: the SHA-256 of its form in a certificate, in hexadecimal.
func KeyHash(public any) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return "", fmt.Errorf("public key: %w", err)
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:]), nil
}

// SameKey reports whether a certificate is for this public key.
func SameKey(cert *x509.Certificate, public any) bool {
	key, ok := cert.PublicKey.(*ecdsa.PublicKey)
	return ok && key.Equal(public)
}

// Install writes the CA's certificate and the node's own, both PEM, each whole or not at all. A running
// daemon and its engines take a new one up with their next connection.
func Install(f Files, ca, cert []byte) error {
	for _, file := range []struct {
		path string
		pem  []byte
	}{{f.CA, ca}, {f.Cert, cert}} {
		if _, err := decodeCert(file.pem); err != nil {
			return fmt.Errorf("certificate for %s: %w", file.path, err)
		}
		if err := durable.WriteFile(file.path, file.pem, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// PEM returns a certificate's PEM form.
func PEM(der []byte) []byte { return encodeCert(der) }

// DER returns what a PEM text with exactly one certificate holds.
func DER(text []byte) ([]byte, error) {
	cert, err := decodeCert(text)
	if err != nil {
		return nil, err
	}
	return cert.Raw, nil
}
