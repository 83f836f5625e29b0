package volume

import "slices"

// ExportKind is one way by which guests reach a volume.
type ExportKind string

// The kinds of exports. Every volume that is attached has ExportNBD, on a unix socket of its host; the others are
// settings of the volume. To add one see CONTRIBUTING.md.
const (
	ExportNBD   ExportKind = "nbd"   // NBD on a unix socket
	ExportISCSI ExportKind = "iscsi" // iSCSI on a TCP port
	// ExportNBDTLS is NBD on a TCP port, with TLS, for who has a credential of the volume.
	ExportNBDTLS ExportKind = "nbd-tls"
)

// ExportProof is what shows that who connects to an export is a guest of the volume.
type ExportProof int

// The proofs. The zero value is none of them: an export whose kind does not say what it asks for is refused.
const (
	_ ExportProof = iota
	// ProofPlace is that it got there: the export listens where nobody else comes.
	ProofPlace
	// ProofSecret is a secret of the export, by CHAP. It may be left away on loopback.
	ProofSecret
	// ProofCredential is a credential of the volume, without which the protocol lets nobody in.
	ProofCredential
)

// exportKind is what is known of a kind of export.
type exportKind struct {
	word ExportKind
	// always says that every attached volume has it, so that it is no setting.
	always bool
	// unixSocket says that it listens on a unix socket in the run directory of the engine; else on a TCP address.
	unixSocket bool
	proof      ExportProof
	// since is the cluster version from which coordinators know the kind; before it none is set.
	since int
	// host is where it listens if it is given no address; "" = on a unix socket.
	host string
}

// exportKinds is the one table of kinds. A host is loopback, if who gets there need not be a guest of the volume.
func exportKinds() []exportKind {
	return []exportKind{
		{word: ExportNBD, always: true, unixSocket: true, proof: ProofPlace, since: 1},
		{word: ExportISCSI, proof: ProofSecret, since: 2, host: "127.0.0.1"},
		{word: ExportNBDTLS, proof: ProofCredential, since: 2, host: "0.0.0.0"},
	}
}

// known returns what the table says of a kind; of one that it has not, which may be a newer release's, nothing.
func (k ExportKind) known() exportKind {
	all := exportKinds()
	if i := slices.IndexFunc(all, func(x exportKind) bool { return x.word == k }); i >= 0 {
		return all[i]
	}
	return exportKind{word: k}
}

// ExportKinds returns every kind there is.
func ExportKinds() []ExportKind {
	var kinds []ExportKind
	for _, x := range exportKinds() {
		kinds = append(kinds, x.word)
	}
	return kinds
}

// SettableExports returns the kinds that a volume may be given.
func SettableExports() []ExportKind {
	var kinds []ExportKind
	for _, x := range exportKinds() {
		if !x.always {
			kinds = append(kinds, x.word)
		}
	}
	return kinds
}

// Proof returns what guests prove to an export of the kind, 0 for a kind that is unknown.
func (k ExportKind) Proof() ExportProof { return k.known().proof }

// AsksSecret reports whether guests prove a secret that is the export's.
func (k ExportKind) AsksSecret() bool { return k.Proof() == ProofSecret }

// UnixSocket reports whether an export of the kind listens on a unix socket, and not on a TCP address.
func (k ExportKind) UnixSocket() bool { return k.known().unixSocket }

// Since returns the cluster version from which an export of the kind may be set. Before, there may be coordinators that
// refuse the kind, and would answer the same entry of the log otherwise than those that know it. It is 0 for a kind
// that is unknown, which every release refuses.
func (k ExportKind) Since() int { return k.known().since }

// Host is where an export of the kind listens that is given no address; "" for a unix socket and an unknown kind.
func (k ExportKind) Host() string { return k.known().host }
