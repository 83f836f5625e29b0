package coordinator

import (
	"cmp"
	"slices"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/raft/control"
	"github.com/holdfast-storage/holdfast/volume"
)

// The functions of this file put the state and what was heard into the words of the public API.

func nodeState(v *control.View, n *raft.Node) api.NodeState {
	condition := v.Condition(n.ID)
	switch {
	case n.Pending:
		return api.NodePending
	case n.Stays:
		return api.NodeDrained
	case n.Retiring:
		return api.NodeRetiring
	case v.Facts.Nodes[n.ID] != nil && (condition == raft.NodeAlive || condition == raft.NodeSuspect):
		return api.NodeUp
	}
	return api.NodeDown
}

func showNode(v *control.View, n *raft.Node, leader volume.NodeID) api.Node {
	out := api.Node{
		ID: n.ID.String(), Name: n.Name, Roles: []string{}, State: nodeState(v, n), Addr: n.API,
		Leader: n.ID == leader, Zone: n.Location.Zone, Rack: n.Location.Rack,
	}
	for _, role := range n.Roles {
		out.Roles = append(out.Roles, string(role))
	}
	if heard := v.Facts.Nodes[n.ID]; heard != nil {
		out.PID = heard.PID
	}
	return out
}

func showNodeDetail(v *control.View, n *raft.Node, leader volume.NodeID) api.NodeDetail {
	out := api.NodeDetail{
		Node: showNode(v, n, leader), Stores: []api.Store{}, Legs: []api.NodeLeg{},
		Attached: []string{}, Domains: []string{},
	}
	if !n.ReplacedBy.IsZero() {
		out.ReplacedBy = n.ReplacedBy.String()
	}
	for _, vol := range v.State.SortedVolumes() {
		if vol.Attach != nil && vol.Attach.Host == n.ID {
			out.Attached = append(out.Attached, vol.Name)
		}
	}
	for _, d := range v.State.SortedDomains() {
		if d.Running && d.Host == n.ID {
			out.Domains = append(out.Domains, d.Name)
		}
	}
	heard := v.Facts.Nodes[n.ID]
	if heard == nil {
		return out
	}
	at := heard.Heard.Round(0) // without the monotonic reading
	out.LastHeard = &at
	for _, st := range heard.Stores {
		out.Stores = append(out.Stores, api.Store{
			ID: st.ID.String(), Name: st.Name, TotalBytes: st.TotalBytes, FreeBytes: st.FreeBytes,
			Error: st.Error, Disk: showDisk(st.Disk), Promisable: promisable(v, n.ID, st.ID),
		})
	}
	for id, l := range heard.Legs {
		name := l.Volume.String()
		if vol := v.State.Volumes[l.Volume]; vol != nil {
			name = vol.Name
		}
		out.Legs = append(out.Legs, api.NodeLeg{
			ID: id.String(), Volume: name, State: string(l.Condition), Error: l.Error,
			FenceEpoch: uint64(l.FenceEpoch),
			UsedBytes:  l.UsedBytes, Sessions: l.Sessions, ReadMicros: l.ReadMicros,
			RefusedLogins: l.RefusedLogins, RefusedCommands: l.RefusedCommands,
		})
	}
	slices.SortFunc(out.Legs, func(a, b api.NodeLeg) int {
		return cmp.Or(cmp.Compare(a.Volume, b.Volume), cmp.Compare(a.ID, b.ID))
	})
	return out
}

func showVolume(v *control.View, vol *raft.Volume) api.Volume {
	state := string(vol.Phase)
	switch {
	case vol.Deleting:
		state = "deleting"
	case vol.Filling() && vol.Phase != volume.PhaseProvisioning && vol.Phase != volume.PhaseFrozen:
		state = api.CloneFilling // whoever has it attached, nobody has any use of it
	}
	out := api.Volume{
		ID: vol.ID.String(), Name: vol.Name, SizeBytes: vol.SizeBytes, Layout: vol.Layout.String(),
		Durability: vol.Durability, State: state, Health: api.Status(control.JudgeVolume(v, vol)),
		Epoch: uint64(vol.Epoch), CfgVer: uint64(vol.CfgVer), Legs: []api.Leg{}, CreatedAt: vol.CreatedAt,
		Spread: string(vol.Spread), Apart: []string{}, UnflushedLoss: string(vol.UnflushedLoss),
	}
	for _, id := range vol.Apart {
		if other := v.State.Volumes[id]; other != nil {
			out.Apart = append(out.Apart, other.Name)
		}
	}
	for _, l := range vol.Legs {
		out.Legs = append(out.Legs, showLeg(v, vol, l))
	}
	showScrubs(v, vol, &out)
	out.ReplaceAfter, out.Limit = showReplaceAfter(v.State, vol), showLimit(vol.Limit)
	out.Exports = showExports(vol)
	out.LastDrill = lastDrill(v.State, func(d *raft.Drill) bool { return d.Has(vol.ID) })
	out.Clone = showClone(v, vol)
	if vol.Attach == nil {
		return out
	}
	out.Attachment = &api.Attachment{
		Host: v.State.NodeName(vol.Attach.Host), Epoch: uint64(vol.Epoch), EngineState: "unknown",
		Maintenance: vol.Attach.Maintenance, Filling: vol.Attach.Filling, Exports: []api.Export{},
	}
	if e := v.Facts.Engines[vol.Attach.ID]; e != nil {
		out.Attachment.EnginePID, out.Attachment.EngineState = e.PID, string(e.State)
		out.Attachment.Exports, out.Attachment.Stages = exports(e), stages(e)
		out.Attachment.ExportFaults = exportFaults(e.Faults)
	}
	return out
}

func showLeg(v *control.View, vol *raft.Volume, l *raft.Leg) api.Leg {
	fact, condition := v.Leg(l)
	progress, done, total := v.LegProgress(vol, l)
	cfgver := fact.CfgVer
	if condition == control.ConditionUnreachable || condition == control.ConditionUnknown {
		if cfgver = l.LastISRCfg; l.State == volume.LegInSync {
			cfgver = vol.CfgVer
		}
	}
	out := api.Leg{
		ID: l.ID.String(), Node: v.State.NodeName(l.Node), State: l.State, CfgVer: uint64(cfgver),
		Progress:  progress,
		Condition: string(condition), Error: fact.Error, Retiring: l.Retiring, DoneBytes: done,
		CopyBytes: total, SetBack: l.SetBack,
	}
	if el := v.EngineLeg(vol, l); el != nil {
		out.MediumErrors, out.Healed, out.BannedSeconds = el.MediumErrors, el.Healed, el.BannedFor.Seconds()
		out.Error = cmp.Or(out.Error, el.Error)
	}
	return out
}

func exports(e *control.EngineFact) []api.Export {
	out := []api.Export{}
	for _, x := range e.Exports {
		out = append(out, api.Export(x))
	}
	return out
}

func stages(e *control.EngineFact) []api.Stage {
	var out []api.Stage
	for _, s := range e.Stages {
		out = append(out, api.Stage{Name: s.Name, Seconds: s.At.Seconds()})
	}
	return out
}

func showDomain(v *control.View, d *raft.Domain) api.Domain {
	out := api.Domain{
		Name: d.Name, State: string(control.DomainStopped), Run: d.Run, Operation: runningFailover(v.State, d.Name),
		Paused: d.Paused, Spec: showDefinition(d.Spec), LastDrill: lastDrill(v.State, func(o *raft.Drill) bool {
			return o.Object == "domain/"+d.Name
		}), Boots: imageNames(d.Boots),
	}
	if to := d.RollsBackTo(); to != d.Spec.Machine.Pins() {
		out.RollsBack = imageNames(to)
	}
	if !d.Running {
		for _, vol := range v.State.Volumes { // any one will do, so the order of the map does not matter
			if vol.Attach != nil && vol.Attach.Domain == d.Name {
				out.State, out.Host = string(control.DomainStopping), v.State.NodeName(vol.Attach.Host)
			}
		}
		return out
	}
	out.Host, out.State = v.State.NodeName(d.Host), string(control.DomainStarting)
	if v.Condition(d.Host) == raft.NodeDead {
		out.State = "unknown"
	} else if fact := v.Domain(d); fact != nil {
		out.State, out.PID, out.Error, out.Agent = string(fact.State), fact.PID, fact.Error, fact.Agent
	}
	return out
}
