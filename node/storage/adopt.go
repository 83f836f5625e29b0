package storage

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// After a restore the coordinators may know less of legs than their labels do. A storage node tells them: of
// a leg that they know, how far its label has come, so that the next epoch is above it; and, as long as they
// ask for it, which legs there are that they do not know.

// reportLabel tells how far the label of a leg has come whose volume is to be verified.
func (m *Manager) reportLabel(ctx context.Context, s *store, order peer.LegOrder) error {
	label, err := s.opened.ReadLabel(order.Leg)
	if err != nil {
		return nil // what is wrong with it is reported otherwise
	}
	return m.report(ctx, order.Leg, raft.Command{NoteLabel: &raft.NoteLabel{Leg: order.Leg,
		Epoch: label.FenceEpoch, CfgVer: label.Config.CfgVer}})
}

// Told returns the incarnation whose coordinators have heard of every leg on this node's disks, as long as they ask
// for it; zero while something on the disks cannot be read or told.
func (m *Manager) Told() volume.ClusterID {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.told
}

// noteTold notes whether the coordinators of an incarnation have heard of all that is on the disks.
func (m *Manager) noteTold(incarnation volume.ClusterID, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.told = incarnation; err != nil {
		m.told = volume.ClusterID{}
	}
}

// reportFound tells of the legs that have no order. One that the coordinators refuse is not told again by this
// process, unless they only do not know the node or its store yet.
func (m *Manager) reportFound(ctx context.Context) error {
	m.mu.Lock()
	found := maps.Clone(m.quarantined)
	m.mu.Unlock()
	ids := slices.SortedFunc(maps.Keys(found), func(a, b volume.LegID) int {
		return slices.Compare(a.UUID[:], b.UUID[:])
	})
	var errs []error
	for _, id := range ids {
		s := found[id]
		label, err := s.opened.ReadLabel(id)
		if err != nil {
			errs = append(errs, fmt.Errorf("leg %s, which nobody knows, has no label that can be read: %w", id, err))
			continue
		}
		cmd := raft.Command{AdoptLeg: &raft.AdoptLeg{Node: m.options.Node, Store: s.id, Label: label}}
		err = m.report(ctx, id, cmd)
		refused := (*raft.Refusal)(nil)
		if errors.As(err, &refused) && refused.Code != raft.CodeNotFound {
			m.log.Warn("a leg that was found is not taken into a volume", "leg", id.String(), "cause", refused.Message)
			m.reported[id], err = cmd, nil
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
