package scsi

import (
	"context"
	"sync"
)

// removal is who keeps the medium of a removable unit from being ejected.
type removal struct {
	mu         sync.Mutex
	preventing map[Nexus]struct{}
}

// preventAllow is PREVENT ALLOW MEDIUM REMOVAL (SPC-4 §6.16), of a removable unit only.
func preventAllow(d *Disk, _ context.Context, cmd *Command, res *Response) {
	d.removal.mu.Lock()
	defer d.removal.mu.Unlock()
	if cmd.aborted() {
		res.refuse(senseAborted)
		return
	}
	switch cmd.CDB[4] & 3 {
	case 0:
		delete(d.removal.preventing, cmd.Nexus)
	case 1:
		if d.removal.preventing == nil {
			d.removal.preventing = make(map[Nexus]struct{})
		}
		d.removal.preventing[cmd.Nexus] = struct{}{}
	default:
		res.refuse(senseInvalidFieldInCDB)
	}
}

// moveMedium loads or ejects the medium. Ejecting flushes first, so that what was written stays
// whatever happens to the file then.
func (d *Disk) moveMedium(ctx context.Context, load bool) (senseCode, error) {
	d.removal.mu.Lock()
	prevented := len(d.removal.preventing) > 0
	if !prevented && load {
		d.state.clear(conditionNoMedium)
	}
	if !prevented && !load {
		d.state.set(conditionNoMedium)
	}
	d.removal.mu.Unlock()
	switch {
	case prevented:
		return senseRemovalPrevented, nil
	case !load && d.limits.Volatile && !d.limits.ReadOnly:
		return 0, d.device.Flush(ctx)
	}
	return 0, nil
}

// allow ends what these nexuses prevented.
func (r *removal) allow(nexuses []Nexus) {
	if len(nexuses) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range nexuses {
		delete(r.preventing, n)
	}
}

// NexusLost implements Watcher: what the nexus prevented is allowed again.
func (d *Disk) NexusLost(n Nexus) {
	d.endSimple(func(holder Nexus) bool { return holder == n })
	d.removal.mu.Lock()
	defer d.removal.mu.Unlock()
	delete(d.removal.preventing, n)
}

// Unreported implements Watcher: the unit attention is pending again.
func (d *Disk) Unreported(n Nexus, s Sense) { d.attention.giveBack(n, s.code()) }

// Reset implements Watcher: every nexus is told with a unit attention, nobody prevents the removal of
// the medium any more, and the software write protection ends.
func (d *Disk) Reset() {
	d.endSimple(func(Nexus) bool { return true }) // before removal.mu: reservations take the two in that order
	d.removal.mu.Lock()
	defer d.removal.mu.Unlock()
	clear(d.removal.preventing)
	d.protect.Store(false)
	d.attention.raiseAll()
}
