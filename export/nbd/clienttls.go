package nbd

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
)

// The files of a directory of credentials, as QEMU (tls-creds-x509) and libnbd (tls-certificates) name them.
const (
	FileCA   = "ca-cert.pem"
	FileCert = "client-cert.pem"
	FileKey  = "client-key.pem"
)

// LoadTLS returns the settings of a client that has the credentials of a directory.
func LoadTLS(dir string) (*tls.Config, error) {
	ca, err := os.ReadFile(filepath.Join(dir, FileCA))
	if err != nil {
		return nil, fmt.Errorf("NBD credentials: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("NBD credentials: %s holds no certificate", filepath.Join(dir, FileCA))
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, FileCert), filepath.Join(dir, FileKey))
	if err != nil {
		return nil, fmt.Errorf("NBD credentials in %s: %w", dir, err)
	}
	return &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: roots, Certificates: []tls.Certificate{pair}}, nil
}

// clientTLS returns by what a client begins TLS at an address, nil if it does not.
func (a Address) clientTLS(o ClientOptions) (*tls.Config, error) {
	if a.Host == "" {
		return nil, nil
	}
	c := o.TLS
	if c == nil && a.Certificates == "" {
		return nil, errors.New("no credentials: name their directory, as in nbds://HOST:PORT/NAME?tls-certificates=DIR")
	}
	if c == nil {
		var err error
		if c, err = LoadTLS(a.Certificates); err != nil {
			return nil, err
		}
	}
	c = c.Clone()
	if c.ServerName == "" {
		host, _, err := net.SplitHostPort(a.Host)
		if err != nil {
			return nil, fmt.Errorf("address %q: %w", a.Host, err)
		}
		c.ServerName = host
	}
	return c, nil
}
