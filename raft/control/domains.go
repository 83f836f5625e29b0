package control

import (
	"fmt"
	"time"

	"github.com/holdfast-storage/holdfast/domain/guest"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// Domains keeps wanted domains running on hosts that live, and clears up after stopped ones.
//
// It guarantees that
//   - a domain that ended by itself is started again on the same host, with back-off, or is stopped if its
//     policy says so; one that could not be started, or went down with its disk, the host itself tries again;
//   - a domain on a host that is being emptied moves to another one, once one lives: its guest is migrated if it can
//     be, and starts anew there if it cannot, or once that was given up three times;
//   - a domain that cannot start because its host has failed for Timing.ImageStuck to get an image of it is placed on
//     another host that has all of them, unless its policy says that it is moved by hand;
//   - the volumes that were attached for a domain are detached once it is stopped and its host has
//     said that nothing of it runs any more, or is dead.
//
// What was to run on a host that is dead is Failover's.
func Domains(v *View) []raft.Command {
	var out []raft.Command
	planned := v
	for _, d := range v.sortedDomains() {
		if !d.Running {
			continue
		}
		for _, c := range planned.keepRunning(d) {
			out, planned = append(out, c), planned.after(c)
		}
	}
	return append(out, v.clearUp()...)
}

func (v *View) keepRunning(d *raft.Domain) []raft.Command {
	host := v.State.Nodes[d.Host]
	if host == nil || !v.speaks(d.Host) {
		return nil
	}
	if host.Retiring {
		return v.leave(d, host)
	}
	if c := v.startElsewhere(d); c != nil {
		return []raft.Command{*c}
	}
	fact := v.Domain(d)
	if fact == nil || fact.State != DomainExited {
		return nil
	}
	if d.Spec.Policy.Restart == guest.RestartNever {
		return []raft.Command{{StopDomain: &raft.StopDomain{Name: d.Name, Run: d.Run,
			Reason: "it ended by itself and is not to be started again"}}}
	}
	if !v.Facts.restarts[d.Name].due(v.Now) {
		return nil
	}
	reason := fmt.Sprintf("its run %d on %s ended by itself", d.Run, host.Name)
	if fact.Error != "" {
		reason += ": " + fact.Error
	}
	return []raft.Command{v.Place(d, d.Host, reason)}
}

// clearUp wants the volumes detached that were attached for a domain which does not run any more.
func (v *View) clearUp() []raft.Command {
	var out []raft.Command
	for _, vol := range v.sortedVolumes() {
		if vol.Attach == nil || vol.Attach.Domain == "" || vol.Attach.Detaching {
			continue
		}
		if d := v.State.Domains[vol.Attach.Domain]; d != nil && d.Running && d.Spec.Uses(vol.Name) {
			continue
		}
		over := v.speaks(vol.Attach.Host) && !v.runsThere(vol.Attach.Domain, vol.Attach.Host)
		if over || v.Condition(vol.Attach.Host) == raft.NodeDead {
			out = append(out, raft.Command{RequestDetach: &raft.RequestDetach{Volume: vol.ID,
				Epoch: vol.Epoch}})
		}
	}
	return out
}

// settle is how long after a stop a host's silence about a domain means that nothing of it runs: an
// order that was on its way has arrived by then, and a heartbeat told of it.
const settle = 3 * time.Second

// runsThere reports whether something of a stopped domain may still run on a host that speaks.
func (v *View) runsThere(domain string, host volume.NodeID) bool {
	n := v.Facts.Nodes[host]
	if n.Looking {
		return true // its daemon was started just now
	}
	fact := n.Domains[domain]
	if fact == nil {
		since, seen := v.Facts.stopped[domain]
		return seen && n.Heard.Sub(since) < settle
	}
	switch fact.State {
	case DomainStarting, DomainReceiving, DomainRunning, DomainPaused, DomainStopping:
		return true
	}
	return false
}
