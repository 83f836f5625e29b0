package engine

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/iscsi"
	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/volume"
)

// newerEpoch reports whether the text keys of a refused login prove that the leg was fenced by an
// epoch above own (protocol-flush F, "What means fenced"). A key that is no number proves nothing.
func newerEpoch(own volume.Epoch, keys []iscsi.KeyValue) bool {
	for _, k := range keys {
		if k.Key != volume.EpochTextKey {
			continue
		}
		if n, err := strconv.ParseUint(k.Value, 10, 64); err == nil && volume.Epoch(n) > own {
			return true
		}
	}
	return false
}

// loginFailure gives the failure of a login its meaning for the mirror: it wraps exactly one of
// block.ErrFenced, block.ErrUnreachable and block.ErrFailed. Only a refusal that proves a newer
// epoch, or RESERVATION CONFLICT, is a fence; whatever is not known is the failure of that leg.
func loginFailure(err error) error {
	switch {
	case errors.Is(err, block.ErrFenced), errors.Is(err, block.ErrUnreachable),
		errors.Is(err, block.ErrFailed):
		return err
	}
	return fmt.Errorf("%w: %w", block.ErrFailed, err)
}

// checkReport returns why the leg that answered is not the one of the ticket, nil if it is: a portal whose
// address or port another node has now, a disk in another's place. A leg that is another's, or was not
// fenced by this login, is never read or written (protocol §1.7.9, I14).
func checkReport(t *peer.Ticket, l *peer.TicketLeg, r volume.LegReport) error {
	label := r.Label
	var why string
	switch {
	case label.Incarnation != t.Incarnation && !slices.Contains(t.Former, label.Incarnation):
		why = fmt.Sprintf("its label belongs to cluster incarnation %s, not %s", label.Incarnation, t.Incarnation)
	case label.VolumeID != t.Volume:
		why = fmt.Sprintf("its label is of volume %s, not %s", label.VolumeID, t.Volume)
	case label.LegID != l.ID:
		why = fmt.Sprintf("its label is of leg %s", label.LegID)
	case label.StoreID != l.Store:
		why = fmt.Sprintf("its label was made on store %s, not %s", label.StoreID, l.Store)
	case label.SizeBytes != t.SizeBytes:
		why = fmt.Sprintf("its label is of a volume of %d bytes, not %d", label.SizeBytes, t.SizeBytes)
	case t.Layout.Kind == volume.KindParity && (label.Layout != t.Layout || label.Slot != l.Slot):
		// Which part of a volume a leg of parity holds is its slot; each leg of a mirror holds all of it.
		why = fmt.Sprintf("its label is of slot %d of %s, not slot %d of %s", label.Slot, label.Layout, l.Slot,
			t.Layout)
	case label.FenceEpoch != t.Epoch || label.AttachID != t.AttachID:
		why = fmt.Sprintf("its label has epoch %s of attachment %s after a login with epoch %s of %s",
			label.FenceEpoch, label.AttachID, t.Epoch, t.AttachID)
	default:
		return nil
	}
	return fmt.Errorf("%w: %s", block.ErrFailed, why)
}
