package control

import (
	"cmp"
	"slices"

	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// cloneGroupsMax is how many groups of clones a host fills at once. Each clone has an engine of its own, and all of
// them share the host's network and the disks with its guests.
const cloneGroupsMax = 2

// Clones has clones filled, and lets go of those that were cut.
//
// It guarantees that the clones of a group are attached on the host where all of their sources are, which is where they
// are filled; that sources which nobody has attached are attached there for maintenance; and that a clone which was
// cut, or cannot be filled there, is detached. A host fills cloneGroupsMax groups at once. What it does gives way to
// everything else: a source that moves takes its clones along, which are filled anew, a host that is emptied is left,
// and nothing waits for them.
func Clones(v *View) []raft.Command {
	var out []raft.Command
	for _, vol := range v.State.Volumes {
		if vol.Clone != nil && !vol.Filling() && !vol.Deleting && vol.Attach != nil && vol.Attach.Filling &&
			!vol.Attach.Detaching {
			out = append(out, detaching(vol))
		}
	}
	slices.SortFunc(out, func(a, b raft.Command) int {
		return slices.Compare(a.RequestDetach.Volume.UUID[:], b.RequestDetach.Volume.UUID[:])
	})
	for _, f := range v.fillings() {
		out = append(out, f.commands...)
	}
	return out
}

// filling is how far the attachments are that a group of clones needs.
type filling struct {
	clones   []*raft.Volume // by name
	sources  []*raft.Volume // of each
	host     volume.NodeID  // where they are filled, zero while they cannot be
	commands []raft.Command // what is to be done now
	waits    string         // for what, "" when all are attached where they are filled
}

// began reports whether a clone of the group is attached already.
func (f *filling) began() bool {
	return slices.ContainsFunc(f.clones, func(vol *raft.Volume) bool { return vol.Attach != nil && vol.Attach.Filling })
}

// fillings decides for all groups of clones that are not cut yet: those that have begun first, then the oldest.
func (v *View) fillings() []*filling {
	groups := make(map[volume.UUID]*filling)
	for _, vol := range v.State.Volumes {
		if !vol.Filling() || vol.Deleting {
			continue
		}
		f := groups[vol.Clone.Group]
		if f == nil {
			f = &filling{}
			groups[vol.Clone.Group] = f
		}
		f.clones = append(f.clones, vol)
	}
	all := make([]*filling, 0, len(groups))
	for _, f := range groups {
		slices.SortFunc(f.clones, func(a, b *raft.Volume) int { return cmp.Compare(a.Name, b.Name) })
		all = append(all, f)
	}
	order := func(f *filling) int {
		if f.began() {
			return 0
		}
		return 1
	}
	slices.SortFunc(all, func(a, b *filling) int {
		return cmp.Or(cmp.Compare(order(a), order(b)), a.clones[0].CreatedAt.Compare(b.clones[0].CreatedAt),
			cmp.Compare(a.clones[0].Name, b.clones[0].Name))
	})
	filled := make(map[volume.NodeID]int)
	for _, f := range all {
		v.decideFilling(f, filled)
	}
	return all
}

// CloneWaits says what keeps a clone from being filled, "" when nothing does or it was cut.
func (v *View) CloneWaits(vol *raft.Volume) string {
	for _, f := range v.fillings() {
		if slices.Contains(f.clones, vol) {
			return f.waits
		}
	}
	return ""
}

// cloneSources returns the volumes that are attached, or to be, for clones that are filled now.
func (v *View) cloneSources() map[volume.ID]bool {
	held := make(map[volume.ID]bool)
	for _, f := range v.fillings() {
		for _, source := range f.sources {
			held[source.ID] = !f.host.IsZero()
		}
	}
	return held
}

// decideFilling decides for one group. filled counts the groups of each host.
func (v *View) decideFilling(f *filling, filled map[volume.NodeID]int) {
	if f.waits = v.unfillable(f); f.waits != "" {
		f.release()
		return
	}
	if f.waits = v.chooseFillingHost(f, filled); f.waits != "" {
		return
	}
	filled[f.host]++
	for _, source := range f.sources {
		v.attachFor(f, source, raft.BeginAttach{Maintenance: true})
	}
	if f.waits != "" {
		return // a clone is attached after its source, see raft.Attach.SourceEpoch
	}
	for i, vol := range f.clones {
		if a := vol.Attach; a != nil && a.Filling && a.Host == f.host && a.SourceEpoch != f.sources[i].Epoch {
			v.detachFor(f, vol)
			continue
		}
		v.attachFor(f, vol, raft.BeginAttach{Filling: true})
	}
}

// unfillable says why a group cannot be filled as it is, whatever host there is, and finds its sources.
func (v *View) unfillable(f *filling) string {
	if n := f.clones[0].Clone.Of - len(f.clones); n > 0 {
		return sprintf("%d more of its group are to be made", n)
	}
	for _, vol := range f.clones {
		source := v.State.Volumes[vol.Clone.Source]
		switch {
		case source == nil || source.Deleting:
			return sprintf("its source %s is gone: delete it", vol.Clone.SourceName)
		case vol.Phase == volume.PhaseProvisioning:
			return sprintf("volume %s is still being provisioned", vol.Name)
		case source.Phase == volume.PhaseFrozen || vol.Phase == volume.PhaseFrozen:
			return sprintf("volume %s or its source %s is frozen", vol.Name, source.Name)
		}
		f.sources = append(f.sources, source)
	}
	return ""
}

// chooseFillingHost chooses where a group is filled: where the guests are that have its sources, else any host. It
// returns why there is none now.
func (v *View) chooseFillingHost(f *filling, filled map[volume.NodeID]int) (why string) {
	var host, idle volume.NodeID // of guests, and of nobody
	for _, source := range f.sources {
		switch a := source.Attach; {
		case a == nil:
		case a.NoGuests():
			idle = a.Host
		case !host.IsZero() && host != a.Host:
			f.release()
			return sprintf("its sources are attached on %s and on %s: they are cut at one moment on one host",
				v.State.NodeName(host), v.State.NodeName(a.Host))
		default:
			host = a.Host
		}
	}
	guests := !host.IsZero()
	if !guests {
		host = idle
	}
	if n := v.State.Nodes[host]; n != nil && n.Retiring {
		f.release()
		if !guests {
			v.releaseSources(f)
		}
		return sprintf("host %s is being emptied", n.Name)
	}
	if host.IsZero() {
		hosts := slices.DeleteFunc(v.hosts(volume.NodeID{}), func(n *raft.Node) bool {
			return v.Facts.Nodes[n.ID].Knows < raft.VersionClones || filled[n.ID] >= cloneGroupsMax
		})
		if len(hosts) == 0 {
			return "no host fills one more group of clones now"
		}
		host = hosts[0].ID
	}
	switch n := v.State.Nodes[host]; {
	case n == nil || !v.speaks(host):
		f.host = host // its engines go on: what they hold stays
		return sprintf("host %s does not answer", v.State.NodeName(host))
	case v.Facts.Nodes[host].Knows < raft.VersionClones:
		return sprintf("host %s runs a release that fills no clones", n.Name)
	case filled[host] >= cloneGroupsMax:
		return sprintf("host %s fills %d groups of clones already", n.Name, filled[host])
	}
	f.host = host
	return ""
}

// release has the group's clones detached.
func (f *filling) release() {
	for _, vol := range f.clones {
		if a := vol.Attach; a != nil && a.Filling && !a.Detaching {
			f.commands = append(f.commands, detaching(vol))
		}
	}
}

// releaseSources has the sources detached that nobody but their clones needs attached.
func (v *View) releaseSources(f *filling) {
	for _, source := range f.sources {
		if a := source.Attach; a != nil && a.NoGuests() && !a.Detaching {
			f.commands = append(f.commands, detaching(source))
		}
	}
}

// attachFor has a volume attached on the group's host in the way that a grant says, unless it is: one that is attached
// for no guest elsewhere is detached first.
func (v *View) attachFor(f *filling, vol *raft.Volume, how raft.BeginAttach) {
	switch a := vol.Attach; {
	case a == nil || how.Filling && a.Maintenance: // which gives way
		f.waits = sprintf("volume %s is to be attached on %s", vol.Name, v.State.NodeName(f.host))
		if !v.Facts.regrants[vol.ID].due(v.Now) {
			return // its engine failed just now
		}
		how.Volume, how.Host, how.AttachID, how.After = vol.ID, f.host, v.attachID(), vol.Epoch
		f.commands = append(f.commands, raft.Command{BeginAttach: &how})
	case a.Host != f.host:
		v.detachFor(f, vol)
	case a.Detaching || v.Serving(vol) == nil:
		f.waits = sprintf("volume %s does not serve on %s yet", vol.Name, v.State.NodeName(f.host))
	}
}

// detachFor has a volume that is attached for no guest detached, to be attached anew.
func (v *View) detachFor(f *filling, vol *raft.Volume) {
	f.waits = sprintf("volume %s is to be detached from %s", vol.Name, v.State.NodeName(vol.Attach.Host))
	if vol.Attach.NoGuests() && !vol.Attach.Detaching {
		f.commands = append(f.commands, detaching(vol))
	}
}

func detaching(vol *raft.Volume) raft.Command {
	return raft.Command{RequestDetach: &raft.RequestDetach{Volume: vol.ID, Epoch: vol.Epoch}}
}
