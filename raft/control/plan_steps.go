package control

import (
	"slices"
	"strings"

	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// describe says what a command does to the state as it is, and what is worse for it.
func (p *planner) describe(c raft.Command) (steps []Step, risks []string) {
	switch {
	case c.RetireNode != nil:
		return p.describeRetire(c.RetireNode)
	case c.RemoveNode != nil:
		name := p.leaver(c.RemoveNode.Node)
		return []Step{{Action: ActionLeave, Object: "node/" + name, From: name}}, nil
	case c.ReplaceLeg != nil:
		return p.describeReplaceLeg(c.ReplaceLeg)
	case c.DeleteVolume != nil:
		return p.describeDelete(c.DeleteVolume)
	case c.ForcePromote != nil:
		return p.describePromote(c.ForcePromote)
	case c.BeginAttach != nil:
		return p.describeAttach(c.BeginAttach)
	case c.RequestDetach != nil:
		return p.describeDetach(c.RequestDetach)
	case c.PlaceDomain != nil:
		return p.describePlace(c.PlaceDomain)
	case c.BeginMigration != nil:
		return p.describeMigration(c.BeginMigration)
	case c.BeginDrill != nil:
		return p.describePlace(&c.BeginDrill.Place)
	}
	return nil, nil
}

// leaver returns the name of a node that is to leave; the id of one that has none.
func (p *planner) leaver(id volume.NodeID) string {
	if n := p.State.Nodes[id]; n != nil {
		return n.Name
	}
	if j := p.State.Admitted(id.String()); j != nil {
		return j.Name
	}
	return id.String()
}

func (p *planner) describeRetire(c *raft.RetireNode) ([]Step, []string) {
	n := p.State.Nodes[c.Node]
	if n == nil {
		return nil, nil
	}
	s := Step{Action: ActionRetire, Object: "node/" + n.Name, From: n.Name, Note: "it is emptied and leaves"}
	if c.Stay {
		s.Note = "it is emptied and stays a member"
	}
	if heir := p.State.Nodes[c.By]; heir != nil {
		s.To, s.Note = heir.Name, sprintf("%s (%s) takes its place", heir.Name, heir.ID.Short())
	}
	if p.votes(c.Node) {
		s.Note += "; it votes as a coordinator: another takes its vote"
	}
	return []Step{s}, nil
}

func (p *planner) describeReplaceLeg(c *raft.ReplaceLeg) ([]Step, []string) {
	vol := p.State.Volumes[c.Volume]
	if vol == nil || vol.Leg(c.Old) == nil {
		return nil, nil
	}
	old := vol.Leg(c.Old)
	s := Step{Action: ActionCopy, Object: "volume/" + vol.Name, From: p.State.NodeName(old.Node),
		To: p.State.NodeName(c.New.Node), Bytes: p.dataBytes(vol), InSync: p.readable(vol), Legs: vol.Layout.Legs()}
	if old.Node == c.New.Node {
		s.From, s.To = p.storeName(old.Node, old.Store), p.storeName(c.New.Node, c.New.Store)
	}
	_, condition := p.Leg(old)
	serves := old.State == volume.LegInSync && condition == ConditionOK
	s.Note = "the old leg serves until the new one is in sync"
	if !serves {
		s.Note = "the old leg does not serve"
	}
	var risks []string
	for _, l := range vol.Legs {
		if _, condition := p.Leg(l); l.State == volume.LegInSync && condition == ConditionOK {
			s.source = p.State.NodeName(l.Node)
			if l.ID != c.Old {
				break
			}
		}
	}
	switch {
	case s.InSync == 0:
		risks = append(risks, sprintf("volume %s has no readable leg in sync: nothing can be copied before one is back",
			vol.Name))
	case s.InSync <= vol.Layout.Quorum() && vol.Layout.Legs() > 1:
		risks = append(risks, sprintf("volume %s has %d of %d legs until the copy is in sync: if %s fails it stops",
			vol.Name, s.InSync, s.Legs, s.source))
	}
	return []Step{s}, risks
}

// describeMoves says what a rebalancing does. Every leg is in sync, or nothing would move.
func (p *planner) describeMoves() (steps []Step) {
	then := p.State
	for _, m := range p.Moves() {
		vol := then.Volumes[m.Volume]
		old := vol.Leg(m.Old)
		steps = append(steps, Step{Action: ActionCopy, Object: "volume/" + vol.Name,
			From: p.storeName(old.Node, old.Store), To: p.storeName(m.New.Node, m.New.Store),
			Bytes: p.dataBytes(p.State.Volumes[m.Volume]), InSync: vol.Layout.Legs(), Legs: vol.Layout.Legs(),
			Note:   "the old leg serves until the new one is in sync",
			source: p.State.NodeName(old.Node)})
		then = then.Settled(m.Volume, m.Old, m.New)
	}
	return steps
}

// storeName names a store with its node.
func (v *View) storeName(node volume.NodeID, store volume.StoreID) string {
	if n := v.State.Nodes[node]; n != nil {
		for _, st := range n.Stores {
			if st.ID == store {
				return n.Name + "/" + st.Name
			}
		}
	}
	return v.State.NodeName(node)
}

func (p *planner) describeDelete(c *raft.DeleteVolume) ([]Step, []string) {
	vol := p.State.Volumes[c.Volume]
	if vol == nil || vol.Deleting {
		return nil, nil
	}
	var steps []Step
	for _, l := range vol.Legs {
		fact, condition := p.Leg(l)
		s := Step{Action: ActionDelete, Object: "volume/" + vol.Name, From: p.State.NodeName(l.Node),
			Bytes: fact.UsedBytes}
		if condition == ConditionUnreachable {
			s.Note = "it is silent, and deletes its leg when it returns"
		}
		steps = append(steps, s)
	}
	return steps, []string{sprintf("all data of volume %s (%s) is gone for good", vol.Name,
		volume.FormatSize(vol.SizeBytes))}
}

func (p *planner) describePromote(c *raft.ForcePromote) ([]Step, []string) {
	vol := p.State.Volumes[c.Volume]
	if vol == nil || vol.Leg(c.Leg) == nil {
		return nil, nil
	}
	object := "volume/" + vol.Name
	var steps []Step
	for _, l := range vol.Legs {
		fact, condition := p.Leg(l)
		s := Step{Action: ActionGiveUp, Object: object, From: p.State.NodeName(l.Node)}
		s.Note = sprintf("leg %s is %s, its node says: %s", l.ID.Short(), l.State, condition)
		if fact.CfgVer != 0 {
			s.Note += sprintf(", cfgver %s", fact.CfgVer)
		}
		if l.ID == c.Leg {
			s.Action, s.From, s.To = ActionPromote, "", s.From
			steps = append([]Step{s}, steps...)
		} else if l.Provisioned {
			steps = append(steps, s)
		}
	}
	return steps, []string{
		sprintf("volume %s goes on from leg %s on %s alone, %s", vol.Name, c.Leg.Short(),
			p.State.NodeName(vol.Leg(c.Leg).Node), p.State.PromotionCost(c.Volume, c.Leg)),
		"what is given up is kept on its node and never used again, acknowledged writes among it",
	}
}

func (p *planner) describeAttach(c *raft.BeginAttach) ([]Step, []string) {
	vol := p.State.Volumes[c.Volume]
	if vol == nil {
		return nil, nil
	}
	object, to := "volume/"+vol.Name, p.State.NodeName(c.Host)
	var steps []Step
	var risks []string
	if a := vol.Attach; a != nil && !a.NoGuests() {
		from := p.State.NodeName(a.Host)
		steps = append(steps, Step{Action: ActionFence, Object: object, From: from,
			Note: "none of its writes lands any more; what it did not acknowledge may be lost, a guest is killed"})
		if d := p.State.DomainOf(vol.Name); d != nil {
			risks = append(risks, sprintf("domain %s runs on %s with volume %s: it is killed there", d.Name, from,
				vol.Name))
		}
	}
	steps = append(steps, Step{Action: ActionAttach, Object: object, To: to, InSync: p.readable(vol),
		Legs: vol.Layout.Legs(), Note: sprintf("in the epoch after %s", vol.Epoch)})
	if c.AcceptLoss {
		risks = append(risks, sprintf("volume %s is activated although writes that were not flushed may be lost, or, "+
			"if every leg was set back, all that was written since%s", vol.Name, p.away(vol)))
	}
	return steps, risks
}

// away names the nodes whose legs in sync cannot be read now, as the end of a sentence: what only they
// have is given up.
func (v *View) away(vol *raft.Volume) string {
	var names []string
	for _, l := range vol.Legs {
		if _, condition := v.Leg(l); slices.Contains(vol.InSync, l.ID) && condition != ConditionOK {
			names = append(names, sprintf("%s (%s)", v.State.NodeName(l.Node), condition))
		}
	}
	if len(names) == 0 {
		return ""
	}
	return "; legs in sync that cannot be read now: " + strings.Join(names, ", ")
}

func (p *planner) describeDetach(c *raft.RequestDetach) ([]Step, []string) {
	vol := p.State.Volumes[c.Volume]
	if vol == nil || vol.Attach == nil || vol.Attach.NoGuests() {
		return nil, nil
	}
	host := p.State.NodeName(vol.Attach.Host)
	var risks []string
	if d := p.State.DomainOf(vol.Name); d != nil {
		risks = append(risks, sprintf("domain %s, which runs on %s, loses its disk: holdfast domain stop %s first",
			d.Name, host, d.Name))
	}
	if p.Condition(vol.Attach.Host) == raft.NodeDead {
		risks = append(risks, sprintf("%s is silent, so the detach is not clean: the next attach reconciles", host))
	}
	return []Step{{Action: ActionDetach, Object: "volume/" + vol.Name, From: host,
		Note: "its export ends when all is flushed"}}, risks
}

func (p *planner) describePlace(c *raft.PlaceDomain) ([]Step, []string) {
	d := p.State.Domains[c.Name]
	if d == nil {
		return nil, nil
	}
	to := p.State.NodeName(c.Host)
	s := Step{Action: ActionMove, Object: "domain/" + d.Name, To: to, Note: "it starts"}
	if d.Running {
		s.From, s.Note = p.State.NodeName(d.Host), "it is killed on the one and starts as a clone on the other"
	}
	steps := []Step{s}
	var risks []string
	for _, used := range d.Spec.Volumes {
		vol := p.State.VolumeByName(used.Name)
		if vol == nil || vol.Attach != nil && vol.Attach.Host == c.Host {
			continue
		}
		attach, _ := p.describeAttach(&raft.BeginAttach{Volume: vol.ID, Host: c.Host})
		steps = append(steps, attach...)
		if p.readable(vol) < vol.Layout.Quorum() {
			risks = append(risks, sprintf("volume %s has no readable leg in sync: domain %s waits for one%s", vol.Name,
				d.Name, p.away(vol)))
		}
	}
	if d.Running && d.Paused {
		risks = append(risks, sprintf("domain %s is paused: what its guest has in memory is lost, and it starts anew "+
			"on %s when it is resumed", d.Name, to))
	}
	return steps, append(risks, p.crowds(d, c.Host)...)
}

// crowds says what is worse for a domain that shares a host with others that it keeps away from.
func (p *planner) crowds(d *raft.Domain, host volume.NodeID) []string {
	n := p.members(d.Spec)[host]
	if n == 0 {
		return nil
	}
	return []string{sprintf("domain %s shares host %s with %d of its anti-affinity group", d.Name,
		p.State.NodeName(host), n)}
}

func (p *planner) describeMigration(c *raft.BeginMigration) ([]Step, []string) {
	d := p.State.Domains[c.Name]
	if d == nil {
		return nil, nil
	}
	object, from, to := "domain/"+d.Name, p.State.NodeName(d.Host), p.State.NodeName(c.Host)
	steps := []Step{{Action: ActionMigrate, Object: object, From: from, To: to,
		Note: "its memory is copied while it runs; it stands still for the last part, and then goes on"}}
	for _, used := range d.Spec.Volumes {
		vol := p.State.VolumeByName(used.Name)
		if vol == nil {
			continue
		}
		steps = append(steps, Step{Action: ActionDetach, Object: "volume/" + vol.Name, From: from,
			Note: "when the guest is on " + to + " as a whole; taken over if that takes too long"})
		attach, _ := p.describeAttach(&raft.BeginAttach{Volume: vol.ID, Host: c.Host})
		steps = append(steps, attach[len(attach)-1]) // what comes before is for one that is taken
	}
	risks := []string{sprintf("if %s fails when the guest has moved and does not run yet, it starts anew from its "+
		"disks", to)}
	return steps, append(risks, p.crowds(d, c.Host)...)
}
