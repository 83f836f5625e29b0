package raft

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-storage/holdfast/volume"
)

// operationsSince is the cluster version that brought operations.
const operationsSince = 2

// beginOperation records a failover that this very entry decides. Another one of the same object ends.
func (t *txn) beginOperation(o Operation, silent time.Duration) {
	if !t.state.Uses(operationsSince) {
		return // a migration was refused before
	}
	t.superseded(o.Object, OperationSuperseded, "another move was decided")
	t.state.LastOperation++
	o.ID, o.At = t.state.LastOperation, t.at
	o.Reason = cmp.Or(o.Reason, "asked for")
	if silent > 0 {
		o.Stages = []OperationStage{{Name: StageSilent, At: -silent}}
	}
	t.state.Operations = append(t.state.Operations, &o)
	severity, kind := SeverityWarning, "failover_began"
	if o.Kind == OperationMigration {
		severity, kind = SeverityInfo, "migration_began"
	}
	t.event(severity, o.Object, kind, "operation %d: %s moves from %s to %s (%s)",
		o.ID, o.subject(), o.From, o.To, o.Reason)
	t.trimOperations()
}

// trimOperations forgets the oldest operations above OperationsMax that have ended.
func (t *txn) trimOperations() {
	surplus := len(t.state.Operations) - OperationsMax
	if surplus <= 0 {
		return
	}
	t.state.Operations = slices.DeleteFunc(slices.Clone(t.state.Operations), func(o *Operation) bool {
		if o.Running() || surplus == 0 {
			return false
		}
		surplus--
		return true
	})
}

// editOperation returns a copy of an operation which takes its place in the state.
func (t *txn) editOperation(o *Operation) *Operation {
	c := *o
	c.Grants = slices.Clone(o.Grants)
	t.state.Operations = slices.Clone(t.state.Operations)
	t.state.Operations[slices.Index(t.state.Operations, o)] = &c
	t.changed = true
	return &c
}

// superseded ends the operation that runs on an object, if one does, without its being done.
func (t *txn) superseded(object string, result OperationResult, why string) {
	o := t.state.OperationOf(object)
	if o == nil {
		return
	}
	o = t.editOperation(o)
	o.Result, o.Message = result, why
	t.drillMoved(o)
	t.migrationEnded(o)
	t.event(SeverityInfo, object, o.endedKind(), "operation %d: the move of %s to %s is %s: %s",
		o.ID, o.subject(), o.To, result, why)
}

// subject names the operation's object in a sentence.
func (o *Operation) subject() string { return strings.Replace(o.Object, "/", " ", 1) }

// endOperation records that an operation is done.
func (t *txn) endOperation(c *EndOperation) *Refusal {
	o := t.state.OperationByID(c.ID)
	switch {
	case o == nil:
		return refuse(CodeNotFound, "no operation has the number %d", c.ID)
	case !o.Running():
		return nil
	}
	if m := t.state.MigrationOf(o); m != nil && !m.Switched {
		return refuse(CodeWait, "operation %d: the guest has not moved yet", o.ID)
	}
	o = t.editOperation(o)
	o.Stages, o.Result, o.Message = slices.Clone(c.Stages), OperationDone, c.Message
	t.drillMoved(o)
	t.migrationEnded(o)
	total := time.Duration(0)
	for _, s := range o.Stages {
		total = max(total, s.At)
	}
	since := ""
	if silent, ok := o.Stage(StageSilent); ok {
		since = ", " + brief(total-silent) + " after " + o.From + " was heard last"
	}
	t.event(SeverityInfo, o.Object, o.endedKind(), "operation %d: %s has moved from %s to %s in %s%s",
		o.ID, o.subject(), o.From, o.To, brief(total), since)
	return nil
}

func brief(d time.Duration) string { return d.Round(time.Millisecond).String() }

// grantActive notes in the operation that granted an epoch how the wait for older reads was honoured.
func (t *txn) grantActive(v *Volume, waited bool) {
	for _, o := range t.state.Operations {
		i := slices.IndexFunc(o.Grants, func(g OperationGrant) bool { return g.Volume == v.ID && g.Epoch == v.Epoch })
		if i < 0 || !o.Running() {
			continue
		}
		t.editOperation(o).Grants[i].TRead = map[bool]string{false: TReadSkipped, true: TReadWaited}[waited]
		return
	}
}

// grantMoved lets operations follow a new grant: one by the same host, whose engine has ended, goes on with
// its new epoch; a volume that another host gets is taken from the operation that moved it before.
func (t *txn) grantMoved(v *Volume, old *Attach) {
	if old == nil {
		return
	}
	if old.Host != v.Attach.Host {
		t.superseded("volume/"+v.Name, OperationSuperseded, "another move was decided")
		return
	}
	for _, o := range t.state.Operations {
		i := slices.IndexFunc(o.Grants, func(g OperationGrant) bool { return g.Volume == v.ID })
		if i >= 0 && o.Running() {
			g := &t.editOperation(o).Grants[i]
			g.Epoch, g.TRead = v.Epoch, ""
			return
		}
	}
}

// moved returns the operation of a volume that an operator takes from another host, false if the grant is
// no such thing.
func (t *txn) moved(v *Volume, c *BeginAttach) (Operation, bool) {
	old := v.Attach
	if old == nil || old.NoGuests() || c.Maintenance || old.Host == c.Host {
		return Operation{}, false
	}
	return Operation{
		Kind: OperationTakeover, Object: "volume/" + v.Name, Reason: c.Reason,
		From: t.state.NodeName(old.Host), To: t.state.NodeName(c.Host),
	}, true
}

// openToOthers returns the legs that an older host may still read: those that the current epoch has not
// fenced. While there are any, Activate waits for 1.25·T_read (protocol §1.6).
func (v *Volume) openToOthers() []volume.LegID {
	open := without(slices.Concat(v.InSync, v.Granted), v.fenced)
	sortLegs(open)
	return slices.Compact(open)
}

// OpenToOthers returns the nodes of the legs that an older host may still read, since the epoch that is
// being attached has not fenced them. While there are any, Activate waits for 1.25·T_read. It is empty for
// a volume that is not being attached.
func (s *State) OpenToOthers(v *Volume) []string {
	if v.Phase != volume.PhaseAttaching {
		return nil
	}
	var nodes []string
	for _, id := range v.openToOthers() {
		name := "a node that is no longer part of it"
		if l := v.Leg(id); l != nil {
			name = s.NodeName(l.Node)
		}
		nodes = append(nodes, name)
	}
	return nodes
}

// followRun lets the operation of a domain that is started again on the host it moved to wait for that
// start.
func (t *txn) followRun(d *Domain, grants []OperationGrant) {
	o := t.state.OperationOf("domain/" + d.Name)
	if o == nil {
		return
	}
	if d.Migration != nil && !d.Migration.Switched {
		t.superseded(o.Object, OperationAborted, "the guest was started again where it is")
		return
	}
	o = t.editOperation(o)
	o.Run = d.Run
	t.drillMoved(o)
	for i := range grants {
		for _, g := range o.Grants {
			if g.Volume == grants[i].Volume && g.Epoch == grants[i].Epoch {
				grants[i].TRead = g.TRead
			}
		}
	}
	o.Grants = grants
}
