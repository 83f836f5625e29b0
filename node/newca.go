package node

import (
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/holdfast-storage/holdfast/node/config"
	"github.com/holdfast-storage/holdfast/node/identity"
	"github.com/holdfast-storage/holdfast/raft"
)

// newCA gives a restored state that lacks the cluster's CA another one. The returned function gives the node
// its own certificate of it, for the key that it has; call it once the state is in place. Every other node
// gets one by joining again.
func newCA(c *config.Config, state *raft.State) (install func() error, err error) {
	if state.Authority != nil {
		return nil, errors.New("a new CA: the backup has the cluster's CA, which all nodes trust: restore without one")
	}
	text, err := os.ReadFile(c.TLS.Cert)
	if err != nil {
		return nil, fmt.Errorf("a new CA: the node's last certificate: %w", err)
	}
	der, err := identity.DER(text)
	if err != nil {
		return nil, fmt.Errorf("a new CA: certificate %s: %w", c.TLS.Cert, err)
	}
	old, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("a new CA: certificate %s: %w", c.TLS.Cert, err)
	}
	if _, err := identity.LoadKey(c.TLS.Key); err != nil {
		return nil, fmt.Errorf("a new CA: %w", err)
	}
	now := time.Now()
	ca, err := identity.NewCA(c.Cluster.Name, c.Cluster.ID, now)
	if err != nil {
		return nil, err
	}
	cert, err := ca.Sign(identity.NodeOptions{Name: c.Name, ID: c.ID, Hosts: identity.HostsOf(old), Now: now,
		Lifetime: identity.DefaultLifetime}, old.PublicKey)
	if err != nil {
		return nil, err
	}
	a := &raft.Authority{Lifetime: identity.DefaultLifetime}
	if a.Cert, a.Key, err = ca.Export(); err != nil {
		return nil, err
	}
	state.Authority = a
	return func() error { return identity.Install(c.TLS, ca.Certificate(), identity.PEM(cert)) }, nil
}
