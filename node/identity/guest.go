package identity

import (
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/holdfast-storage/holdfast/volume"
)

// Guest is what the credential of a guest names: who shows it may use the exports of one volume, and is no node. It is
// good while its series is the one that the volume has: another one takes back all that were given out.
type Guest struct {
	Cluster volume.ClusterID
	Volume  volume.ID
	Series  volume.UUID
}

// uri is a guest's name in its certificate. No node's name looks like it.
func (g Guest) uri() *url.URL {
	return &url.URL{Scheme: uriScheme, Host: g.Cluster.String(),
		Path: "/export/" + g.Volume.String() + "/" + g.Series.String()}
}

// GuestOf returns what a guest's certificate names. It refuses one without exactly one such name, as a node's. It does
// not verify who signed it.
func GuestOf(cert *x509.Certificate) (Guest, error) {
	g, err := guestOf(cert.URIs)
	if err != nil {
		return g, fmt.Errorf("certificate of %q: %w", cert.Subject.CommonName, err)
	}
	return g, nil
}

func guestOf(uris []*url.URL) (Guest, error) {
	var found []Guest
	for _, uri := range uris {
		if uri.Scheme != uriScheme {
			continue
		}
		text, isGuest := strings.CutPrefix(uri.Path, "/export/")
		id, series, _ := strings.Cut(text, "/")
		clusterID, errCluster := volume.ParseUUID(uri.Host)
		volumeID, errVolume := volume.ParseUUID(id)
		seriesID, errSeries := volume.ParseUUID(series)
		g := Guest{Cluster: volume.ClusterID{UUID: clusterID}, Volume: volume.ID{UUID: volumeID}, Series: seriesID}
		if !isGuest || errCluster != nil || errVolume != nil || errSeries != nil || g.uri().String() != uri.String() {
			return Guest{}, fmt.Errorf("%q is not the name of a volume's export", uri)
		}
		found = append(found, g)
	}
	if len(found) != 1 {
		return Guest{}, fmt.Errorf("it names %d exports, want one URI holdfast://CLUSTER/export/VOLUME/SERIES",
			len(found))
	}
	return found[0], nil
}

// GuestOptions describe a credential for SignGuest.
type GuestOptions struct {
	Guest    Guest  // its cluster is the CA's
	Name     string // of the volume, for people
	Now      time.Time
	Lifetime time.Duration // at most the rest of the CA's
}

// Until returns when a certificate ends that the CA signs until then: no later than its own.
func (ca *CA) Until(end time.Time) time.Time {
	if ca.cert.NotAfter.Before(end) {
		return ca.cert.NotAfter
	}
	return end
}

// SignGuest returns a certificate, as DER, for a guest that has the private key to a public one. Nobody is a server by
// it.
func (ca *CA) SignGuest(o GuestOptions, key crypto.PublicKey) ([]byte, error) {
	o.Guest.Cluster = ca.cluster
	until := ca.Until(o.Now.Add(o.Lifetime))
	template := &x509.Certificate{
		SerialNumber: serial(),
		Subject:      pkix.Name{Organization: organization(), CommonName: "guest of volume " + o.Name},
		NotBefore:    o.Now.Add(-min(backdateMax, until.Sub(o.Now)/10)),
		NotAfter:     until,
		// An ECDSA key enciphers no key; older QEMU uses no certificate that does not say so.
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		URIs:        []*url.URL{o.Guest.uri()},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, key, ca.key)
	if err != nil {
		return nil, fmt.Errorf("volume %s: sign a credential: %w", o.Name, err)
	}
	return der, nil
}

// GuestRequest returns a certificate signing request (PKCS #10, DER) for a guest's credential. What the credential is
// for is said beside it, and for whoever signs to judge.
func (k Key) GuestRequest() ([]byte, error) {
	template := &x509.CertificateRequest{Subject: pkix.Name{Organization: organization()}}
	der, err := x509.CreateCertificateRequest(rand.Reader, template, k.private)
	if err != nil {
		return nil, fmt.Errorf("certificate signing request: %w", err)
	}
	return der, nil
}

// Has reports whether a certificate is for this key.
func (k Key) Has(cert *x509.Certificate) bool { return SameKey(cert, k.private.Public()) }

// ParseGuestRequest returns the public key of a request, verified to come from who has the private one. Names in it are
// refused: nobody gets a certificate for one by asking.
func ParseGuestRequest(der []byte) (crypto.PublicKey, error) {
	csr, key, err := parseRequest(der)
	if err != nil {
		return nil, err
	}
	if len(csr.URIs)+len(csr.DNSNames)+len(csr.IPAddresses)+len(csr.EmailAddresses) != 0 {
		return nil, errors.New("certificate signing request: it names somebody, and a guest's credential does not")
	}
	return key, nil
}

// GuestTLS returns the settings of a listener that guests of volumes connect to, and nobody else; admit says which.
// Each call returns a fresh copy.
func (id *Identity) GuestTLS(admit func(Guest) error) *tls.Config {
	c := id.ServerTLS()
	c.NextProtos = nil
	c.VerifyConnection = func(s tls.ConnectionState) error {
		if len(s.PeerCertificates) == 0 {
			return errors.New("the other side showed no certificate")
		}
		g, err := GuestOf(s.PeerCertificates[0])
		if err == nil && g.Cluster != id.cluster {
			err = fmt.Errorf("the credential is of cluster %s, this is %s", g.Cluster, id.cluster)
		}
		if err == nil {
			err = admit(g)
		}
		return err
	}
	return c
}
