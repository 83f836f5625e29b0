package raft

import (
	"slices"

	"github.com/holdfast-storage/holdfast/volume"
)

// SetExport gives a detached volume an export beside the unix socket, in place of one of the same kind, or takes one
// away. The engine of the next attachment opens it.
type SetExport struct {
	Volume volume.ID         `json:"volume"`
	Kind   volume.ExportKind `json:"kind"`
	Off    bool              `json:"off,omitempty"` // it is taken away
	// Address and Secret are those of volume.ExportSetting.
	Address string              `json:"address,omitempty"`
	Secret  volume.ExportSecret `json:"secret,omitempty"`
}

// setExport applies SetExport.
func (t *txn) setExport(c *SetExport) *Refusal {
	v, r := t.volume(c.Volume)
	if r != nil {
		return r
	}
	next := volume.WithoutExport(v.Exports, c.Kind)
	if !c.Off {
		s := volume.ExportSetting{Kind: c.Kind, Address: c.Address, Secret: c.Secret}
		if r := t.mayExport(v, s, next); r != nil {
			return r
		}
		next = volume.WithExport(next, s)
	}
	if slices.Equal(v.Exports, next) {
		t.answer(v)
		return nil
	}
	if v.Attach != nil && !v.Attach.Maintenance {
		return refuse(CodeBusy, "volume %s is attached to %s, whose guest may be using the export: detach it first",
			v.Name, t.state.NodeName(v.Attach.Host))
	}
	v = t.edit(v)
	v.Exports = next
	if c.Off {
		t.event(SeverityInfo, "volume/"+v.Name, "export_set", "volume %s has no export %s any more", v.Name, c.Kind)
	} else {
		t.event(SeverityInfo, "volume/"+v.Name, "export_set", "volume %s has an export %s at %s", v.Name, c.Kind,
			c.Address)
	}
	t.answer(v)
	return nil
}

// mayExport returns why a volume cannot have an export beside others of its own. Any two volumes may come to one host,
// and any volume to any host.
func (t *txn) mayExport(v *Volume, s volume.ExportSetting, others []volume.ExportSetting) *Refusal {
	if err := s.Check(); err != nil {
		return invalid("volume %s: %v", v.Name, err)
	}
	for _, o := range others {
		if s.CollidesWith(o) {
			return invalid("volume %s: its export %s is at %s already: choose another port", v.Name, o.Kind, o.Address)
		}
	}
	// An engine outlives its daemon and tries each second: it would have a port of the node's as soon as the daemon
	// is restarted, which could not listen any more.
	for _, n := range t.state.SortedNodes() {
		for _, at := range []string{n.API, n.Raft, n.Portal} {
			if s.TakesFrom(at) {
				return refuse(CodeExists, "volume %s: node %s itself is reached at %s: choose another port", v.Name,
					n.Name, at)
			}
		}
	}
	for _, other := range t.state.SortedVolumes() {
		for _, o := range other.Exports {
			// One that is being deleted is attached no more, and may wait long for a node that is away.
			if other.ID != v.ID && !other.Deleting && s.CollidesWith(o) {
				return refuse(CodeExists, "volume %s: the export %s of volume %s is at %s already: choose another port",
					v.Name, o.Kind, other.Name, o.Address)
			}
		}
	}
	return nil
}
