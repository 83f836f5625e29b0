package storage

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/holdfast-storage/holdfast/leg"
	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/node/storage/disk"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// Manager is the storage role of one node. It is a target.Admission. It is safe for use by many
// goroutines; one of them must Run it.
type Manager struct {
	options  Options
	log      *slog.Logger
	bootID   string
	instance uint64
	wake     chan struct{} // capacity 1: there is a new assignment
	smartctl *disk.Smartctl

	reconciling sync.Mutex // one reconcile at a time; guards recorded, reported and opening of stores
	recorded    record
	reported    map[volume.LegID]raft.Command // what raft has heard of a leg from this process

	mu          sync.Mutex // guards what follows; never held across I/O
	assignment  peer.Assignment
	assigned    bool
	incarnation volume.ClusterID
	told        volume.ClusterID // see Told
	stores      []*store         // in the order of the configuration
	legs        map[volume.LegID]*servedLeg
	quarantined map[volume.LegID]*store
	closed      bool
}

// store is one configured store.
type store struct {
	name, path string
	id         volume.StoreID // zero until it is known
	opened     *leg.Store     // nil while it cannot be used
	err        error          // why it cannot

	total, free  int64 // bytes, of the latest check
	checkErr     error
	checkStarted time.Time // of the check that runs, zero when none does
	disk         diskWatch
}

// servedLeg is one leg with an order, served or not.
type servedLeg struct {
	order peer.LegOrder
	store *store   // nil if no configured store has its id
	leg   *leg.Leg // nil while it cannot be served
	state peer.LegCondition
	err   error // why it is not ok

	checked  leg.CheckResult // of the latest check
	checkErr error
}

// New opens the stores. Stores that cannot be opened do not fail it: they are reported by Status and
// tried again. Legs are served once an assignment orders them.
func New(o Options) (*Manager, error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("storage role: %w", err)
	}
	bootID, err := leg.ReadBootID(o.BootIDFile)
	if err != nil {
		return nil, fmt.Errorf("storage role: %w", err)
	}
	recorded, err := readRecord(o.RecordFile)
	if err != nil {
		return nil, fmt.Errorf("storage role: %w", err)
	}
	m := &Manager{
		options: o, log: o.Logger, bootID: bootID, instance: newInstance(), wake: make(chan struct{}, 1),
		smartctl: &disk.Smartctl{Program: o.Smartctl},
		recorded: recorded, reported: map[volume.LegID]raft.Command{},
		legs: map[volume.LegID]*servedLeg{}, quarantined: map[volume.LegID]*store{},
	}
	for _, s := range o.Stores {
		m.stores = append(m.stores, &store{name: s.Name, path: s.Path, id: recorded.Stores[s.Name]})
	}
	m.reconciling.Lock()
	defer m.reconciling.Unlock()
	m.openStores()
	return m, nil
}

// newInstance returns the random number of this start of the process; it is never zero.
func newInstance() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // crypto/rand.Read never returns an error
	return binary.BigEndian.Uint64(b[:]) | 1
}

// Stores returns the stores that the node has, for its registration: those that are open, and those
// that it remembers.
func (m *Manager) Stores() []raft.Store {
	m.mu.Lock()
	defer m.mu.Unlock()
	var stores []raft.Store
	for _, s := range m.stores {
		if !s.id.IsZero() {
			stores = append(stores, raft.Store{ID: s.id, Name: s.name})
		}
	}
	return stores
}

// Assign gives the manager its newest orders. It does not block: Run carries them out. An assignment
// that is older than the latest, or that of a node which is not registered, changes nothing.
func (m *Manager) Assign(a peer.Assignment) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !a.Registered || m.assigned && a.Older(&m.assignment) {
		return
	}
	m.assignment, m.assigned = a, true
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// Run carries out assignments and checks the legs until ctx ends. It returns when its goroutines have.
func (m *Manager) Run(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { m.checkLoop(ctx, &running) })
	running.Go(func() { m.smartLoop(ctx) })
	retry := time.NewTimer(m.options.RetryEvery)
	defer retry.Stop()
	said := "" // the error that was logged last: one that stays is not said again
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.wake:
		case <-retry.C:
		}
		err := m.Reconcile(ctx)
		if err == nil || ctx.Err() != nil {
			said = ""
			continue
		}
		if err.Error() != said {
			said = err.Error()
			m.log.Warn("storage orders are not all carried out yet", "error", err)
		}
		retry.Reset(m.options.RetryEvery)
	}
}

// Close ends every session, waits for the requests in flight and gives the stores up. The target must
// admit nobody any more.
func (m *Manager) Close() error {
	m.reconciling.Lock()
	defer m.reconciling.Unlock()
	m.mu.Lock()
	m.closed = true
	stores := m.stores
	m.legs = map[volume.LegID]*servedLeg{}
	m.mu.Unlock()
	var errs []error
	for _, s := range stores {
		if s.opened != nil {
			errs = append(errs, s.opened.Close())
		}
	}
	return errors.Join(errs...)
}
