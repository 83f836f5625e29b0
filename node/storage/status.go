package storage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-storage/holdfast/leg"
	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/node/storage/disk"
	"github.com/holdfast-storage/holdfast/volume"
)

// checkLoop checks every store at an interval, each by a goroutine of its own, so that one disk that
// hangs hides no other. A store whose check still runs is not asked again: Status says how long.
func (m *Manager) checkLoop(ctx context.Context, running *sync.WaitGroup) {
	ticker := time.NewTicker(m.options.CheckEvery)
	defer ticker.Stop()
	for {
		for _, s := range m.dueStores() {
			running.Go(func() { m.checkStore(ctx, s) })
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// dueStores returns the open stores that no check runs on, and notes that one does now.
func (m *Manager) dueStores() []*store {
	m.mu.Lock()
	defer m.mu.Unlock()
	var due []*store
	for _, s := range m.stores {
		if s.opened != nil && s.checkStarted.IsZero() && !m.closed {
			s.checkStarted = time.Now()
			due = append(due, s)
		}
	}
	return due
}

// checkStore really reads every leg of a store and asks for its space.
func (m *Manager) checkStore(ctx context.Context, s *store) {
	total, free, err := s.opened.Usage()
	device, none := disk.Find(m.options.Sysfs, s.path)
	m.mu.Lock()
	s.disk.found(device, none)
	s.disk.look()
	m.mu.Unlock()
	for _, l := range m.legsOn(s) {
		if ctx.Err() != nil {
			break
		}
		result, checkErr := l.Check()
		m.mu.Lock()
		s.disk.note(result.ReadTime, checkErr)
		if served := m.legs[l.ID()]; served != nil && served.leg == l {
			served.checked, served.checkErr = result, checkErr
		}
		m.mu.Unlock()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	s.total, s.free, s.checkErr = total, free, err
	s.checkStarted = time.Time{}
}

func (m *Manager) legsOn(s *store) []*leg.Leg {
	m.mu.Lock()
	defer m.mu.Unlock()
	var legs []*leg.Leg
	for _, served := range m.legs {
		if served.store == s && served.leg != nil {
			legs = append(legs, served.leg)
		}
	}
	return legs
}

// Status returns what the node's heartbeat says of its stores and legs, from the latest checks. It
// does not touch a disk. Legs whose store is not on this node stand under a store without a name.
func (m *Manager) Status() []peer.StoreStatus {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	byStore := map[volume.StoreID]int{}
	var out []peer.StoreStatus
	for _, s := range m.stores {
		status := peer.StoreStatus{ID: s.id, Name: s.name, TotalBytes: s.total, FreeBytes: s.free}
		if err := errors.Join(s.err, s.checkErr, m.overdue(now, s)); err != nil {
			status.Error = err.Error()
		}
		if s.opened != nil {
			status.Disk = s.disk.status()
		}
		byStore[s.id] = len(out)
		out = append(out, status)
	}
	for _, served := range m.legs {
		i, known := byStore[served.order.Store]
		if !known {
			i = len(out)
			byStore[served.order.Store] = i
			out = append(out, peer.StoreStatus{ID: served.order.Store, Error: "this node has no such store"})
		}
		out[i].Legs = append(out[i].Legs, m.legStatus(now, served))
	}
	for id, s := range m.quarantined {
		i := byStore[s.id]
		out[i].Legs = append(out[i].Legs, peer.LegStatus{ID: id, State: peer.LegQuarantined,
			Error: "the coordinators do not know this leg: it is kept, not served"})
	}
	for i := range out {
		slices.SortFunc(out[i].Legs, func(a, b peer.LegStatus) int {
			return cmp.Compare(a.ID.String(), b.ID.String())
		})
	}
	return out
}

// overdue says that a check of a store has had no answer for three intervals.
func (m *Manager) overdue(now time.Time, s *store) error {
	if silent := now.Sub(s.checkStarted); !s.checkStarted.IsZero() && silent > 3*m.options.CheckEvery {
		return fmt.Errorf("its disk has not answered for %s", silent.Round(time.Second))
	}
	return nil
}

func (m *Manager) legStatus(now time.Time, served *servedLeg) peer.LegStatus {
	out := peer.LegStatus{ID: served.order.Leg, Volume: served.order.Volume, State: served.state}
	err := served.err
	if served.leg != nil {
		s := served.leg.Status()
		out.FenceEpoch, out.CfgVer, out.Sessions = s.Label.FenceEpoch, s.Label.Config.CfgVer, s.Sessions
		out.RefusedLogins, out.RefusedCommands = s.Counters.RefusedLogins, s.Counters.RefusedCommands
		out.ReadMicros, out.UsedBytes = served.checked.ReadTime.Microseconds(), served.checked.UsedBytes
		if err = errors.Join(s.Failed, served.checkErr, m.overdue(now, served.store)); err != nil {
			out.State = peer.LegBad
		}
	}
	if err != nil {
		out.Error = err.Error()
	}
	return out
}
