package identity

import "crypto/x509"

// Certificate returns the node's certificate as it is now.
func (id *Identity) Certificate() *x509.Certificate { return id.pair.Leaf }
