package identity

import (
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/holdfast-storage/holdfast/volume"
)

// Files are the PEM files of one node's identity.
type Files struct {
	CA   string `yaml:"ca" json:"ca"`
	Cert string `yaml:"cert" json:"cert"`
	Key  string `yaml:"key" json:"key"`
}

// Identity is one node's place in a cluster, loaded and checked. Cluster, node and CA do not change; a
// renewed certificate in its file is taken up with the next connection. It is safe for concurrent use.
type Identity struct {
	files   Files
	cluster volume.ClusterID
	node    volume.NodeID
	ca      *x509.Certificate
	pool    *x509.CertPool

	mu    sync.Mutex // protects what follows
	pair  *tls.Certificate
	stamp fileStamp // of the file that pair was read from
	fault error     // why the file, as it is now, is not what pair is; nil if it is
}

// Load reads a node's identity and checks it against itself: the key belongs to the certificate,
// the CA signed it, it names one node and is valid now. Errors name the file and what to do.
func Load(f Files) (*Identity, error) {
	ca, err := loadCert(f.CA)
	if err != nil {
		return nil, err
	}
	id := &Identity{files: f, ca: ca, pool: pool(ca), stamp: stampOf(f.Cert)}
	if id.pair, err = id.load(); err != nil {
		return nil, err
	}
	if id.cluster, id.node, err = NodeOf(id.pair.Leaf); err != nil {
		return nil, fmt.Errorf("%s: %w", f.Cert, err)
	}
	return id, CheckTime(id.pair.Leaf, time.Now())
}

// load reads certificate and key.
func (id *Identity) load() (*tls.Certificate, error) {
	f := id.files
	cert, err := loadCert(f.Cert)
	if err != nil {
		return nil, err
	}
	key, err := readKey(f.Key)
	if err != nil {
		return nil, err
	}
	if !key.PublicKey.Equal(cert.PublicKey) {
		return nil, fmt.Errorf("key %s does not belong to certificate %s: "+
			"use the pair that was issued together", f.Key, f.Cert)
	}
	if err := verifyChain(cert, id.pool, x509.ExtKeyUsageClientAuth); err != nil {
		return nil, fmt.Errorf("certificate %s is not valid under %s: %w", f.Cert, f.CA, err)
	}
	return &tls.Certificate{Certificate: [][]byte{cert.Raw, id.ca.Raw}, PrivateKey: key, Leaf: cert}, nil
}

// Cluster returns the cluster that the identity belongs to.
func (id *Identity) Cluster() volume.ClusterID { return id.cluster }

// Node returns the node that the identity names.
func (id *Identity) Node() volume.NodeID { return id.node }

// Certificate returns the node's certificate as it is now.
func (id *Identity) Certificate() *x509.Certificate { return id.current().Leaf }

// ServerTLS returns the settings of a listener that only nodes of the cluster may connect to. Each
// call returns a fresh copy.
func (id *Identity) ServerTLS() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return id.current(), nil
		},
		ClientAuth:       tls.RequireAndVerifyClientCert,
		ClientCAs:        id.pool,
		VerifyConnection: id.verifyPeer,
		NextProtos:       []string{"h2", "http/1.1"},
	}
}

// OpenServerTLS returns the settings of a listener to which others than nodes may connect, too: they
// show no certificate. Who shows one must be a node of the cluster; whether the certificate is valid
// now is for ClientOf to say, so that a node whose certificate expired is told so in words.
func (id *Identity) OpenServerTLS() *tls.Config {
	c := id.ServerTLS()
	c.ClientAuth = tls.RequestClientCert
	c.VerifyConnection = func(s tls.ConnectionState) error {
		if len(s.PeerCertificates) == 0 {
			return nil
		}
		if err := verifyChain(s.PeerCertificates[0], id.pool, x509.ExtKeyUsageClientAuth); err != nil {
			return err
		}
		return id.verifyPeer(s)
	}
	return c
}

// ClientTLS returns the settings of a connection to a node of the cluster. The server's certificate
// must also name the host that was dialled. Each call returns a fresh copy.
func (id *Identity) ClientTLS() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return id.current(), nil
		},
		RootCAs:          id.pool,
		VerifyConnection: id.verifyPeer,
	}
}

// OnlyNode returns settings, as ClientTLS gives them, for a connection to one node: whatever other node of the
// cluster answers at its address is told nothing. The zero id is for whoever does not know whom it calls.
func OnlyNode(c *tls.Config, want volume.NodeID) *tls.Config {
	only := c.Clone()
	if want.IsZero() {
		return only
	}
	only.VerifyConnection = func(s tls.ConnectionState) error {
		if c.VerifyConnection != nil {
			if err := c.VerifyConnection(s); err != nil {
				return err
			}
		}
		if len(s.PeerCertificates) == 0 {
			return fmt.Errorf("node %s was called, and who answered showed no certificate", want)
		}
		_, got, err := NodeOf(s.PeerCertificates[0])
		if err == nil && got != want {
			err = &WrongNodeError{Want: want, Got: got}
		}
		return err
	}
	return only
}

// WrongNodeError says that a node answered where another one was called.
type WrongNodeError struct{ Want, Got volume.NodeID }

// Error names both.
func (e *WrongNodeError) Error() string {
	return fmt.Sprintf("node %s was called, and node %s answered at its address", e.Want, e.Got)
}

// verifyPeer runs after the chain was verified, for resumed connections too.
func (id *Identity) verifyPeer(s tls.ConnectionState) error {
	_, err := PeerNode(s, id.cluster)
	return err
}

// PeerNode returns which node of the cluster is at the other end of a connection whose chain was
// verified.
func PeerNode(s tls.ConnectionState, want volume.ClusterID) (volume.NodeID, error) {
	if len(s.PeerCertificates) == 0 {
		return volume.NodeID{}, errors.New("the other side showed no certificate")
	}
	cluster, node, err := NodeOf(s.PeerCertificates[0])
	if err != nil {
		return volume.NodeID{}, err
	}
	if cluster != want {
		return volume.NodeID{}, fmt.Errorf("the other side belongs to cluster %s, not to %s", cluster, want)
	}
	return node, nil
}

func loadCert(path string) (*x509.Certificate, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	cert, err := decodeCert(text)
	if err != nil {
		return nil, fmt.Errorf("certificate %s: %w", path, err)
	}
	return cert, nil
}

// readKey reads a private key and refuses a file that others than its owner can read.
func readKey(path string) (*ecdsa.PrivateKey, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("private key: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("private key %s is open to others (mode %04o): "+
			"chmod 600 it, and issue a new one if somebody may have read it", path, info.Mode().Perm())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("private key: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, fmt.Errorf("private key %s: want a PEM block of type PRIVATE KEY", path)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("private key %s: %w", path, err)
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("private key %s: want an ECDSA key, found %T", path, parsed)
	}
	return key, nil
}
