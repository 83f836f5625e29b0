package host

import (
	"maps"
	"slices"
	"time"

	"github.com/holdfast-storage/holdfast/domain"
	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/volume"
)

// receiveWhenDue begins to take in a guest that runs elsewhere.
func (c *core) receiveWhenDue(d *domainView, now time.Duration) {
	r := d.receive
	if now < d.retry.at || len(r.Volumes) != len(r.Spec.Volumes) || len(r.SizeBytes) != len(r.Volumes) {
		return
	}
	order, boots := c.orderOf(d.name, r.Run, r.Spec, r.Images)
	if boots.waits != "" {
		return // whoever sends the guest tries again
	}
	order.Salt = r.Salt
	order.Incoming = r.Operation
	for i, id := range r.Volumes {
		order.Volumes = append(order.Volumes, domain.Volume{ID: id, Name: r.Spec.Volumes[i].Name,
			Device: r.Spec.Volumes[i].Device, SizeBytes: r.SizeBytes[i]})
	}
	c.startFor(d, action{job: receiveGuest, order: &order, blobs: boots.blobs})
}

// stepReceiving plugs a guest in that was taken in once it has moved here, and ends one that nobody sends any more, or
// that has lost a disk before it ran. It never runs before the coordinators have said that it moved.
func (c *core) stepReceiving(d *domainView, now time.Duration) {
	o := d.guest.order
	moved := d.want != nil && d.want.Run == o.Run && d.want.TakenIn == o.Incoming
	awaited := d.receive != nil && d.receive.Operation == o.Incoming
	lost := slices.ContainsFunc(o.Volumes, func(v domain.Volume) bool {
		return !v.AttachID.IsZero() && !c.servesStill(v)
	})
	switch {
	case lost || c.assigned && !moved && !awaited:
		c.startFor(d, action{job: endGuest, run: o.Run})
	case !c.assigned || !moved || now < d.retry.at:
	default:
		if order, _ := c.orderWhenReady(d); order != nil { // its files are open already
			d.failure, d.starting = "", order
			c.startFor(d, action{job: plugGuest, run: o.Run, order: order})
		}
	}
}

// overSending reports whether the guest may be halted by a sending that does not go on any more.
func (c *core) overSending(d *domainView) bool {
	operation := d.guest.state.Sending
	return c.assigned && operation != 0 && (d.want.Migrate == nil || d.want.Migrate.Operation != operation)
}

// stopped reports whether a guest was stopped here, for all that is known, and has not moved: a switch has its volumes
// detached in the same entry. The coordinators are asked before it runs on.
func (c *core) stopped(d *domainView) bool {
	return d.want == nil && !slices.ContainsFunc(d.guest.order.Volumes, func(disk domain.Volume) bool {
		v := c.volumes[disk.ID]
		return v == nil || v.want == nil || v.want.Detach
	})
}

// sendOrder says which guest is to be sent where.
type sendOrder struct {
	name   string
	run    uint64
	epochs []volume.Epoch // of its disks, as it was started
	peer.MigrateOrder
}

// sendings returns the guests that are to be sent now.
func (c *core) sendings() []sendOrder {
	var out []sendOrder
	for _, name := range slices.Sorted(maps.Keys(c.domains)) {
		d := c.domains[name]
		if !c.assigned || d.guest == nil || d.guest.state.Phase != domain.PhaseRunning || d.want == nil ||
			d.guest.state.Paused ||
			d.want.Run != d.guest.order.Run || d.want.Migrate == nil || c.overSending(d) {
			continue
		}
		s := sendOrder{name: name, run: d.want.Run, MigrateOrder: *d.want.Migrate}
		for _, v := range d.guest.order.Volumes {
			s.epochs = append(s.epochs, v.Epoch)
		}
		out = append(out, s)
	}
	return out
}
