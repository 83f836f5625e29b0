package control

import (
	"cmp"
	"slices"

	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// ChooseHost returns the host on which a domain should run now, of those that it may run on, live and
// are not avoid; nil if there is none. One that cannot get an image which the domain boots from comes last: a guest
// that shares a host is better than one that waits for ever. Of the others one without another running member of the
// domain's anti-affinity group comes first: a guest that has to share one is better than a guest that is down.
// Then one that has the images: elsewhere it would wait for them.
// Then the order of the domain's list decides, or, if it names none, which host has the fewest domains.
func (v *View) ChooseHost(spec raft.DomainSpec, avoid volume.NodeID) *raft.Node {
	if hosts := v.rankHosts(spec, avoid, v.missing(spec)); len(hosts) > 0 {
		return hosts[0]
	}
	return nil
}

// rankHosts returns the hosts of which ChooseHost takes the first.
func (v *View) rankHosts(spec raft.DomainSpec, avoid volume.NodeID,
	missing map[volume.NodeID]missingImages) []*raft.Node {
	var hosts []*raft.Node
	if len(spec.Hosts) == 0 {
		hosts = v.hosts(avoid)
	}
	for i, name := range spec.Hosts { // the list decides, however busy they are
		n := v.State.NodeByName(name)
		if n != nil && n.ID != avoid && v.hostable(n) && slices.Index(spec.Hosts, name) == i {
			hosts = append(hosts, n)
		}
	}
	members := v.members(spec)
	slices.SortStableFunc(hosts, func(a, b *raft.Node) int {
		x, y := missing[a.ID], missing[b.ID]
		return cmp.Or(cmp.Compare(min(x.hopeless, 1), min(y.hopeless, 1)),
			cmp.Compare(members[a.ID], members[b.ID]), cmp.Compare(x.images, y.images))
	})
	return hosts
}

// members counts the other running members of a domain's anti-affinity group on each host.
func (v *View) members(spec raft.DomainSpec) map[volume.NodeID]int {
	if spec.AntiAffinity == "" {
		return nil
	}
	count := make(map[volume.NodeID]int)
	for _, d := range v.State.Domains {
		if d.Spec.AntiAffinity == spec.AntiAffinity && d.Name != spec.Name && d.Running {
			count[d.Host]++
		}
	}
	return count
}

// leastBusy returns the live host with the fewest domains and attachments, by name among equals.
func (v *View) leastBusy(avoid volume.NodeID) *raft.Node {
	if hosts := v.hosts(avoid); len(hosts) > 0 {
		return hosts[0]
	}
	return nil
}

// hosts returns the hosts that take new work and are not avoid, least busy first, by name among equals.
func (v *View) hosts(avoid volume.NodeID) []*raft.Node {
	busy := make(map[volume.NodeID]int)
	for _, d := range v.State.Domains {
		busy[d.Host]++
	}
	for _, vol := range v.State.Volumes {
		if vol.Attach != nil {
			busy[vol.Attach.Host]++
		}
	}
	hosts := slices.DeleteFunc(v.State.SortedNodes(), func(n *raft.Node) bool {
		return n.ID == avoid || !v.hostable(n)
	})
	slices.SortStableFunc(hosts, func(a, b *raft.Node) int { return cmp.Compare(busy[a.ID], busy[b.ID]) })
	return hosts
}

// after returns the view on what the state is once a command is applied, so that the decisions of one
// round know of each other.
func (v *View) after(c raft.Command) *View {
	next := *v
	next.State = v.State.After(c) // what is refused changes nothing
	return &next
}
