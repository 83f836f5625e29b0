package identity

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/holdfast-storage/holdfast/node/durable"
)

// ErrExpired means that a certificate is not valid at this time. Its text says what to do.
var ErrExpired = errors.New("renewals did not come in time. Join again with a new token: " +
	"`holdfast cluster token create` on a node that works, then `holdfast cluster join` here; " +
	"the node keeps its identity and its data")

// RenewAt returns when a certificate is to be renewed: at two thirds of its life.
func RenewAt(cert *x509.Certificate) time.Time {
	return cert.NotBefore.Add(cert.NotAfter.Sub(cert.NotBefore) / 3 * 2)
}

// CheckTime returns what is wrong with a certificate's time, nil if it is valid now. Errors of one that
// is over wrap ErrExpired.
func CheckTime(cert *x509.Certificate, now time.Time) error {
	switch {
	case now.After(cert.NotAfter):
		return fmt.Errorf("the certificate of %s expired at %s: %w", cert.Subject.CommonName,
			cert.NotAfter.Format(time.RFC3339), ErrExpired)
	case now.Before(cert.NotBefore):
		return fmt.Errorf("the certificate of %s is not valid before %s, and here it is %s: set the clock",
			cert.Subject.CommonName, cert.NotBefore.Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	return nil
}

// AboutToEnd reports whether a certificate that should have been renewed long ago ends soon: who still
// uses a connection that was made with it is to make another one.
func AboutToEnd(cert *x509.Certificate, now time.Time) bool {
	renewed := RenewAt(cert)
	return now.After(renewed.Add(cert.NotAfter.Sub(renewed) / 2))
}

// ClientOf returns the certificate of the node at the other end of a connection to an OpenServerTLS
// listener, nil if the other end showed none. An error says that its time is over.
func ClientOf(s tls.ConnectionState, now time.Time) (*x509.Certificate, error) {
	if len(s.PeerCertificates) == 0 {
		return nil, nil
	}
	cert := s.PeerCertificates[0]
	return cert, CheckTime(cert, now)
}

// fileStamp tells one content of a file that is only ever replaced from another.
type fileStamp struct {
	modified time.Time
	size     int64
}

func stampOf(path string) fileStamp {
	info, err := os.Stat(path)
	if err != nil {
		return fileStamp{}
	}
	return fileStamp{modified: info.ModTime(), size: info.Size()}
}

// current returns the node's certificate, read anew if its file was replaced. While a new one cannot be
// used, by a mistake of whoever put it there, the old one is; Fault says so.
func (id *Identity) current() *tls.Certificate {
	id.mu.Lock()
	defer id.mu.Unlock()
	stamp := stampOf(id.files.Cert)
	if stamp == id.stamp {
		id.fault = nil
		return id.pair
	}
	pair, err := id.load()
	if err == nil {
		err = id.checkOwn(pair.Leaf)
	}
	if id.fault = err; err == nil {
		id.pair, id.stamp = pair, stamp
	}
	return id.pair
}

// checkOwn returns why a certificate is not this node's.
func (id *Identity) checkOwn(cert *x509.Certificate) error {
	cluster, node, err := NodeOf(cert)
	if err == nil && (cluster != id.cluster || node != id.node) {
		err = fmt.Errorf("it is node %s's of cluster %s, not node %s's of cluster %s", node, cluster, id.node,
			id.cluster)
	}
	if err != nil {
		return fmt.Errorf("certificate %s: %w", id.files.Cert, err)
	}
	return nil
}

// Fault returns what is wrong with the files of the node's certificate as they are now, so that an older one is in use,
// which no restart finds again; nil if nothing is.
func (id *Identity) Fault() error {
	id.current()
	id.mu.Lock()
	defer id.mu.Unlock()
	return id.fault
}

// Renew installs another certificate (DER) for the node's key. One that is not for this node and key, not
// by the cluster's CA, or not valid now is refused, and the old one stays.
func (id *Identity) Renew(der []byte) error {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return fmt.Errorf("renewed certificate: %w", err)
	}
	cluster, node, err := NodeOf(cert)
	switch {
	case err != nil:
		return fmt.Errorf("renewed certificate: %w", err)
	case cluster != id.cluster || node != id.node || !SameKey(cert, id.current().Leaf.PublicKey):
		return errors.New("renewed certificate: it is not for this node and its key")
	}
	if err := verifyChain(cert, id.pool, x509.ExtKeyUsageClientAuth); err != nil {
		return fmt.Errorf("renewed certificate: %w", err)
	}
	if err := CheckTime(cert, time.Now()); err != nil {
		return fmt.Errorf("renewed certificate: %w", err)
	}
	return durable.WriteFile(id.files.Cert, encodeCert(der), 0o600)
}
