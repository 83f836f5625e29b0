package plan

import (
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
		switch object := "node/" + n.Name; {
		case known[n.Name]:
		case n.State == api.NodeRetiring:
			m.other(object, leaves(n.Name))
		case n.State != api.NodePending:
			m.other(object, "`holdfast node remove "+n.Name+"` moves its legs away and forgets it")
		}
	}
}

// leaves says what becomes of a node that is retiring.
func leaves(name string) string {
	return "it leaves the cluster; `holdfast why node/" + name + "` says what it waits for"
}

// node plans what concerns one server. Of its name there may be two nodes: one that waits to take the other's place, or
// takes it already.
func (m *maker) node(s site.Server) {
	var settled, pending, retiring *api.Node // the first of each
	for i := range m.actual.Nodes {
		n := &m.actual.Nodes[i]
		of := &settled
		switch n.State {
		case api.NodePending:
			of = &pending
		case api.NodeRetiring:
			of = &retiring
		}
		if n.Name == s.Name && *of == nil {
			*of = n
		}
	}
	switch object := "node/" + s.Name; {
	case settled != nil && pending != nil:
		m.replace(s, *settled, *pending)
		m.locate(s, *pending)
	case settled != nil:
		m.locate(s, *settled)
		m.configure(s, *settled)
	case retiring != nil && pending != nil:
		m.other(object, leaves(s.Name)+"; the machine that waits for its name has it then")
	case retiring != nil:
		m.other(object, leaves(s.Name)+", and `holdfast node undrain "+s.Name+"` ends a removal")
	case pending != nil:
		m.other(object, "it waits for its name, which another node had a moment ago")
	default:
		m.add(Step{Kind: JoinNode, Object: object,
			Note: "it is no node of the cluster", Held: "`holdfast node bootstrap` on its machine"})
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
