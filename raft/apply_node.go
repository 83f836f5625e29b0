package raft

import (
	"slices"

	"github.com/holdfast-storage/holdfast/volume"
)

// registerNode adds a node, or brings what is known of it up to date.
func (t *txn) registerNode(c *RegisterNode) *Refusal {
	n := c.Node
	n.Roles, n.Stores = slices.Clone(n.Roles), slices.Clone(n.Stores)
	gone := t.leftForGood(&n)
	if gone != nil && t.state.Uses(2) { // first, so that what it says makes no events either
		return gone
	}
	if r := t.checkNode(&n); r != nil {
		return r
	}
	if gone != nil {
		return gone
	}
	n.RegisteredLocation = n.Location
	old := t.state.Nodes[n.ID]
	taken := t.nameTaken(n.Name, n.ID)
	if old == nil {
		n.Pending, n.Retiring, n.Stays, n.ReplacedBy, n.Since = taken, false, false, volume.NodeID{}, t.at
		n.Predecessors = nil
		t.state.Nodes[n.ID], t.changed = &n, true
		if taken {
			t.event(SeverityInfo, "node/"+n.Name, "node_pending",
				"another node registered as %s and waits to replace the one of that name", n.Name)
			return nil
		}
		t.event(SeverityInfo, "node/"+n.Name, "node_added", "node %s joined", n.Name)
		return nil
	}
	if n.Name != old.Name && taken {
		return refuse(CodeExists, "node %s cannot be renamed to %s: another node has that name", old.Name, n.Name)
	}
	switch {
	case n.ChapKey == volume.NodeKey{} || n.KeyGen < old.KeyGen:
		n.ChapKey, n.KeyGen = old.ChapKey, old.KeyGen
	case n.KeyGen == old.KeyGen && n.ChapKey != old.ChapKey:
		return invalid("node %s: its key of generation %d is another than the one it registered with",
			n.Name, n.KeyGen)
	}
	n.Pending = old.Pending && taken
	n.Retiring, n.Stays, n.ReplacedBy, n.Since = old.Retiring, old.Stays, old.ReplacedBy, old.Since
	n.Predecessors = old.Predecessors
	n.Stores = t.keepStores(old, n.Stores)
	if n.RegisteredLocation == old.RegisteredLocation {
		n.Location = old.Location // what an operator said since
	}
	if !equalNodes(old, &n) {
		t.state.Nodes[n.ID], t.changed = &n, true
	}
	return nil
}

// leftForGood refuses a node that was removed.
func (t *txn) leftForGood(n *Node) *Refusal {
	if _, removed := t.state.Removed[n.ID]; !removed {
		return nil
	}
	return invalid("node %s (%s) was removed from the cluster and is not taken in again: "+
		"give the machine a new identity to add it as another node", n.Name, n.ID.Short())
}

// checkNode returns what is wrong with a node's registration.
func (t *txn) checkNode(n *Node) *Refusal {
	if err := volume.CheckName("node", n.Name); err != nil {
		return invalid("%v", err)
	}
	if err := n.Location.Check(); err != nil {
		return invalid("node %s: location: %v", n.Name, err)
	}
	known := []Role{RoleCoordinator, RoleStorage, RoleHost}
	for _, role := range n.Roles {
		if !slices.Contains(known, role) {
			return invalid("node %s: role %q is unknown (coordinator, storage, host)", n.Name, role)
		}
	}
	switch {
	case n.ID.IsZero():
		return invalid("node %s: it has no id", n.Name)
	case len(n.Roles) == 0:
		return invalid("node %s: it has no role", n.Name)
	case n.API == "":
		return invalid("node %s: it has no API address", n.Name)
	case n.Has(RoleCoordinator) && n.Raft == "":
		return invalid("node %s: a coordinator needs a raft address", n.Name)
	case n.Has(RoleStorage) && (n.Portal == "" || n.ChapKey == volume.NodeKey{} && t.state.Nodes[n.ID] == nil):
		return invalid("node %s: a storage node needs a portal and a key", n.Name)
	}
	for i, st := range n.Stores {
		if err := volume.CheckName("store", st.Name); err != nil {
			return invalid("node %s: %v", n.Name, err)
		}
		twin := func(o Store) bool { return o.ID == st.ID || o.Name == st.Name }
		if st.ID.IsZero() || slices.ContainsFunc(n.Stores[:i], twin) {
			return invalid("node %s: store %s has no id, or its id or name is there twice", n.Name, st.Name)
		}
		for _, other := range t.state.SortedNodes() {
			if other.ID != n.ID && slices.ContainsFunc(other.Stores, func(o Store) bool { return o.ID == st.ID }) {
				return t.clonedStore(n, st, other)
			}
		}
	}
	return nil
}

// clonedStore refuses a store that another node has (protocol §5 row 48), and keeps that once as an
// event: nobody sees the refusal but the daemon, which asks again and again.
func (t *txn) clonedStore(n *Node, st Store, owner *Node) *Refusal {
	r := invalid("node %s: store %s (%s) belongs to node %s: it is a copy of that node's disk, "+
		"or was moved here; legs on it are not used", n.Name, st.Name, st.ID, owner.Name)
	known := slices.ContainsFunc(t.state.Events, func(e Event) bool {
		return e.Kind == "store_cloned" && e.Message == r.Message
	})
	if !known {
		t.keep = true
		t.event(SeverityError, "node/"+n.Name, "store_cloned", "%s", r.Message)
	}
	return r
}

// keepStores adds to the stores that a node reports those that it no longer reports but has legs on:
// a disk that is not there now may come back.
func (t *txn) keepStores(old *Node, reported []Store) []Store {
	for _, st := range old.Stores {
		same := func(o Store) bool { return o.ID == st.ID }
		if !slices.ContainsFunc(reported, same) && t.state.storeInUse(st.ID) {
			reported = append(reported, st)
		}
	}
	return reported
}

func (s *State) storeInUse(id volume.StoreID) bool {
	for _, v := range s.Volumes { // any one will do, so the order of the map does not matter
		if slices.ContainsFunc(v.Legs, func(l *Leg) bool { return l.Store == id }) {
			return true
		}
	}
	return false
}

// nameTaken reports whether another node bears a name and is not on its way out.
func (t *txn) nameTaken(name string, id volume.NodeID) bool {
	for _, n := range t.state.Nodes { // any one will do, so the order of the map does not matter
		if n.Name == name && n.ID != id && !n.Pending && n.ReplacedBy != id {
			return true
		}
	}
	return false
}

func equalNodes(a, b *Node) bool {
	return a.ID == b.ID && a.Name == b.Name && slices.Equal(a.Roles, b.Roles) && a.API == b.API &&
		a.Raft == b.Raft && a.Portal == b.Portal && slices.Equal(a.Stores, b.Stores) &&
		a.Location == b.Location && a.RegisteredLocation == b.RegisteredLocation &&
		a.ChapKey == b.ChapKey && a.KeyGen == b.KeyGen && a.Pending == b.Pending
}

// retireNode marks a node as leaving. With By, that node takes its place, also in the lists of hosts
// of domains.
func (t *txn) retireNode(c *RetireNode) *Refusal {
	n := t.state.Nodes[c.Node]
	if n == nil {
		return refuse(CodeNotFound, "no node has the id %s", c.Node)
	}
	if n.Retiring && n.Stays == c.Stay && (n.ReplacedBy == c.By || c.By.IsZero()) {
		return nil
	}
	heir := t.state.Nodes[c.By]
	switch {
	case n.Pending:
		return invalid("node %s is not part of the cluster yet: remove it", n.Name)
	case c.Stay && !c.By.IsZero():
		return invalid("node %s is either drained or replaced", n.Name)
	case c.Stay && n.Retiring:
		return refuse(CodeBusy, "node %s is being replaced or removed: holdfast node undrain %s stops a removal",
			n.Name, n.Name)
	case !c.By.IsZero() && heir == nil:
		return refuse(CodeNotFound, "no node has the id %s", c.By)
	case !c.By.IsZero() && (heir.ID == n.ID || heir.Retiring):
		return invalid("node %s cannot be replaced by %s, which is itself leaving", n.Name, heir.Name)
	case heir != nil && heir.Pending && heir.Name != n.Name:
		return invalid("node %s waits to replace the node of its own name, not %s", heir.Name, n.Name)
	case !n.ReplacedBy.IsZero() && t.state.Nodes[n.ReplacedBy] != nil:
		return refuse(CodeBusy, "node %s is being replaced by %s already", n.Name, t.state.NodeName(n.ReplacedBy))
	}
	leaving := *n
	leaving.Retiring, leaving.Stays, leaving.ReplacedBy = true, c.Stay, c.By
	t.state.Nodes[n.ID], t.changed = &leaving, true
	if heir == nil {
		stays := ""
		switch {
		case c.Stay:
			stays = " and stays a member"
		case t.state.Uses(2): // the first release says less, and all replicas have to say the same
			stays = " and leaves"
		}
		t.event(SeverityInfo, "node/"+n.Name, "node_draining", "node %s is being emptied%s", n.Name, stays)
		return nil
	}
	full := *heir
	full.Pending = false
	t.state.Nodes[heir.ID] = &full
	if heir.Has(RoleHost) {
		t.inheritDomains(n.Name, heir.Name)
	}
	t.event(SeverityInfo, "node/"+n.Name, "node_replacing", "node %s (%s) takes the place of %s (%s)",
		heir.Name, heir.ID.Short(), n.Name, n.ID.Short())
	return nil
}

// inheritDomains puts a new node's name where the old one's stood in the domains' lists of hosts.
func (t *txn) inheritDomains(from, to string) {
	for _, d := range t.state.SortedDomains() {
		i := slices.Index(d.Spec.Hosts, from)
		if from == to || i < 0 {
			continue
		}
		d = t.editDomain(d)
		d.Spec.Hosts = slices.Clone(d.Spec.Hosts)
		if slices.Contains(d.Spec.Hosts, to) {
			d.Spec.Hosts = slices.Delete(d.Spec.Hosts, i, i+1)
		} else {
			d.Spec.Hosts[i] = to
		}
	}
}

// removeNode forgets a node on which nothing is left.
func (t *txn) removeNode(c *RemoveNode) *Refusal {
	n := t.state.Nodes[c.Node]
	if n == nil {
		t.removeUnregistered(c.Node)
		return nil
	}
	for _, v := range t.state.SortedVolumes() {
		if v.Attach != nil && v.Attach.Host == n.ID {
			return refuse(CodeBusy, "node %s holds volume %s: detach it or fail it over first", n.Name, v.Name)
		}
		if !v.Deleting && slices.ContainsFunc(v.Legs, func(l *Leg) bool { return l.Node == n.ID }) {
			return refuse(CodeBusy, "node %s has a leg of volume %s: drain or replace the node first", n.Name, v.Name)
		}
	}
	for _, d := range t.state.SortedDomains() {
		if d.Running && d.Host == n.ID {
			return refuse(CodeBusy, "domain %s runs on node %s: fail it over or stop it first", d.Name, n.Name)
		}
	}
	delete(t.state.Nodes, n.ID)
	t.state.Removed[n.ID] = t.at
	t.event(SeverityInfo, "node/"+n.Name, "node_removed", "node %s (%s) left the cluster", n.Name, n.ID.Short())
	t.tookOver(n)
	t.settleTombs(n.ID)
	t.dropHolder(n.ID)
	t.promotePending(n.Name)
	return nil
}

// tookOver notes with the heir of a node that left whose place it took.
func (t *txn) tookOver(left *Node) {
	heir := t.state.Nodes[left.ReplacedBy]
	if heir == nil || !t.state.Uses(2) { // the first release would not know the field
		return
	}
	next := *heir
	kept := heir.Predecessors[max(0, len(heir.Predecessors)-PredecessorsMax+1):]
	next.Predecessors = append(slices.Clone(kept), Predecessor{ID: left.ID, Name: left.Name})
	t.state.Nodes[next.ID] = &next
}

// settleTombs forgets the tombstones of a node that is gone, and the deleted legs that it had. What
// an older host might still read there stays granted: that the node left proves nothing about it.
func (t *txn) settleTombs(node volume.NodeID) {
	for id, tomb := range t.state.Tombs { // all of them, so the order of the map does not matter
		if tomb.Node == node {
			delete(t.state.Tombs, id)
		}
	}
	for _, v := range t.state.SortedVolumes() {
		if !v.Deleting {
			continue
		}
		v = t.edit(v)
		v.Legs = slices.DeleteFunc(v.Legs, func(l *Leg) bool { return l.Node == node })
		t.forgetIfGone(v)
	}
}

// promotePending makes the oldest node that waited for a name a full one, now that nobody has it.
func (t *txn) promotePending(name string) {
	var first *Node
	for _, n := range t.state.SortedNodes() {
		if n.Name == name && !n.Pending {
			return
		}
		if n.Name == name && (first == nil || n.Since.Before(first.Since)) {
			first = n
		}
	}
	if first != nil {
		full := *first
		full.Pending = false
		t.state.Nodes[full.ID] = &full
		t.event(SeverityInfo, "node/"+name, "node_added", "node %s joined", name)
	}
}
