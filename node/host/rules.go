package host

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/holdfast-storage/holdfast/domain"
	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// stepVolume starts what is due for a volume.
func (c *core) stepVolume(v *volumeView, now time.Duration) {
	switch {
	case v.job != idle || c.holds(v):
	case c.inUse(v.id):
		// A guest of an engine that is gone or superseded ends first: stepDomain sees to it.
	case v.engine != nil:
		c.start(v, action{job: stopEngine, attach: v.engine.AttachID})
	case v.want == nil:
		if v.spent.IsZero() {
			delete(c.volumes, v.id)
		}
	case now < v.retry.at || c.nameTaken(v):
		return
	case v.want.AttachID != v.spent:
		v.spent = v.want.AttachID
		c.start(v, action{job: startEngine, ticket: v.want})
	case v.want.Detach || v.want.Maintenance:
		// Nobody waits for maintenance, so no epoch is taken for it, which the coordinators would refuse: they begin it
		// anew, wherever it is done best, after a pause that grows.
		c.start(v, action{job: giveUp, ticket: v.want})
	default:
		c.start(v, action{job: renewAttach, ticket: v.want})
	}
}

// holds reports whether the volume's engine is that of the current grant, as far as that is known, and
// not at its end.
func (c *core) holds(v *volumeView) bool {
	if v.engine == nil || c.assigned && (v.want == nil || v.engine.AttachID != v.want.AttachID) {
		return false
	}
	switch v.engine.State {
	case peer.EngineConnecting, peer.EngineServing, peer.EngineHeld:
		return true
	}
	return false
}

// mayExport reports whether the volume is exported by this host, is about to be, or may be for all that is
// known yet.
func (c *core) mayExport(id volume.ID) bool {
	v := c.volumes[id]
	switch {
	case !c.assigned:
		return true
	case v == nil:
		return false
	case v.want != nil:
		return !v.want.Maintenance
	}
	return v.engine != nil || v.job != idle
}

// inUse reports whether a guest may be using the volume.
func (c *core) inUse(id volume.ID) bool {
	for _, d := range c.domains {
		begins := (d.job == startGuest || d.job == plugGuest) && uses(*d.starting, id)
		if begins || d.guest.running() && uses(d.guest.order, id) {
			return true
		}
	}
	return false
}

// uses reports whether a guest has a volume. One that is taken in has none before it is plugged in.
func uses(o domain.Order, id volume.ID) bool {
	return slices.ContainsFunc(o.Volumes, func(v domain.Volume) bool {
		return v.ID == id && (o.Incoming == 0 || !v.AttachID.IsZero())
	})
}

// nameTaken reports whether the engine of another volume, one that had the name before, still has
// the directory.
func (c *core) nameTaken(v *volumeView) bool {
	for _, o := range c.volumes {
		if o != v && o.name == v.name && (o.engine != nil || o.job != idle) {
			return true
		}
	}
	return false
}

// stepUnassigned sees to the guests of an earlier daemon while the coordinators cannot be reached: what
// an engine cannot serve any more ends, and what it serves is guarded.
func (c *core) stepUnassigned(now time.Duration) {
	for _, name := range slices.Sorted(maps.Keys(c.domains)) {
		switch d := c.domains[name]; {
		case d.job != idle:
		case d.guest.receiving():
			c.stepReceiving(d, now)
		case d.guest.running():
			c.stepRunning(d, now)
		}
	}
}

// stepDomain starts what is due for a domain.
func (c *core) stepDomain(d *domainView, now time.Duration) {
	switch {
	case d.job != idle:
	case d.guest.receiving():
		c.stepReceiving(d, now)
	case d.guest.running():
		c.stepRunning(d, now)
	case d.guest != nil && d.guest.state.Phase == domain.PhaseExited && !d.guest.settled:
		c.startFor(d, action{job: settleGuest, run: d.guest.order.Run})
	case d.want == nil && d.guest == nil && d.receive != nil:
		c.receiveWhenDue(d, now)
	case d.want == nil && d.guest == nil:
		delete(c.domains, d.name)
	case d.want == nil && c.anyHere(d.guest.order):
		// How it ended is reported until its volumes have left this host: they are detached for it.
	case d.want == nil:
		c.startFor(d, action{job: forgetGuest})
	case d.finished() || now < d.retry.at:
	default:
		c.startWhenReady(d)
	}
}

// anyHere reports whether a volume of a guest is granted to this host, or its engine still here.
func (c *core) anyHere(o domain.Order) bool {
	return slices.ContainsFunc(o.Volumes, func(disk domain.Volume) bool {
		v := c.volumes[disk.ID]
		return v != nil && (v.want != nil || v.engine != nil)
	})
}

// stepRunning ends a guest that must not run on, and has it guarded otherwise.
func (c *core) stepRunning(d *domainView, now time.Duration) {
	run := d.guest.order.Run
	for _, v := range d.guest.order.Volumes {
		if !c.servesStill(v) {
			c.startFor(d, action{job: endGuest, run: run})
			return
		}
	}
	if c.assigned && (d.want == nil || d.want.Run != run) {
		end := action{job: endGuest, run: run, grace: cmp.Or(d.guest.order.Grace, guestGrace)}
		if c.stopped(d) {
			end.operation = d.guest.state.Sending
		}
		if end.operation != 0 && now < d.retry.at {
			return // who says whether it may run on was asked just now
		}
		c.startFor(d, end)
		return
	}
	if now < d.retry.at {
		return
	}
	if c.overSending(d) {
		c.startFor(d, action{job: resumeGuest, run: run, operation: d.guest.state.Sending})
		return
	}
	for _, v := range d.guest.order.Volumes {
		if d.guarded[v.ID] != v.AttachID {
			c.startFor(d, action{job: guardGuest, volume: v.ID, run: run, attach: v.AttachID})
			return
		}
	}
	if c.assigned && d.guest.state.Phase == domain.PhaseRunning && d.want.Paused != d.guest.state.Paused {
		what := map[bool]job{true: pauseGuest, false: unpauseGuest}[d.want.Paused]
		c.startFor(d, action{job: what, run: run})
	}
}

// servesStill reports whether a guest's disk is served by the engine that it was started on, under
// a grant that is still this host's.
func (c *core) servesStill(disk domain.Volume) bool {
	v := c.volumes[disk.ID]
	return v != nil && c.holds(v) && v.engine.AttachID == disk.AttachID
}

// finished reports whether the ordered run came to its own end: it is not started again. A guest
// that went down with its disk or its host is.
func (d *domainView) finished() bool {
	if d.guest == nil || d.guest.order.Run < d.want.Run {
		return false
	}
	return d.guest.order.Run > d.want.Run || d.guest.state.Phase == domain.PhaseExited
}

// startWhenReady starts a guest once every one of its volumes is served at the ordered epoch or a
// later one of this host's.
func (c *core) startWhenReady(d *domainView) {
	order, boots := c.orderWhenReady(d)
	switch {
	case order == nil:
	case boots.waits != "":
		d.failure = boots.waits
	case d.want.Paused:
		d.failure = "" // what it had in memory is gone: it starts when it is resumed
	default:
		d.failure, d.starting = "", order
		c.startFor(d, action{job: startGuest, order: order, blobs: boots.blobs})
	}
}

// orderWhenReady returns the order of a guest and what it boots from, nil while one of its volumes is not served; then
// it notes why.
func (c *core) orderWhenReady(d *domainView) (*domain.Order, boots) {
	order, boots := c.orderOf(d.name, d.want.Run, d.want.Spec, d.want.Images)
	order.Salt = d.want.Salt
	for i, id := range d.want.Volumes {
		v := c.volumes[id]
		if why := c.notReady(v, d.want, i); why != "" {
			d.failure = why
			return nil, boots
		}
		order.Volumes = append(order.Volumes, domain.Volume{
			ID: id, Name: d.want.Spec.Volumes[i].Name, Device: d.want.Spec.Volumes[i].Device,
			URL: exportOf(v.engine).URL, BoundURL: exportOf(v.engine).BoundURL,
			Epoch: v.engine.Epoch, AttachID: v.engine.AttachID,
		})
	}
	return &order, boots
}

// orderOf returns the order of a run without its volumes and its salt, and what it boots from.
func (c *core) orderOf(name string, run uint64, spec raft.DomainSpec, images []peer.ImageFile) (domain.Order, boots) {
	machine, boots := c.booted(spec.Machine, images)
	return domain.Order{Name: name, Driver: spec.Driver, Run: run, Dir: DomainDir(c.runDir, name),
		Grace: spec.Policy.Stop(), Machine: machine, Settings: spec.Definition().Settings}, boots
}

// notReady says what a domain's i-th volume lacks, empty when nothing.
func (c *core) notReady(v *volumeView, order *peer.DomainOrder, i int) string {
	if i >= len(order.Epochs) || i >= len(order.Spec.Volumes) {
		return "its order does not name every volume with an epoch"
	}
	name := order.Spec.Volumes[i].Name
	switch {
	case v == nil || v.engine == nil || !c.holds(v):
		return fmt.Sprintf("waits for an engine of volume %s", name)
	case v.engine.Epoch < order.Epochs[i]:
		return fmt.Sprintf("waits for volume %s at epoch %s", name, order.Epochs[i])
	case v.engine.State != peer.EngineServing || exportOf(v.engine).URL == "":
		return fmt.Sprintf("waits for volume %s: its engine is %s", name, v.engine.State)
	}
	return ""
}

// exportOf returns the export that the domains of this host plug into, without a URL when there is none: always the
// unix socket, which needs no secret.
func exportOf(e *peer.EngineStatus) volume.Offer {
	for _, x := range e.Exports {
		if x.Type == string(volume.ExportNBD) {
			return x
		}
	}
	return volume.Offer{}
}
