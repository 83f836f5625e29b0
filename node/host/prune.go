package host

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/holdfast-storage/holdfast/domain"
	"github.com/holdfast-storage/holdfast/node/pause"
	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/volume"
)

// When the host asks which volumes there are no more.
const (
	pruneFirst = time.Minute // from its start: it has more urgent things to do then
	pruneEvery = time.Hour
)

// prunes has the host forget what it remembers of volumes that were deleted, now and then, until its end.
func (h *Host) prunes() {
	for wait := pruneFirst; pause.For(h.life, wait); wait = pruneEvery {
		if err := h.prune(h.life); err != nil && h.life.Err() == nil {
			h.options.Logger.Info("attachments of volumes that are gone are kept for now", "error", err)
		}
	}
}

// prune asks once about volumes that nothing here has to do with, and forgets those that are gone.
func (h *Host) prune(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, jobTimeout)
	defer cancel()
	found := make(chan map[volume.ID]volume.AttachID, 1)
	h.post(func() { found <- h.core.idleVolumes() })
	var idle map[volume.ID]volume.AttachID
	select {
	case idle = <-found:
	case <-ctx.Done():
		return ctx.Err()
	}
	for ids := range slices.Chunk(slices.Collect(maps.Keys(idle)), peer.GoneMax) {
		names, err := h.options.Coordinators.Gone(ctx, ids)
		if err != nil {
			return err
		}
		gone := make(map[volume.ID]volume.AttachID)
		for _, id := range names {
			gone[id] = idle[id]
		}
		if err := h.ledger.forget(gone); err != nil {
			return err
		}
		h.post(func() { h.core.volumesGone(gone) })
		if len(gone) > 0 {
			h.options.Logger.Info("attachments of volumes that are gone are forgotten", "volumes", len(gone))
		}
	}
	return nil
}

// idleVolumes returns the volumes of which nothing but their latest attachment is known here, with that.
func (c *core) idleVolumes() map[volume.ID]volume.AttachID {
	found := make(map[volume.ID]volume.AttachID)
	for id, v := range c.volumes {
		if c.assigned && !v.spent.IsZero() && c.unused(v) {
			found[id] = v.spent
		}
	}
	return found
}

// unused reports whether a volume is not granted to this host, and has neither engine nor guest here, as far as is
// known.
func (c *core) unused(v *volumeView) bool {
	if v.want != nil || v.engine != nil || v.job != idle {
		return false
	}
	for _, d := range c.domains {
		if d.guest != nil && slices.ContainsFunc(d.guest.order.Volumes, func(x domain.Volume) bool {
			return x.ID == v.id
		}) {
			return false
		}
	}
	return true
}

// volumesGone takes in that what was recorded of volumes is forgotten.
func (c *core) volumesGone(gone map[volume.ID]volume.AttachID) {
	for id, a := range gone {
		if v := c.volumes[id]; v != nil && v.spent == a && c.unused(v) {
			delete(c.volumes, id)
		}
	}
}
