package raft

import "github.com/holdfast-storage/holdfast/volume"

// Authorise returns why a command that came from a node over the network (from its daemon or from an
// engine on it) is none of its business, nil if it may be proposed. What the state makes of it is
// Apply's to say. It is a hint of the leader's present state; a superseded engine passes, so that
// Apply tells it that it is fenced.
func (s *State) Authorise(node volume.NodeID, c Command) *Refusal {
	if !c.EngineCommand() && !c.NodeCommand() {
		return invalid("command %q is for operators only", c.Name())
	}
	if c.RegisterNode == nil && s.stranger(node) {
		return invalid("node %s is not registered: it may register, and nothing else", node)
	}
	switch {
	case c.RegisterNode != nil:
		if c.RegisterNode.Node.ID != node {
			return invalid("a node registers itself only")
		}
	case c.LegProvisioned != nil:
		return s.ownsLeg(node, c.LegProvisioned.Leg)
	case c.LegLost != nil:
		return s.ownsLeg(node, c.LegLost.Leg)
	case c.LegDeleted != nil:
		return s.ownsLeg(node, c.LegDeleted.Leg)
	case c.NoteLabel != nil:
		return s.ownsLeg(node, c.NoteLabel.Leg)
	case c.AdoptLeg != nil:
		if c.AdoptLeg.Node != node {
			return invalid("a node reports its own legs only")
		}
	case c.BlobHeld != nil:
		if c.BlobHeld.Node != node {
			return invalid("a node speaks of its own files only")
		}
	case c.EndClones != nil:
		if c.EndClones.Node != node {
			return invalid("a node speaks of the clones that it has filled only")
		}
	case c.BeginAttach != nil:
		if c.BeginAttach.Host != node || c.BeginAttach.Renews.IsZero() || c.BeginAttach.AcceptLoss ||
			c.BeginAttach.Filling {
			return invalid("a node may only renew an attachment of its own")
		}
	case c.AbortMigration != nil:
		return s.guestOf(node, c.AbortMigration.Name)
	case c.SwitchMigration != nil:
		return s.guestOf(node, c.SwitchMigration.Name)
	case c.RequestDetach != nil:
		return s.holds(node, c.RequestDetach.Volume, c.RequestDetach.Epoch)
	case c.RecordFence != nil:
		return s.holds(node, c.RecordFence.Volume, c.RecordFence.Epoch)
	case c.Activate != nil:
		return s.holds(node, c.Activate.Volume, c.Activate.Epoch)
	case c.RemoveLeg != nil:
		return s.holds(node, c.RemoveLeg.Volume, c.RemoveLeg.Epoch)
	case c.AddLeg != nil:
		return s.holds(node, c.AddLeg.Volume, c.AddLeg.Epoch)
	case c.ConfirmCopy != nil:
		return s.holds(node, c.ConfirmCopy.Volume, c.ConfirmCopy.Epoch)
	case c.ConfirmConfig != nil:
		return s.holds(node, c.ConfirmConfig.Volume, c.ConfirmConfig.Epoch)
	case c.ReportScrub != nil:
		return s.holds(node, c.ReportScrub.Volume, c.ReportScrub.Epoch)
	case c.Detach != nil:
		return s.holds(node, c.Detach.Volume, c.Detach.Epoch)
	}
	return nil
}

// guestOf refuses a node that speaks of a domain's guest which is another host's. One whose guest has moved passes, so
// that Apply tells it.
func (s *State) guestOf(node volume.NodeID, name string) *Refusal {
	d := s.Domains[name]
	if d == nil || !d.Running || d.Host == node || d.Migration != nil && d.Migration.From == node {
		return nil
	}
	return invalid("domain %s is on %s, not on %s", name, s.NodeName(d.Host), s.NodeName(node))
}

// stranger reports whether a node has never registered. One that was removed is none: its engines hear from Apply that
// they are superseded.
func (s *State) stranger(node volume.NodeID) bool {
	_, removed := s.Removed[node]
	return s.Nodes[node] == nil && !removed
}

// ownsLeg refuses unless the leg is, or by its tombstone was, on the node. A leg that nobody knows
// passes: its tombstone was settled before.
func (s *State) ownsLeg(node volume.NodeID, leg volume.LegID) *Refusal {
	owner := node
	if _, l := s.LegByID(leg); l != nil {
		owner = l.Node
	} else if tomb, ok := s.Tombs[leg]; ok {
		owner = tomb.Node
	}
	if owner != node {
		return invalid("leg %s is on %s, not on %s", leg, s.NodeName(owner), s.NodeName(node))
	}
	return nil
}

// holds refuses a node that speaks in the current epoch of a volume which another host holds, or in
// one that is not granted yet: by the time the command is applied it may be another host's.
func (s *State) holds(node volume.NodeID, id volume.ID, e volume.Epoch) *Refusal {
	v := s.Volumes[id]
	switch {
	case v == nil:
		return nil
	case e > v.Epoch:
		return invalid("epoch %s of volume %s was never granted: it is at %s", e, v.Name, v.Epoch)
	case v.Attach == nil || v.Attach.Host == node || e != 0 && e < v.Epoch:
		return nil
	}
	return invalid("volume %s is held by %s, not by %s", v.Name, s.NodeName(v.Attach.Host), s.NodeName(node))
}
