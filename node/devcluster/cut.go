package devcluster

import (
	"cmp"
	"errors"
	"slices"

	"github.com/holdfast-storage/holdfast/node/devnet"
)

// Links names directions between nodes.
type Links struct {
	Node   string
	From   string // the other end; empty is every other node
	OneWay bool   // only what Node sends
}

// Impair makes links lose or delay what they carry, in place of what they did before; see devnet.Rules. Only a
// cluster of Namespaces has such links: ErrLoopback.
func (c *Cluster) Impair(l Links, r devnet.Rules) error {
	node, err := c.Node(l.Node)
	if err != nil {
		return err
	}
	others := slices.DeleteFunc(c.Nodes(), func(n Node) bool { return n.Name == node.Name })
	if l.From != "" {
		other, err := c.Node(l.From)
		if err != nil {
			return err
		}
		others = []Node{other}
	}
	return c.withSwitch(func(client *devnet.Client) error {
		var failed []error
		for _, other := range others {
			failed = append(failed, client.Set(node.Name, other.Name, r))
			if !l.OneWay {
				failed = append(failed, client.Set(other.Name, node.Name, r))
			}
		}
		return errors.Join(failed...)
	})
}

// Heal lets every link of a node, or of all nodes if the name is empty, carry everything at once again.
func (c *Cluster) Heal(name string) error {
	if name != "" {
		if _, err := c.Node(name); err != nil {
			return err
		}
	}
	return c.withSwitch(func(client *devnet.Client) error { return client.Heal(name) })
}

// NetworkStatus is what the network does now.
type NetworkStatus struct {
	Ports []devnet.Port `json:"ports"` // nodes that have their power
	Links []devnet.Link `json:"links"` // that do not carry everything at once
}

// NetworkStatus looks at the network, in the order of the nodes' names.
func (c *Cluster) NetworkStatus() (NetworkStatus, error) {
	var s NetworkStatus
	err := c.withSwitch(func(client *devnet.Client) (err error) {
		s.Ports, s.Links, err = client.Show()
		return err
	})
	slices.SortFunc(s.Ports, func(a, b devnet.Port) int { return cmp.Compare(a.Node, b.Node) })
	slices.SortFunc(s.Links, func(a, b devnet.Link) int {
		return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To))
	})
	return s, err
}
