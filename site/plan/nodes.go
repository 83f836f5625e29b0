package plan

import (
	"slices"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/site"
)

// nodes plans what concerns the servers.
func (m *maker) nodes() {
	known := make(map[string]bool)
	for _, s := range m.site.Servers {
		known[s.Name] = true
		m.node(s)
	}
	for _, n := range m.actual.Nodes {
		if !known[n.Name] && n.State != api.NodePending {
			m.other("node/"+n.Name, "`holdfast node remove "+n.Name+"` moves its legs away and forgets it")
		}
	}
}

// node plans what concerns one server. Of its name there may be two nodes: one that waits to take the other's place, or
// takes it already.
func (m *maker) node(s site.Server) {
	var named []api.Node
	for _, n := range m.actual.Nodes {
		if n.Name == s.Name {
			named = append(named, n)
		}
	}
	pending := slices.IndexFunc(named, func(n api.Node) bool { return n.State == api.NodePending })
	settled := slices.IndexFunc(named, func(n api.Node) bool {
		return n.State != api.NodePending && n.State != api.NodeRetiring
	})
	switch {
	case len(named) == 0:
		m.add(Step{Kind: JoinNode, Object: "node/" + s.Name,
			Note: "it is no node of the cluster", Held: "`holdfast node bootstrap` on its machine"})
	case pending >= 0 && settled >= 0:
		m.replace(s, named[settled], named[pending])
		m.locate(s, named[pending])
	case settled >= 0:
		m.locate(s, named[settled])
		m.configure(s, named[settled])
	}
}

// configure plans that a node plays the roles that it shall; only what its own node.yaml says counts.
func (m *maker) configure(s site.Server, n api.Node) {
	if changes := differ(nil, "roles", list(n.Roles), list(s.Machine.Roles)); len(changes) > 0 {
		m.add(Step{Kind: ConfigureNode, Object: "node/" + s.Name, ID: n.ID, Changes: changes,
			Held: "`holdfast node bootstrap` on its machine, and a restart of its daemon"})
	}
}

// replace plans that a machine which was installed anew takes the place that it had.
func (m *maker) replace(s site.Server, old, fresh api.Node) {
	step := Step{Kind: ReplaceNode, Object: "node/" + s.Name, ID: old.ID, Note: "the machine was installed anew",
		Loses:   "what is only on the disks of the machine that it was",
		Request: Request{Replace: &api.ReplaceNode{New: fresh.ID, Wait: api.Wait{NoWait: true}}}}
	switch {
	case old.State != api.NodeDown:
		step.Held = "the machine of before, which still answers: switch it off"
	case fresh.PID == 0:
		step.Held = "its daemon, which has not been heard: start it"
	}
	m.add(step)
}

// locate plans where a node stands.
func (m *maker) locate(s site.Server, n api.Node) {
	changes := differ(nil, "zone", named(n.Zone), named(s.Zone))
	changes = differ(changes, "rack", named(n.Rack), named(s.Rack))
	if len(changes) > 0 {
		m.add(Step{Kind: SetNode, Object: "node/" + s.Name, ID: n.ID, Changes: changes,
			Request: Request{Node: &api.SetNode{Zone: &s.Zone, Rack: &s.Rack}}})
	}
}

// named prints a name that may be missing.
func named(name string) string {
	if name == "" {
		return "none"
	}
	return name
}
