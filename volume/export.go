package volume

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
)

// Offer is one way to reach an attached volume on its host, as its engine says it.
type Offer struct {
	Type string `json:"type"` // an ExportKind
	URL  string `json:"url"`
	// BoundURL reaches it only for as long as whoever is plugged in may go on; "" = there is no such.
	BoundURL string `json:"bound_url,omitempty"`
}

// ExportFault is an export that does not open; its engine goes on trying.
type ExportFault struct {
	Kind    ExportKind `json:"kind"`
	Address string     `json:"address"`
	Error   string     `json:"error"`
}

// ExportSetting is an export that a volume has beside the unix socket.
type ExportSetting struct {
	Kind ExportKind `json:"kind"`
	// Address is where the host that has the volume listens: address and port. One that is none of the host's is
	// a fault there, and harms none of the other exports.
	Address string `json:"address"`
	// Secret is what who connects has to prove; "" = nothing, which only loopback may.
	Secret ExportSecret `json:"secret,omitempty"`
}

// ExportSecret is a shared secret. It prints as what it is, and not what it says.
type ExportSecret string

// String hides the secret from logs.
func (s ExportSecret) String() string {
	if s == "" {
		return "none"
	}
	return "hidden"
}

// GoString hides the secret from %#v.
func (s ExportSecret) GoString() string { return s.String() }

// The lengths of an ExportSecret. What the coordinators make has the most: initiators of Windows take no longer one.
const (
	ExportSecretMin = 12
	ExportSecretMax = 16
)

// ExportTarget is the iSCSI name under which guests reach a volume for as long as they may go on with what they were
// plugged in to, which an attachment names (protocol-flush C, (iii)). Initiators log in again by themselves, so there
// is no other name.
func ExportTarget(v ID, unbroken AttachID) string {
	return volumePrefix + v.String() + "." + unbroken.String()
}

// Check returns why a volume cannot have this export, nil if it can.
func (s ExportSetting) Check() error {
	if !slices.Contains(SettableExports(), s.Kind) {
		return fmt.Errorf("an export of the kind %q: it is one of %v", s.Kind, SettableExports())
	}
	at, err := netip.ParseAddrPort(s.Address)
	if err != nil || at.Port() == 0 || at.Addr().Zone() != "" {
		return fmt.Errorf("export %s at %q: want an IP address and a port, as in 127.0.0.1:%d or [::1]:%d", s.Kind,
			s.Address, ExportPortMin, ExportPortMin)
	}
	switch s.Kind.Proof() {
	case ProofSecret:
		return s.checkSecret(at.Addr())
	case ProofCredential: // nobody uses it without one
		if s.Secret != "" {
			return fmt.Errorf("export %s: it takes no secret, but the credentials of the volume", s.Kind)
		}
		return nil
	}
	return fmt.Errorf("export %s: nothing proves that who reaches %s is a guest of the volume", s.Kind, s.Address)
}

// checkSecret returns why an export whose guests prove a secret cannot have the one that it has at an address.
func (s ExportSetting) checkSecret(at netip.Addr) error {
	switch {
	case s.Secret != "" && (len(s.Secret) < ExportSecretMin || len(s.Secret) > ExportSecretMax):
		return fmt.Errorf("export %s: a secret of %d bytes: it has %d to %d", s.Kind, len(s.Secret), ExportSecretMin,
			ExportSecretMax)
	case s.Secret == "" && !at.Unmap().IsLoopback():
		return fmt.Errorf("export %s at %s: without a secret everybody who reaches that address could use the disk; "+
			"only loopback may do without", s.Kind, s.Address)
	}
	return nil
}

// CollidesWith reports whether one host could not listen for both.
func (s ExportSetting) CollidesWith(o ExportSetting) bool {
	a, errA := netip.ParseAddrPort(s.Address)
	b, errB := netip.ParseAddrPort(o.Address)
	return errA == nil && errB == nil && collide(a, b)
}

// TakesFrom reports whether a node that is reached at an address, which may begin with a host's name, may not be able
// to listen there once one of its engines has this export.
func (s ExportSetting) TakesFrom(address string) bool {
	at, err := netip.ParseAddrPort(s.Address)
	if err != nil {
		return false
	}
	if node, err := netip.ParseAddrPort(address); err == nil {
		return collide(at, node)
	}
	_, port, err := net.SplitHostPort(address)
	return err == nil && port == strconv.Itoa(int(at.Port())) // which address the name stands for is not known
}

func collide(a, b netip.AddrPort) bool {
	at, other := a.Addr().Unmap(), b.Addr().Unmap()
	return a.Port() == b.Port() && (at == other || at.IsUnspecified() || other.IsUnspecified())
}

// The ports that are chosen for exports that name none.
const (
	ExportPortMin = 13260
	ExportPortMax = 17259
)

// FreeExportPort returns the first port that none of the settings listens on, 0 if there is none.
func FreeExportPort(taken []ExportSetting) uint16 {
	used := make(map[uint16]bool, len(taken))
	for _, s := range taken {
		if at, err := netip.ParseAddrPort(s.Address); err == nil {
			used[at.Port()] = true
		}
	}
	for port := uint16(ExportPortMin); port <= ExportPortMax; port++ {
		if !used[port] {
			return port
		}
	}
	return 0
}

// WithExport returns settings with the one of its kind in them, in the order of the kinds; the slice that is given
// stays as it is.
func WithExport(settings []ExportSetting, s ExportSetting) []ExportSetting {
	settings = append(WithoutExport(settings, s.Kind), s)
	slices.SortFunc(settings, func(a, b ExportSetting) int { return cmp.Compare(a.Kind, b.Kind) })
	return settings
}

// WithoutExport returns settings without the one of a kind; the slice that is given stays as it is.
func WithoutExport(settings []ExportSetting, kind ExportKind) []ExportSetting {
	var rest []ExportSetting
	for _, s := range settings {
		if s.Kind != kind {
			rest = append(rest, s)
		}
	}
	return rest
}
