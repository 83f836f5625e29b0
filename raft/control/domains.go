package control

import (
	"fmt"
	"time"

	"github.com/holdfast-storage/holdfast/raft"
)

// Domains keeps wanted domains running on hosts that live, and clears up after stopped ones.
//
// It guarantees that
//   - a domain whose run ended without an order (it exited, could not be started, or was killed
//     because its grant was lost) is started again on the same host, with back-off;
//   - a domain on a host that is being retired moves to another host, once one lives;
//   - the volumes that were attached for a domain are detached once it is stopped and its host has
//     said that nothing of it runs any more.
//
// It does nothing about hosts that do not speak: that is Failover's.
func Domains(v *View) []raft.Command {
	var out []raft.Command
	for _, d := range v.State.SortedDomains() {
		switch {
		case d.Running:
			out = append(out, v.keepRunning(d)...)
		default:
			out = append(out, v.clearUp(d)...)
		}
	}
	return out
}

func (v *View) keepRunning(d *raft.Domain) []raft.Command {
	host := v.State.Nodes[d.Host]
	if host == nil || !v.speaks(d.Host) {
		return nil
	}
	if host.Retiring {
		if to := v.ChooseHost(d.Spec, d.Host); to != nil {
			return []raft.Command{v.Place(d, to.ID, fmt.Sprintf("host %s is being replaced", host.Name))}
		}
		return nil
	}
	fact := v.domain(d)
	if fact == nil || !fact.State.over() || !v.Facts.restarts[d.Name].due(v.Now) {
		return nil
	}
	reason := fmt.Sprintf("its run %d on %s ended: %s", d.Run, host.Name, fact.State)
	if fact.Error != "" {
		reason += ": " + fact.Error
	}
	return []raft.Command{v.Place(d, d.Host, reason)}
}

// clearUp wants the volumes of a stopped domain detached.
func (v *View) clearUp(d *raft.Domain) []raft.Command {
	var out []raft.Command
	for _, used := range d.Spec.Volumes {
		vol := v.State.VolumeByName(used.Name)
		if vol == nil || vol.Attach == nil || vol.Attach.Domain != d.Name || vol.Attach.Detaching {
			continue
		}
		if !v.speaks(vol.Attach.Host) || v.runsThere(d, vol) {
			continue
		}
		out = append(out, raft.Command{RequestDetach: &raft.RequestDetach{Volume: vol.ID, Epoch: vol.Epoch}})
	}
	return out
}

// settle is how long after a stop a host's silence about a domain means that nothing of it runs: an
// order that was on its way has arrived by then, and a heartbeat told of it.
const settle = 3 * time.Second

// runsThere reports whether something of a stopped domain may still run on the host of a volume's
// attachment.
func (v *View) runsThere(d *raft.Domain, vol *raft.Volume) bool {
	host := v.Facts.Nodes[vol.Attach.Host]
	fact := host.Domains[d.Name]
	if fact == nil {
		return host.Heard.Sub(v.Facts.stopped[d.Name]) < settle
	}
	switch fact.State {
	case DomainStarting, DomainRunning, DomainStopping:
		return true
	}
	return false
}
