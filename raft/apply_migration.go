package raft

import (
	"cmp"
	"slices"

	"github.com/holdfast-storage/holdfast/volume"
)

// beginMigration begins a migration of a guest that runs, if nothing else moves it.
func (t *txn) beginMigration(c *BeginMigration) *Refusal {
	if c.Request.IsZero() {
		return invalid("a migration needs an id of its request")
	}
	d, r := t.domain(c.Name)
	if r != nil {
		return r
	}
	if slices.ContainsFunc(t.state.Operations, func(o *Operation) bool { return o.Request == c.Request }) {
		return nil // the same decision, taken twice: also once it was given up, which leaves the run as it is
	}
	object := "domain/" + d.Name
	last, running := t.state.DrillOf(object), t.state.OperationOf(object)
	switch {
	case d.Run != c.Run:
		return refuse(CodeRetry, "domain %s is at run %d, not %d: look again", d.Name, d.Run, c.Run)
	case !d.Running:
		return invalid("domain %s is stopped: a guest that runs is migrated", d.Name)
	case d.Spec.Driver != DriverQEMU:
		return invalid("domain %s: a guest of the driver %s cannot move while it runs, one of %s can: "+
			"holdfast domain failover starts it anew elsewhere", d.Name, d.Spec.Driver, DriverQEMU)
	case d.Paused:
		return invalid("domain %s is paused: a guest that runs is migrated, so resume it first: "+
			"holdfast domain resume %s", d.Name, d.Name)
	case d.Host == c.Host:
		return invalid("domain %s runs on %s already: a migration moves it to another host", d.Name,
			t.state.NodeName(d.Host))
	case last != nil && last.Running():
		return refuse(CodeBusy, "domain %s: drill %d of it goes on", d.Name, last.ID)
	case running != nil:
		return refuse(CodeBusy, "domain %s: operation %d moves it to %s now", d.Name, running.ID, running.To)
	}
	host, r := t.takes(d, c.Host)
	if r != nil {
		return r
	}
	for _, use := range d.Spec.Volumes {
		if r := t.holdsFor(d, use.Name, 0); r != nil {
			return r
		}
	}
	t.beginOperation(Operation{
		Kind: OperationMigration, Object: object, Reason: cmp.Or(c.Reason, "asked for"),
		From: t.state.NodeName(d.Host), To: host.Name, Domain: d.Name, Run: d.Run + 1,
		Request: c.Request,
	}, 0)
	d = t.editDomain(d)
	d.Migration = &Migration{Operation: t.state.LastOperation, From: d.Host, To: c.Host, Run: d.Run + 1}
	return nil
}

// holdsFor refuses unless the host of a domain holds a volume of it, in this epoch if it is not zero.
func (t *txn) holdsFor(d *Domain, name string, epoch volume.Epoch) *Refusal {
	v := t.state.VolumeByName(name)
	switch {
	case v == nil:
		return refuse(CodeNotFound, "domain %s: there is no volume %s", d.Name, name)
	case v.Attach == nil || v.Attach.Host != d.Host || v.Attach.NoGuests() || v.Attach.Detaching ||
		v.Phase != volume.PhaseAttached:
		return refuse(CodeWait, "domain %s: volume %s is not attached to %s", d.Name, name, t.state.NodeName(d.Host))
	case epoch != 0 && v.Epoch != epoch:
		return refuse(CodeStale, "domain %s: volume %s is at epoch %s, not %s: the guest of that one is gone",
			d.Name, name, v.Epoch, epoch)
	}
	return nil
}

// abortMigration ends a migration that has not switched.
func (t *txn) abortMigration(c *AbortMigration) *Refusal {
	d, r := t.domain(c.Name)
	if r != nil {
		return r
	}
	if !d.Running && d.Run == c.Run+1 {
		return nil // what ended this run was a stop, and no switch: see AbortMigration
	}
	if !d.Running || d.Run != c.Run {
		return refuse(CodeStale, "domain %s is at run %d, not %d: nothing of that one runs on", d.Name, d.Run, c.Run)
	}
	if m := d.Migration; m != nil && m.Operation == c.ID {
		if m.Switched {
			return refuse(CodeStale, "domain %s: operation %d has switched, the guest is on %s", d.Name, c.ID,
				t.state.NodeName(m.To))
		}
		t.superseded("domain/"+d.Name, OperationAborted, cmp.Or(c.Reason, "asked for"))
	}
	return nil
}

// switchMigration makes the domain the new host's and has the old one detach its volumes.
func (t *txn) switchMigration(c *SwitchMigration) *Refusal {
	d, r := t.domain(c.Name)
	if r != nil {
		return r
	}
	m := d.Migration
	if m != nil && m.Operation == c.ID && m.Switched && m.Run == c.Run+1 {
		return nil // the same, told twice
	}
	switch {
	case m == nil || m.Operation != c.ID || m.Switched || t.state.OperationByID(c.ID) == nil:
		return refuse(CodeStale, "domain %s: operation %d does not move it any more", d.Name, c.ID)
	case !d.Running || d.Run != c.Run || d.Host != m.From || m.Run != c.Run+1:
		return refuse(CodeStale, "domain %s is at run %d on %s: operation %d cannot move it any more", d.Name, d.Run,
			t.state.NodeName(d.Host), c.ID)
	case len(c.Epochs) != len(d.Spec.Volumes) || slices.Contains(c.Epochs, 0):
		return invalid("domain %s has %d volumes, the guest names epochs of %d", d.Name, len(d.Spec.Volumes),
			len(c.Epochs))
	}
	host, r := t.takes(d, m.To)
	if r != nil {
		return r
	}
	for i, use := range d.Spec.Volumes {
		if r := t.holdsFor(d, use.Name, c.Epochs[i]); r != nil {
			return r
		}
	}
	for _, use := range d.Spec.Volumes {
		t.edit(t.state.VolumeByName(use.Name)).Attach.Detaching = true
	}
	d = t.editDomain(d)
	switched := *m
	switched.Switched = true
	d.Migration, d.Host = &switched, m.To
	d.Run++
	o := t.editOperation(t.state.OperationByID(c.ID))
	o.Stages = append(slices.Clip(o.Stages), OperationStage{Name: StageSwitched, At: max(0, t.at.Sub(o.At))})
	t.event(SeverityInfo, "domain/"+d.Name, "domain_moved", "domain %s is on %s now, where it runs on: "+
		"it is over on %s (operation %d)", d.Name, host.Name, t.state.NodeName(m.From), c.ID)
	return nil
}

// grantMigration grants the volumes of a domain that has switched to its host.
func (t *txn) grantMigration(c *GrantMigration) *Refusal {
	d, r := t.domain(c.Name)
	if r != nil {
		return r
	}
	m, o := d.Migration, t.state.OperationByID(c.ID)
	switch {
	case m == nil || o == nil || m.Operation != c.ID || !m.Switched || !d.Running || d.Run != m.Run || d.Host != m.To:
		return refuse(CodeStale, "domain %s: operation %d has nothing to grant", d.Name, c.ID)
	case len(c.Attach) != len(d.Spec.Volumes):
		return invalid("domain %s has %d volumes, %d attachments came with it",
			d.Name, len(d.Spec.Volumes), len(c.Attach))
	}
	place := &PlaceDomain{Name: d.Name, Host: m.To, Takeover: c.Takeover, TRead: c.TRead}
	grants := slices.Clone(o.Grants)
	for i, use := range d.Spec.Volumes {
		v := t.state.VolumeByName(use.Name)
		if v == nil {
			continue
		}
		if how := d.Handover(v); how == HandoverDone || how == HandoverHeld && !c.Takeover {
			continue
		}
		if r := t.placeVolume(d, use.Name, place, c.Attach[i]); r != nil {
			return r
		}
		grants = slices.DeleteFunc(grants, func(g OperationGrant) bool { return g.Volume == v.ID })
		grants = append(grants, OperationGrant{Volume: v.ID, Name: v.Name, Epoch: t.state.Volumes[v.ID].Epoch})
	}
	t.editOperation(t.state.OperationByID(c.ID)).Grants = grants
	return nil
}

// migrationEnded lets the domain of an operation that has ended be moved by nothing.
func (t *txn) migrationEnded(o *Operation) {
	if t.state.MigrationOf(o) != nil {
		t.editDomain(t.state.Domains[o.Domain]).Migration = nil
	}
}
