package enroll

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/api/credential"
	"github.com/holdfast-storage/holdfast/node/config"
	"github.com/holdfast-storage/holdfast/node/durable"
	"github.com/holdfast-storage/holdfast/node/identity"
	"github.com/holdfast-storage/holdfast/volume"
)

// JoinOptions say how to join.
type JoinOptions struct {
	Token   string // the text of a join token
	Address string // host:port of the API of any node
	Machine Machine
	// Replace joins under a name that another node has, to take that node's place.
	Replace  bool
	Patience time.Duration // as api.ClientOptions has it
}

// Join makes the machine a node of a cluster, without starting it, and returns its configuration. A
// machine that is a node of that cluster already gets another certificate for the same key, and keeps
// everything else; again says that.
func Join(ctx context.Context, o JoinOptions) (c *config.Config, again bool, err error) {
	token, err := credential.ParseJoin(o.Token)
	if err != nil {
		return nil, false, err
	}
	m := o.Machine
	if err := m.complete(); err != nil {
		return nil, false, err
	}
	c, err = config.Load(ConfigFile(m.Dir))
	if err == nil {
		return c, true, rejoin(ctx, o, token, c)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, false, err
	}
	if err := errors.Join(m.check(), m.fresh()); err != nil {
		return nil, false, err
	}
	if err := m.makeDirs(); err != nil {
		return nil, false, err
	}
	who, key, err := m.newcomer(token)
	if err != nil {
		return nil, false, err
	}
	answer, err := o.ask(ctx, token, key, m.hosts(), api.Join{Name: m.Name, Replace: o.Replace}, who)
	if err != nil {
		return nil, false, err
	}
	if err := identity.Install(m.files(), identity.PEM(answer.CA), identity.PEM(answer.Cert)); err != nil {
		return nil, false, err
	}
	if c, err = m.joined(who, answer); err != nil {
		return nil, false, err
	}
	if err := install(m.Dir, c); err != nil {
		return nil, false, err
	}
	return c, false, os.Remove(m.joiningFile())
}

// joining is the content of joining.json: who a machine is that has not become a node yet.
type joining struct {
	Cluster volume.ClusterID `json:"cluster"`
	Node    volume.NodeID    `json:"node"`
}

func (m Machine) joiningFile() string { return filepath.Join(m.Dir, "joining.json") }

// newcomer returns the id and key with which the machine joins. They are made once, so that the cluster
// knows a machine again whose answer was lost.
func (m Machine) newcomer(token credential.Join) (volume.NodeID, identity.Key, error) {
	var j joining
	text, err := os.ReadFile(m.joiningFile())
	switch {
	case err == nil:
		if err := json.Unmarshal(text, &j); err != nil || j.Node.IsZero() {
			return j.Node, identity.Key{}, fmt.Errorf("%s is damaged: remove it to join anew", m.joiningFile())
		}
		if j.Cluster == token.Cluster {
			key, err := identity.LoadKey(m.files().Key)
			return j.Node, key, err
		}
	case !errors.Is(err, fs.ErrNotExist):
		return j.Node, identity.Key{}, err
	}
	// Nothing has used what an attempt with another cluster has left.
	if err := m.discard(); err != nil {
		return j.Node, identity.Key{}, err
	}
	key, err := identity.NewKey(m.files().Key)
	if err != nil {
		return j.Node, identity.Key{}, err
	}
	j = joining{Cluster: token.Cluster, Node: volume.NewNodeID()}
	if text, err = json.Marshal(j); err != nil {
		return j.Node, identity.Key{}, err
	}
	return j.Node, key, durable.WriteFile(m.joiningFile(), append(text, '\n'), 0o600)
}

// rejoin gets another certificate for a machine that is a node: its own expired before it was renewed.
func rejoin(ctx context.Context, o JoinOptions, token credential.Join, c *config.Config) error {
	if c.Cluster.ID != token.Cluster {
		return fmt.Errorf("this machine is node %s of cluster %s (%s), and the token is of cluster %s (%s): "+
			"take the machine out of its cluster and remove %s first", c.Name, c.Cluster.Name, c.Cluster.ID, token.Name,
			token.Cluster, ConfigFile(filepath.Dir(c.TLS.Key)))
	}
	key, err := identity.LoadKey(c.TLS.Key)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(c.TLS.Cert)
	if err != nil {
		return fmt.Errorf("the node's last certificate, which proves who it is: %w", err)
	}
	earlier, err := identity.DER(text)
	if err != nil {
		return fmt.Errorf("certificate %s: %w", c.TLS.Cert, err)
	}
	m := Machine{Listen: c.Listen}
	answer, err := o.ask(ctx, token, key, m.hosts(), api.Join{Name: c.Name, Earlier: earlier}, c.ID)
	if err != nil {
		return err
	}
	return identity.Install(c.TLS, identity.PEM(answer.CA), identity.PEM(answer.Cert))
}

// ask sends the request to join, to a server that is proven to be of the token's cluster, and checks the
// answer.
func (o JoinOptions) ask(ctx context.Context, token credential.Join, key identity.Key, hosts []string, r api.Join,
	node volume.NodeID) (api.Joined, error) {
	var err error
	r.Token = o.Token
	r.CSR, err = key.Request(identity.Request{Cluster: token.Cluster, Node: node, Hosts: hosts})
	if err != nil {
		return api.Joined{}, err
	}
	client, err := api.NewClient(api.ClientOptions{Endpoints: "https://" + o.Address, TLS: pinned(token),
		Patience: o.Patience})
	if err != nil {
		return api.Joined{}, err
	}
	defer client.Close()
	answer, err := client.Join(ctx, r)
	if err != nil {
		return api.Joined{}, fmt.Errorf("cluster %s at %s: %w", token.Name, o.Address, err)
	}
	if identity.FingerprintOf(answer.CA) != token.CA || answer.Cluster != token.Cluster.String() {
		return api.Joined{}, fmt.Errorf("cluster %s at %s: the answer has another CA than the token", token.Name,
			o.Address)
	}
	return answer, nil
}

// joined returns the configuration of a machine that was admitted.
func (m Machine) joined(node volume.NodeID, a api.Joined) (*config.Config, error) {
	incarnation, errIncarnation := volume.ParseUUID(a.Incarnation)
	cluster, errCluster := volume.ParseUUID(a.Cluster)
	if err := errors.Join(errIncarnation, errCluster); err != nil {
		return nil, fmt.Errorf("the cluster's answer: %w", err)
	}
	var coordinators []config.Coordinator
	for _, co := range a.Coordinators {
		id, err := volume.ParseUUID(co.ID)
		if err != nil {
			return nil, fmt.Errorf("the cluster's answer: %w", err)
		}
		coordinators = append(coordinators, config.Coordinator{ID: volume.NodeID{UUID: id}, Name: co.Name, API: co.API,
			Raft: co.Raft})
	}
	return m.config(node, config.Cluster{Name: a.ClusterName, ID: volume.ClusterID{UUID: cluster},
		Incarnation: volume.ClusterID{UUID: incarnation}}, coordinators), nil
}
