package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/volume"
)

// StartVersion is the version of the start document; another one is refused.
const StartVersion = 2

// startBytesMax bounds the start document: a ticket of eight legs is a few KiB.
const startBytesMax = 1 << 20

// Start is the one JSON document that an engine reads from its standard input. It holds the
// ticket's secrets, so it is never written to a disk or a log.
type Start struct {
	Version      int           `json:"version"` // StartVersion
	Ticket       peer.Ticket   `json:"ticket"`
	Identity     Identity      `json:"identity"`
	Coordinators []peer.Peer   `json:"coordinators"`
	Node         volume.NodeID `json:"node"` // the host that runs the engine
	// RunDir is the engine's run directory, absolute and made by the daemon: it holds control.sock
	// and nbd.sock. It belongs to the volume, not to the epoch, and is short enough for a socket.
	RunDir string `json:"run_dir"`
	// Exports are the listening sockets that the engine inherits; it makes those itself that are not among them.
	Exports []Inherited `json:"exports,omitempty"`
}

// Identity names the PEM files of the node's place in the cluster's CA.
type Identity struct {
	CertFile string `json:"cert_file"`
	KeyFile  string `json:"key_file"`
	CAFile   string `json:"ca_file"`
}

// ReadStart reads and checks the start document. An error never quotes the document, which holds
// secrets.
func ReadStart(r io.Reader) (Start, error) {
	var s Start
	if err := json.NewDecoder(io.LimitReader(r, startBytesMax)).Decode(&s); err != nil {
		return Start{}, errors.New("start document on standard input: no well-formed JSON of the known form")
	}
	if err := s.check(); err != nil {
		return Start{}, fmt.Errorf("start document on standard input: %w", err)
	}
	return s, nil
}

func (s Start) check() error {
	switch {
	case s.Version != StartVersion:
		return fmt.Errorf("version %d is unknown, this engine knows %d", s.Version, StartVersion)
	case s.Ticket.Volume.IsZero() || s.Ticket.AttachID.IsZero() || s.Ticket.Epoch == 0:
		return errors.New("the ticket names no volume, attachment or epoch")
	case s.Ticket.Layout.Check() != nil:
		return fmt.Errorf("volume %s: %w", s.Ticket.Name, s.Ticket.Layout.Check())
	case len(s.Ticket.Legs) == 0:
		return errors.New("the ticket has no legs")
	case volume.CheckSize(s.Ticket.SizeBytes) != nil:
		return volume.CheckSize(s.Ticket.SizeBytes)
	case len(s.Coordinators) == 0:
		return errors.New("it names no coordinator")
	case s.Node.IsZero():
		return errors.New("it names no node")
	case !filepath.IsAbs(s.RunDir):
		return fmt.Errorf("run directory %q is not absolute", s.RunDir)
	}
	for _, x := range s.Exports {
		if x.FD < inheritedMin {
			return fmt.Errorf("descriptor %d cannot be the socket of export %s", x.FD, x.Kind)
		}
	}
	return nil
}
