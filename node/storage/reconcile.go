package storage

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/holdfast-storage/holdfast/leg"
	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// Reconcile carries out the newest assignment and reports what raft must hear. It is idempotent. The
// error says what is not done; the rest is. Blocks for the disks.
func (m *Manager) Reconcile(ctx context.Context) error {
	m.reconciling.Lock()
	defer m.reconciling.Unlock()
	m.mu.Lock()
	a, assigned, closed := m.assignment, m.assigned, m.closed
	m.mu.Unlock()
	if closed {
		return nil
	}
	opened := m.openStores()
	if !assigned {
		return opened
	}
	errs := []error{opened}
	m.mu.Lock()
	if m.incarnation != a.Incarnation {
		clear(m.reported) // coordinators that were restored do not know what was reported to those before
	}
	m.incarnation = a.Incarnation
	m.mu.Unlock()
	ordered := map[volume.LegID]bool{}
	for _, order := range a.Legs {
		ordered[order.Leg] = true
		if err := m.carryOut(ctx, a, order); err != nil {
			errs = append(errs, fmt.Errorf("%s leg %s: %w", order.Action, order.Leg, err))
		}
	}
	listed := m.quarantine(ordered)
	errs = append(errs, listed)
	if a.Adopt {
		found := m.reportFound(ctx)
		errs = append(errs, found)
		m.noteTold(a.Incarnation, errors.Join(opened, listed, found))
	}
	return errors.Join(errs...)
}

// carryOut makes one order so.
func (m *Manager) carryOut(ctx context.Context, a peer.Assignment, order peer.LegOrder) error {
	s := m.storeOf(order.Store)
	if s == nil || s.opened == nil {
		// Nothing is known of the leg, least of all that it is lost: its disk may come back.
		m.serve(&servedLeg{order: order, store: s, state: peer.LegMissing,
			err: fmt.Errorf("its store %s is not open on this node", order.Store)})
		return nil
	}
	switch order.Action {
	case peer.LegDelete:
		return m.remove(ctx, s, order)
	case peer.LegProvision:
		if err := s.opened.Provision(spec(a, order)); err != nil {
			m.serve(&servedLeg{order: order, store: s, state: peer.LegBad, err: err})
			return err
		}
		m.keep(s, order)
		return m.report(ctx, order.Leg, raft.Command{
			LegProvisioned: &raft.LegProvisioned{Volume: order.Volume, Leg: order.Leg}})
	case peer.LegKeep:
		if lost := m.keep(s, order); lost != "" {
			return m.report(ctx, order.Leg, raft.Command{
				LegLost: &raft.LegLost{Volume: order.Volume, Leg: order.Leg, Reason: lost}})
		}
		if order.Verify {
			return m.reportLabel(ctx, s, order)
		}
		return nil
	}
	return fmt.Errorf("action %q is unknown: this node is older than its coordinators", order.Action)
}

// keep serves a leg. It returns why the leg is lost, empty if it is not; one that cannot be served
// for another reason is not lost. The label is looked at before the leg is opened, which writes to it.
func (m *Manager) keep(s *store, order peer.LegOrder) (lost string) {
	served := &servedLeg{order: order, store: s, state: peer.LegBad}
	label, err := s.opened.ReadLabel(order.Leg)
	if err == nil {
		err = spec(peer.Assignment{}, order).Match(label)
	}
	gone := (*leg.LostError)(nil)
	switch {
	case err == nil && label.FenceEpoch < order.FloorEpoch:
		// Raft has seen a newer label of this leg: what is here is an older state of the disk. The newer one is not
		// lost by that: whoever put the wrong disk in can put the right one back.
		err = fmt.Errorf("leg %s was rolled back: its label has epoch %s, raft recorded %s: "+
			"bring the right disk back, replace the leg, or attach the volume "+
			"with --accept-loss to go on from what is there",
			order.Leg, label.FenceEpoch, order.FloorEpoch)
	case err == nil:
		served.leg, err = s.opened.OpenLeg(order.Leg)
	case errors.Is(err, leg.ErrMismatch):
		served.state = peer.LegQuarantined
	}
	if errors.As(err, &gone) {
		served.state, lost = peer.LegMissing, gone.Error()
	}
	if err == nil {
		served.state = peer.LegOK
	} else {
		err = errors.Join(err, m.unserve(order.Leg))
	}
	served.err = err
	m.serve(served)
	return lost
}

// unserve closes a leg that must not be served any more.
func (m *Manager) unserve(id volume.LegID) error {
	m.mu.Lock()
	served := m.legs[id]
	m.mu.Unlock()
	if served == nil || served.leg == nil {
		return nil
	}
	return served.leg.Close()
}

// remove deletes a leg that has a tombstone.
func (m *Manager) remove(ctx context.Context, s *store, order peer.LegOrder) error {
	m.mu.Lock()
	delete(m.legs, order.Leg)
	delete(m.quarantined, order.Leg)
	m.mu.Unlock()
	if err := s.opened.Delete(order.Leg); err != nil {
		return err
	}
	return m.report(ctx, order.Leg, raft.Command{LegDeleted: &raft.LegDeleted{Leg: order.Leg}})
}

// serve replaces what is known of a leg, keeping the results of its checks if it is the same open
// leg.
func (m *Manager) serve(next *servedLeg) {
	m.mu.Lock()
	defer m.mu.Unlock()
	last := m.legs[next.order.Leg]
	if last != nil && last.leg == next.leg {
		next.checked, next.checkErr = last.checked, last.checkErr
	}
	if last == nil || last.state != next.state {
		m.log.Info("leg state", "leg", next.order.Leg.String(), "volume", next.order.VolumeName,
			"to", string(next.state), "cause", next.err)
	}
	m.legs[next.order.Leg] = next
	delete(m.quarantined, next.order.Leg)
}

// report tells raft what it must know, once in the life of the process.
func (m *Manager) report(ctx context.Context, id volume.LegID, c raft.Command) error {
	if reflect.DeepEqual(m.reported[id], c) {
		return nil
	}
	if err := m.options.Report(ctx, c); err != nil {
		return fmt.Errorf("report to the coordinators: %w", err)
	}
	m.reported[id] = c
	return nil
}

// quarantine stops serving what has no order and lists what is on the disks without one. The data
// stays: after a rollback of raft a good leg looks unknown.
func (m *Manager) quarantine(ordered map[volume.LegID]bool) error {
	m.mu.Lock()
	var unserved []*leg.Leg
	for id, served := range m.legs {
		if ordered[id] {
			continue
		}
		delete(m.legs, id)
		if served.leg != nil {
			unserved = append(unserved, served.leg)
		}
	}
	stores := m.stores
	m.mu.Unlock()
	var errs []error
	for _, l := range unserved {
		errs = append(errs, l.Close())
	}
	found := map[volume.LegID]*store{}
	for _, s := range stores {
		if s.opened == nil {
			continue
		}
		ids, err := s.opened.List()
		errs = append(errs, err)
		for _, id := range ids {
			if !ordered[id] {
				found[id] = s
			}
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, s := range found {
		if m.quarantined[id] == nil {
			m.log.Warn("leg quarantined: raft does not know it; it is kept and not served",
				"leg", id.String(), "store", s.name)
		}
	}
	m.quarantined = found
	return errors.Join(errs...)
}

func (m *Manager) storeOf(id volume.StoreID) *store {
	for _, s := range m.stores {
		if s.id == id && !id.IsZero() {
			return s
		}
	}
	return nil
}

func spec(a peer.Assignment, o peer.LegOrder) leg.Spec {
	return leg.Spec{
		Leg: o.Leg, Volume: o.Volume, VolumeName: o.VolumeName, DataGen: o.DataGen,
		Incarnation: a.Incarnation, Former: a.Former,
		Layout: o.Layout, Slot: o.Slot, Durability: o.Durability, SizeBytes: o.SizeBytes,
	}
}
