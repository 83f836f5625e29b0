package control

import (
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// BeginDrill returns the command that moves a domain to a host as a drill.
func (v *View) BeginDrill(d *raft.Domain, to volume.NodeID, back bool, request volume.UUID) raft.Command {
	place := v.Place(d, to, "a drill")
	return raft.Command{BeginDrill: &raft.BeginDrill{Request: request, Back: back, Place: *place.PlaceDomain}}
}

// UnfitForDrill returns why the guest of a domain should not be moved now without need, "" if nothing is amiss:
// then it runs, every leg of its volumes is in sync, nothing moves it, and whoever has a vote is heard.
func (v *View) UnfitForDrill(d *raft.Domain) string {
	if v.Braked != "" {
		return "failover is braked: " + v.Braked
	}
	if last := v.State.DrillOf("domain/" + d.Name); last != nil && last.Running() {
		return sprintf("drill %d of it goes on: holdfast drill show %d", last.ID, last.ID)
	}
	if o := v.State.OperationOf("domain/" + d.Name); o != nil {
		return sprintf("operation %d moves it from %s to %s now", o.ID, o.From, o.To)
	}
	if v.State.Cluster.FromLegs {
		return "the coordinators were restored, and no operator has said yet that every leg was found"
	}
	if len(v.Mute) > 0 {
		return sprintf("coordinator %s has a vote and is not heard", v.State.NodeName(v.Mute[0]))
	}
	if !v.speaks(d.Host) {
		return sprintf("its host %s does not answer", v.State.NodeName(d.Host))
	}
	if d.Paused {
		return "it is paused: holdfast domain resume " + d.Name
	}
	if fact := v.Domain(d); fact == nil || fact.State != DomainRunning {
		return sprintf("the guest does not run on %s", v.State.NodeName(d.Host))
	}
	for _, use := range d.Spec.Volumes {
		vol := v.State.VolumeByName(use.Name)
		if vol == nil {
			return sprintf("there is no volume %s", use.Name)
		}
		if why := v.NotWhole(vol); why != "" {
			return why
		}
	}
	return ""
}

// UnfitHostForDrill returns why the guest of a domain should not be moved to a host for a drill, "" if nothing is
// amiss: a guest that waits for an image there, or on its way back, is away for as long as that takes.
func (v *View) UnfitHostForDrill(d *raft.Domain, to volume.NodeID, back bool) string {
	hosts := []volume.NodeID{to}
	if back {
		hosts = append(hosts, d.Host)
	}
	for _, id := range hosts {
		if why := v.lacksImage(d.Spec, id); why != "" {
			return why
		}
	}
	return ""
}
