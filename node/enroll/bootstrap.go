package enroll

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/api/credential"
	"github.com/holdfast-storage/holdfast/node/config"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/site"
)

// BootstrapOptions say which server of a site this machine is.
type BootstrapOptions struct {
	Site     *site.Site
	Name     string // of the server
	Token    string // the text of a join token
	Patience time.Duration
}

// Bootstrap makes the machine the node that a site says it is, without starting it, and returns its configuration: it
// joins the cluster at whichever other server answers. If there is a node of the name, it waits to take that one's
// place. A machine that is a node already gets another certificate, and keeps everything else; again says that.
func Bootstrap(ctx context.Context, o BootstrapOptions) (c *config.Config, again bool, err error) {
	m, err := MachineOf(o.Site, o.Name)
	if err != nil {
		return nil, false, err
	}
	token, err := credential.ParseJoin(o.Token)
	if err != nil {
		return nil, false, err
	}
	if token.Name != o.Site.Cluster.Name {
		return nil, false, fmt.Errorf("the token is of cluster %s, the site of cluster %s", token.Name,
			o.Site.Cluster.Name)
	}
	addresses := othersAt(o.Site, o.Name)
	if len(addresses) == 0 {
		return nil, false, fmt.Errorf("site of cluster %s: no server but %s has an address, so there is none to "+
			"join at", o.Site.Cluster.Name, o.Name)
	}
	var silent []error
	for _, address := range addresses {
		c, again, err = Join(ctx, JoinOptions{Token: o.Token, Address: address, Machine: m, Replace: true,
			Patience: o.Patience})
		var said *api.Error
		if err == nil || !errors.As(err, &said) || said.Code != api.CodeNoLeader && said.Code != api.CodeUnknown {
			return c, again, err
		}
		if silent = append(silent, err); ctx.Err() != nil {
			break
		}
	}
	return nil, false, errors.Join(silent...)
}

// othersAt returns where the other servers of a site have their API, coordinators first.
func othersAt(s *site.Site, name string) []string {
	var coordinators, others []string
	for _, server := range s.Servers {
		m := Machine{Address: server.Machine.Address, Listen: config.Listen{API: server.Machine.ListenAPI}}
		address := m.Listen.API
		if address == "" && m.Address != "" {
			address = net.JoinHostPort(m.Address, PortAPI)
		}
		switch {
		case server.Name == name || address == "":
		case slices.Contains(server.Machine.Roles, string(raft.RoleCoordinator)):
			coordinators = append(coordinators, address)
		default:
			others = append(others, address)
		}
	}
	return append(coordinators, others...)
}

// MachineOf returns what a site says of the machine of a server.
func MachineOf(s *site.Site, name string) (Machine, error) {
	i := slices.IndexFunc(s.Servers, func(server site.Server) bool { return server.Name == name })
	if i < 0 {
		return Machine{}, fmt.Errorf("site of cluster %s: there is no pservers/%s: name this machine's server with "+
			"--name, or add it", s.Cluster.Name, name)
	}
	server := s.Servers[i]
	of := server.Machine
	m := Machine{
		Dir: cmp.Or(of.ConfigDir, DefaultDir), DataDir: cmp.Or(of.DataDir, DefaultDataDir),
		RunDir: cmp.Or(of.RunDir, DefaultRunDir), Name: name, Address: of.Address, Storage: of.StorageNetwork,
		Listen:   config.Listen{API: of.ListenAPI, Raft: of.ListenRaft, ISCSI: of.ListenISCSI},
		Location: raft.Location{Zone: server.Zone, Rack: server.Rack},
		Timing:   config.Timing{Heartbeat: of.Timing.Heartbeat, DeadAfter: of.Timing.DeadAfter, TRead: of.Timing.TRead},
	}
	for _, role := range of.Roles {
		m.Roles = append(m.Roles, raft.Role(role))
	}
	for _, store := range of.Stores {
		m.Stores = append(m.Stores, config.Store{Name: store.Name, Path: store.Path})
	}
	return m, nil
}
