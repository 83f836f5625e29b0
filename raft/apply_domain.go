package raft

import (
	"cmp"
	"reflect"
	"slices"
	"strings"

	"github.com/holdfast-storage/holdfast/domain/guest"
	"github.com/holdfast-storage/holdfast/volume"
)

// editDomain returns a copy of a domain which takes its place in the state. The specification's
// slices are shared: whoever changes them clones them first.
func (t *txn) editDomain(d *Domain) *Domain {
	c := *d
	t.state.Domains[d.Name], t.changed = &c, true
	return &c
}

func (t *txn) domain(name string) (*Domain, *Refusal) {
	if d := t.state.Domains[name]; d != nil {
		return d, nil
	}
	return nil, refuse(CodeNotFound, "no domain has the name %q", name)
}

// defineDomain adds a domain or changes one that is stopped.
func (t *txn) defineDomain(c *DefineDomain) *Refusal {
	if err := c.Spec.Check(); err != nil {
		return invalid("%v", err)
	}
	if !t.state.Uses(2) && c.Spec.Driver != driverExec {
		return refuse(CodeWait, "domain %s: a driver other than exec needs cluster version 2, the cluster is at %d: "+
			"it is raised once every coordinator runs a release that understands it", c.Spec.Name, t.state.Version)
	}
	if r := t.checkPins(c.Spec); r != nil {
		return r
	}
	d := t.state.Domains[c.Spec.Name]
	switch {
	case d == nil && c.ID.IsZero():
		return invalid("domain %s: it needs an id", c.Spec.Name)
	case d == nil:
		if r := t.refuseSameUUID(c.Spec); r != nil {
			return r
		}
		added := &Domain{Name: c.Spec.Name, ID: c.ID, Spec: c.Spec.clone()}
		if t.state.Uses(2) {
			added.Salt = t.state.Cluster.ID
		}
		t.state.Domains[c.Spec.Name] = added
		t.event(SeverityInfo, "domain/"+c.Spec.Name, "domain_defined", "domain %s is defined", c.Spec.Name)
		return nil
	case reflect.DeepEqual(d.Spec, c.Spec.clone()):
		return nil
	case d.Running:
		return refuse(CodeBusy, "domain %s runs on %s: stop it before its definition changes",
			d.Name, t.state.NodeName(d.Host))
	}
	if r := t.refuseSameUUID(c.Spec); r != nil {
		return r
	}
	d = t.editDomain(d)
	if was := d.Spec.Machine.Pins(); was != c.Spec.Machine.Pins() {
		d.Before = was
	}
	d.Spec = c.Spec.clone()
	t.event(SeverityInfo, "domain/"+d.Name, "domain_defined", "the definition of domain %s has changed", d.Name)
	return nil
}

// refuseSameUUID refuses a definition that gives a guest the UUID which that of another domain gives. Hosts know guests
// by it: of two with one UUID on one host, one would not start, or be taken for the other.
func (t *txn) refuseSameUUID(spec DomainSpec) *Refusal {
	uuid := spec.uuid()
	if uuid == "" {
		return nil
	}
	for _, other := range t.state.SortedDomains() {
		if other.Name != spec.Name && other.Spec.uuid() == uuid {
			return refuse(CodeExists, "domain %s: %s.uuid %s is that of domain %s too: give it another one, or leave "+
				"it out", spec.Name, spec.Driver, uuid, other.Name)
		}
	}
	return nil
}

// deleteDomain forgets a stopped domain.
func (t *txn) deleteDomain(c *DeleteDomain) *Refusal {
	d, r := t.domain(c.Name)
	if r != nil {
		return r
	}
	if d.Running {
		return refuse(CodeBusy, "domain %s runs on %s: stop it first", d.Name, t.state.NodeName(d.Host))
	}
	delete(t.state.Domains, d.Name)
	t.forgetDrills("domain/" + d.Name)
	t.event(SeverityInfo, "domain/"+d.Name, "domain_deleted", "domain %s is deleted; its volumes stay", d.Name)
	return nil
}

// placeDomain starts or moves a domain and grants its host all its volumes, or does nothing at all.
func (t *txn) placeDomain(c *PlaceDomain) *Refusal {
	d, r := t.domain(c.Name)
	if r != nil {
		return r
	}
	if d.Running && d.Host == c.Host && d.Run == c.Run+1 {
		return nil // the same decision, taken twice
	}
	switch {
	case d.Run != c.Run:
		return refuse(CodeRetry, "domain %s is at run %d, not %d: look again", d.Name, d.Run, c.Run)
	case len(c.Attach) != len(d.Spec.Volumes):
		return invalid("domain %s has %d volumes, %d attachments came with it",
			d.Name, len(d.Spec.Volumes), len(c.Attach))
	}
	host, r := t.takes(d, c.Host)
	if r != nil {
		return r
	}
	var grants []OperationGrant
	for i, use := range d.Spec.Volumes {
		if r := t.placeVolume(d, use.Name, c, c.Attach[i]); r != nil {
			return r
		}
		v := t.state.VolumeByName(use.Name)
		grants = append(grants, OperationGrant{Volume: v.ID, Name: v.Name, Epoch: v.Epoch})
	}
	kind, severity, from := "domain_started", SeverityInfo, ""
	moves, old := d.Running && d.Host != c.Host, t.state.NodeName(d.Host)
	if d.Running {
		kind, severity, from = "domain_moved", SeverityWarning, ", moved from "+old
	}
	d = t.editDomain(d)
	d.Running, d.Host = true, c.Host
	d.Run++
	d.Boots = d.Spec.Machine.Pins()
	t.event(severity, "domain/"+d.Name, kind, "domain %s is to run on %s%s (%s)",
		d.Name, host.Name, from, cmp.Or(c.Reason, "asked for"))
	if moves {
		t.beginOperation(Operation{
			Kind: OperationFailover, Object: "domain/" + d.Name, Reason: c.Reason, From: old, To: host.Name,
			Domain: d.Name, Run: d.Run, Grants: grants,
		}, c.Silent)
	} else {
		t.followRun(d, grants)
	}
	return nil
}

// takes returns the node of this id if it may run a domain.
func (t *txn) takes(d *Domain, id volume.NodeID) (*Node, *Refusal) {
	host := t.state.Nodes[id]
	switch {
	case host == nil:
		return nil, refuse(CodeNotFound, "domain %s: no node has the id %s", d.Name, id)
	case !host.Has(RoleHost) || host.Pending || host.Retiring:
		return nil, invalid("domain %s: node %s takes no guests (it needs the role host and must not be drained "+
			"or replaced)", d.Name, host.Name)
	case len(d.Spec.Hosts) > 0 && !slices.Contains(d.Spec.Hosts, host.Name):
		return nil, invalid("domain %s may run on %s, not on %s: change its definition",
			d.Name, strings.Join(d.Spec.Hosts, ", "), host.Name)
	}
	return host, nil
}

// placeVolume grants one volume of a domain to its host, unless the host holds it.
func (t *txn) placeVolume(d *Domain, name string, c *PlaceDomain, id volume.AttachID) *Refusal {
	v := t.state.VolumeByName(name)
	if v == nil {
		return refuse(CodeNotFound, "domain %s: there is no volume %s: create it first", d.Name, name)
	}
	if user := t.state.DomainOf(name); user != nil && user.Name != d.Name {
		return refuse(CodeBusy, "domain %s: volume %s is used by domain %s, which runs on %s",
			d.Name, name, user.Name, t.state.NodeName(user.Host))
	}
	a := v.Attach
	if a != nil && a.Host == c.Host && !a.NoGuests() && !a.Detaching && v.Phase != volume.PhaseFrozen {
		if a.Domain != d.Name {
			t.edit(v).Attach.Domain = d.Name
		}
		return nil
	}
	begin := &BeginAttach{Volume: v.ID, Host: c.Host, AttachID: id, Takeover: c.Takeover, TRead: c.TRead}
	if r := t.mayAttach(v, begin); r != nil {
		return &Refusal{Code: r.Code, Message: "domain " + d.Name + ": " + r.Message, Legs: r.Legs}
	}
	if r := t.grant(v, begin); r != nil {
		return r
	}
	t.state.Volumes[v.ID].Attach.Domain = d.Name // grant made this copy
	return nil
}

// stopDomain wants a domain not to run. Run grows, so that a move which was decided before is
// refused.
func (t *txn) stopDomain(c *StopDomain) *Refusal {
	d, r := t.domain(c.Name)
	if r != nil {
		return r
	}
	switch {
	case !d.Running:
		return nil
	case c.Run != 0 && d.Run != c.Run:
		return refuse(CodeRetry, "domain %s is at run %d, not %d: look again", d.Name, d.Run, c.Run)
	}
	host, why := t.state.NodeName(d.Host), ""
	if c.Reason != "" {
		why = " (" + c.Reason + ")"
	}
	d = t.editDomain(d)
	d.Running, d.Host, d.Paused = false, volume.NodeID{}, false
	d.Boots = guest.Pins{}
	d.Run++
	t.superseded("domain/"+d.Name, OperationCancelled, "the domain was stopped")
	t.event(SeverityInfo, "domain/"+d.Name, "domain_stopped", "domain %s is to stop on %s%s", d.Name, host, why)
	return nil
}
