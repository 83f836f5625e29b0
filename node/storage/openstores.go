package storage

import (
	"errors"
	"fmt"
	"maps"

	"github.com/holdfast-storage/holdfast/leg"
	"github.com/holdfast-storage/holdfast/volume"
)

// openStores tries to open what is not open and returns why some are not. The caller holds
// reconciling.
func (m *Manager) openStores() error {
	var errs []error
	for _, s := range m.stores {
		if s.opened != nil {
			continue
		}
		opened, err := m.openStore(s)
		var total, free int64
		var measured error
		if err == nil { // now: whoever hears of the store before its first check would take it for full
			total, free, measured = opened.Usage()
		}
		m.mu.Lock()
		if err == nil {
			s.id, s.opened = opened.ID(), opened
			s.total, s.free, s.checkErr = total, free, measured
			m.log.Info("store open", "store", s.name, "id", s.id.String())
		} else if s.err == nil {
			m.log.Error("store cannot be used", "store", s.name, "error", err)
		}
		s.err = err
		m.mu.Unlock()
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// openStore opens a store, and makes it if the node never had one of this name.
func (m *Manager) openStore(s *store) (*leg.Store, error) {
	fsys := m.options.OpenFS(s.path)
	want, known := m.recorded.Stores[s.name]
	options := leg.StoreOptions{BootID: m.bootID, Instance: m.instance, Logger: m.log}
	opened, err := leg.OpenStore(fsys, options)
	if errors.Is(err, leg.ErrNoStore) && !known {
		if err = leg.InitStore(fsys, volume.NewStoreID(), m.options.Node); err == nil {
			opened, err = leg.OpenStore(fsys, options)
		}
	}
	switch {
	case errors.Is(err, leg.ErrNoStore):
		return nil, fmt.Errorf("store %s (%s): %w: %s was here before; mount its disk, or, if that is gone for good, "+
			"replace the node or give the new disk another store name", s.name, s.path, err, want)
	case err != nil:
		return nil, fmt.Errorf("store %s (%s): %w", s.name, s.path, err)
	}
	err = m.admitStore(s, opened, want, known)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("store %s (%s): %w", s.name, s.path, err), opened.Close())
	}
	m.keepWitness(s, opened)
	return opened, nil
}

// keepWitness gives a store that is admitted its witness. It works without as well.
func (m *Manager) keepWitness(s *store, opened *leg.Store) {
	if m.options.MemoryDir == "" {
		return
	}
	err := opened.KeepWitness(m.options.MemoryDir)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		m.log.Info("each write costs two system calls more: memory_dir is not in memory", "store", s.name, "error", err)
	case err != nil:
		m.log.Warn("each write costs two system calls more: there is no witness of them", "store", s.name, "error", err)
	}
}

// admitStore checks that the store belongs to this node and name (protocol §1.7.9) and remembers it.
func (m *Manager) admitStore(s *store, opened *leg.Store, want volume.StoreID, known bool) error {
	if opened.Node() != m.options.Node {
		return fmt.Errorf("it belongs to node %s, not to this one: a store never moves", opened.Node())
	}
	for _, other := range m.stores {
		if other != s && other.id == opened.ID() {
			return fmt.Errorf("it is the same as store %s: a copy, or the same directory twice", other.name)
		}
	}
	if known && opened.ID() != want {
		return fmt.Errorf("it is store %s, this name had %s before; give it a name of its own",
			opened.ID(), want)
	}
	if known {
		return nil
	}
	next := record{Format: RecordFormat, Stores: maps.Clone(m.recorded.Stores)}
	next.Stores[s.name] = opened.ID()
	if err := next.write(m.options.RecordFile); err != nil {
		return err
	}
	m.recorded = next
	return nil
}
