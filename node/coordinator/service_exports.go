package coordinator

import (
	"context"
	"crypto/rand"
	"net"
	"strconv"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// setExport changes an export of a volume. Each time that it is set it gets another secret.
func (s service) setExport(ctx context.Context, state *raft.State, vol *raft.Volume, r *api.SetExport) error {
	object := "volume/" + vol.Name
	cmd := raft.SetExport{Volume: vol.ID, Kind: volume.ExportKind(r.Kind), Off: r.Off, Address: r.Address}
	if r.Off && (r.Address != "" || r.Open) {
		return api.Errorf(api.CodeInvalid, object, "", "volume %s: an export that is taken away has no address",
			vol.Name)
	}
	if !r.Off && cmd.Address == "" {
		port := freePort(state, vol, cmd.Kind)
		if port == 0 {
			return api.Errorf(api.CodeInvalid, object, "name an address",
				"volume %s: every port from %d to %d is another export's", vol.Name, volume.ExportPortMin,
				volume.ExportPortMax)
		}
		cmd.Address = net.JoinHostPort(cmd.Kind.Host(), strconv.Itoa(int(port)))
	}
	if r.Open && cmd.Kind.Proof() == volume.ProofCredential {
		return api.Errorf(api.CodeInvalid, object, "",
			"volume %s: an export %s is never open, but for who has a credential", vol.Name, cmd.Kind)
	}
	if !r.Off && !r.Open && cmd.Kind.AsksSecret() {
		cmd.Secret = volume.ExportSecret(rand.Text()[:volume.ExportSecretMax])
	}
	_, err := s.propose(ctx, object, raft.Command{SetExport: &cmd})
	return err
}

// freePort returns a port that no export of the cluster listens on, but for the one that is to be set, and no node.
func freePort(s *raft.State, vol *raft.Volume, kind volume.ExportKind) uint16 {
	var taken []volume.ExportSetting
	for _, other := range s.Volumes { // which ports there are counts alone, so the order of the map does not matter
		switch {
		case other.ID == vol.ID:
			taken = append(taken, volume.WithoutExport(other.Exports, kind)...)
		case !other.Deleting:
			taken = append(taken, other.Exports...)
		}
	}
	for _, n := range s.Nodes {
		for _, at := range []string{n.API, n.Raft, n.Portal} {
			if _, port, err := net.SplitHostPort(at); err == nil {
				taken = append(taken, volume.ExportSetting{Address: net.JoinHostPort("0.0.0.0", port)})
			}
		}
	}
	return volume.FreeExportPort(taken)
}

// ExportSecrets returns what guests of a volume have to prove.
func (s service) ExportSecrets(_ context.Context, name string) ([]api.ExportSecret, error) {
	state, _ := s.raft.State()
	vol, err := findVolume(state, name)
	if err != nil {
		return nil, err
	}
	secrets := []api.ExportSecret{}
	for _, x := range vol.Exports {
		if x.Secret != "" {
			secrets = append(secrets, api.ExportSecret{Kind: string(x.Kind), User: vol.Name, Secret: string(x.Secret)})
		}
	}
	return secrets, nil
}

// showExports shows the settings of a volume's exports, without their secrets.
func showExports(vol *raft.Volume) []api.ExportSetting {
	out := []api.ExportSetting{}
	for _, x := range vol.Exports {
		s := api.ExportSetting{Kind: string(x.Kind), Address: x.Address}
		if x.Secret != "" {
			s.User = vol.Name
		}
		out = append(out, s)
	}
	return out
}

func exportFaults(faults []volume.ExportFault) []api.ExportFault {
	var out []api.ExportFault
	for _, f := range faults {
		out = append(out, api.ExportFault{Kind: string(f.Kind), Address: f.Address, Error: f.Error})
	}
	return out
}
