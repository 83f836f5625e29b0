package control

import (
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// Clones has clones filled, and lets go of those that were cut.
//
// It guarantees that the clones of a group are attached on the host where all of their sources are, which is where they
// are filled; that sources which nobody has attached are attached there for maintenance; and that a clone which was cut
// is detached. What it does gives way to everything else: a source that moves takes its clones along, which are filled
// anew, and nothing waits for them.
func Clones(v *View) []raft.Command {
	var out []raft.Command
	seen := make(map[volume.UUID]bool)
	for _, vol := range v.sortedVolumes() {
		switch {
		case vol.Clone == nil || vol.Deleting:
		case !vol.Filling():
			if vol.Attach != nil && vol.Attach.Filling && !vol.Attach.Detaching {
				out = append(out, raft.Command{RequestDetach: &raft.RequestDetach{Volume: vol.ID, Epoch: vol.Epoch}})
			}
		case !seen[vol.Clone.Group]:
			seen[vol.Clone.Group] = true
			f := v.filling(v.State.CloneGroup(vol.Clone.Group))
			out = append(out, f.commands...)
		}
	}
	return out
}

// filling is how far the attachments are that a group of clones needs.
type filling struct {
	commands []raft.Command // what is to be done now
	waits    string         // for what, "" when all are attached where they are filled
}

// CloneWaits says what keeps a clone from being filled, "" when nothing does or it was cut.
func (v *View) CloneWaits(vol *raft.Volume) string {
	if !vol.Filling() {
		return ""
	}
	return v.filling(v.State.CloneGroup(vol.Clone.Group)).waits
}

// filling decides for one group of clones that are not cut yet.
func (v *View) filling(group []*raft.Volume) (f filling) {
	if n := group[0].Clone.Of - len(group); n > 0 {
		f.waits = sprintf("%d more of its group are to be made", n)
		return f
	}
	var sources []*raft.Volume
	for _, vol := range group {
		source := v.State.Volumes[vol.Clone.Source]
		switch {
		case source == nil || source.Deleting:
			f.waits = sprintf("its source %s is gone: delete it", vol.Clone.SourceName)
			return f
		case vol.Phase == volume.PhaseProvisioning:
			f.waits = sprintf("volume %s is still being provisioned", vol.Name)
			return f
		case source.Phase == volume.PhaseFrozen || vol.Phase == volume.PhaseFrozen:
			f.waits = sprintf("volume %s or its source %s is frozen", vol.Name, source.Name)
			return f
		}
		sources = append(sources, source)
	}
	host, why := v.fillingHost(sources)
	if host.IsZero() {
		f.waits = why
		return f
	}
	for _, source := range sources {
		v.attachFor(&f, source, host, raft.BeginAttach{Maintenance: true})
	}
	for i, vol := range group {
		if a := vol.Attach; a != nil && a.Host == host && a.SourceEpoch != sources[i].Epoch {
			v.detachFor(&f, vol)
			continue
		}
		v.attachFor(&f, vol, host, raft.BeginAttach{Filling: true})
	}
	return f
}

// fillingHost returns where clones of these volumes are filled: where the guests are that have them, else any host.
// Zero if there is none now, and why.
func (v *View) fillingHost(sources []*raft.Volume) (host volume.NodeID, why string) {
	var maintainer volume.NodeID
	for _, source := range sources {
		switch a := source.Attach; {
		case a == nil:
		case a.NoGuests():
			maintainer = a.Host
		case !host.IsZero() && host != a.Host:
			return volume.NodeID{}, sprintf("its sources are attached on %s and on %s: they are cut at one moment on "+
				"one host", v.State.NodeName(host), v.State.NodeName(a.Host))
		default:
			host = a.Host
		}
	}
	if host.IsZero() {
		host = maintainer
	}
	if host.IsZero() {
		n := v.maintainer(v.maintained())
		if n == nil {
			return host, "no host maintains one more volume now"
		}
		host = n.ID
	}
	if n := v.State.Nodes[host]; n == nil || !v.speaks(host) {
		return volume.NodeID{}, sprintf("host %s does not answer", v.State.NodeName(host))
	} else if fact := v.Facts.Nodes[host]; fact.Knows < raft.VersionClones {
		return volume.NodeID{}, sprintf("host %s runs a release that fills no clones", n.Name)
	}
	return host, ""
}

// attachFor has a volume attached on a host in the way that a grant says, unless it is: one that is attached for no
// guest elsewhere is detached first.
func (v *View) attachFor(f *filling, vol *raft.Volume, host volume.NodeID, how raft.BeginAttach) {
	switch a := vol.Attach; {
	case a == nil:
		f.waits = sprintf("volume %s is to be attached on %s", vol.Name, v.State.NodeName(host))
		if !v.Facts.regrants[vol.ID].due(v.Now) {
			return // its engine failed just now
		}
		how.Volume, how.Host, how.AttachID, how.After = vol.ID, host, v.attachID(), vol.Epoch
		f.commands = append(f.commands, raft.Command{BeginAttach: &how})
	case a.Host != host:
		v.detachFor(f, vol)
	case v.Serving(vol) == nil && !a.Maintenance || a.Detaching:
		f.waits = sprintf("volume %s does not serve on %s yet", vol.Name, v.State.NodeName(host))
	}
}

// detachFor has a volume that is attached for no guest detached, to be attached anew.
func (v *View) detachFor(f *filling, vol *raft.Volume) {
	f.waits = sprintf("volume %s is to be detached from %s", vol.Name, v.State.NodeName(vol.Attach.Host))
	if vol.Attach.NoGuests() && !vol.Attach.Detaching {
		f.commands = append(f.commands, raft.Command{RequestDetach: &raft.RequestDetach{Volume: vol.ID,
			Epoch: vol.Epoch}})
	}
}
