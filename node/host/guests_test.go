package host

import (
	"context"
	"errors"
	"maps"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/domain"
	"github.com/holdfast-storage/holdfast/domain/proc"
	"github.com/holdfast-storage/holdfast/node/peer"
)

// foreign is a driver that remembers one guest of the domain, which runs until it is stopped. It starts none.
type foreign struct {
	process
	forgotten atomic.Bool
}

func (f *foreign) Start(context.Context, domain.Order) (domain.Process, error) {
	return nil, domain.ErrRunning
}

func (f *foreign) Adopt(context.Context, string) (domain.Process, error) {
	if f.forgotten.Load() {
		return nil, domain.ErrNone
	}
	return &f.process, nil
}

func (f *foreign) Forget(string) error {
	f.forgotten.Store(true)
	return nil
}

type process struct {
	order    domain.Order
	done     chan struct{}
	released bool
}

func (p *process) Order() domain.Order   { return p.order }
func (p *process) ID() proc.ID           { return proc.ID{PID: 1 << 30} }
func (p *process) KillCommand() []string { return nil }
func (p *process) Done() <-chan struct{} { return p.done }
func (p *process) Release()              { p.released = true }

func (p *process) State() domain.State {
	select {
	case <-p.done:
		return domain.State{Phase: domain.PhaseStopped}
	default:
		return domain.State{Phase: domain.PhaseRunning}
	}
}

func (p *process) Stop(context.Context, time.Duration) error {
	close(p.done) // a second time is a fault of the host, which panics here
	return nil
}

// A domain whose driver was changed starts under the new one only when the guest of the old one has ended, also when
// the daemon that started that one is gone.
func TestHost_guestOfAnotherDriverEndsFirst(t *testing.T) {
	m := newMachine(t)
	old := &foreign{process: process{order: domain.Order{Name: "web1", Run: 0}, done: make(chan struct{})}}
	m.drivers = map[string]domain.Driver{"foreign": old}
	m.boot()
	ticket := m.attach("root")
	m.order(ticket, "exec sleep 1000")
	guest := m.guest(domain.PhaseRunning, 0)
	require.EqualValues(t, 1, guest.Run)
	select {
	case <-old.done:
	default:
		require.Fail(t, "two guests of one domain run")
	}
	require.True(t, old.forgotten.Load())
}

// unreadable is a driver whose record of a domain is damaged.
type unreadable struct{ foreign }

func (u *unreadable) Adopt(context.Context, string) (domain.Process, error) {
	return nil, errors.New("the record is damaged")
}

// While it is not known which guests there are none is followed, and so nobody watches one.
func TestHost_noGuestIsWatchedWhileARecordIsDamaged(t *testing.T) {
	found := &foreign{process: process{done: make(chan struct{})}}
	h := &Host{options: Options{Drivers: map[string]domain.Driver{"a": found, "b": &unreadable{}}}}
	_, err := h.remembered(t.Context(), "web1")
	require.ErrorContains(t, err, "the record is damaged")
	require.True(t, found.released)
}

// withDrivers returns the drivers of a test's host.
func (m *machine) withDrivers(own map[string]domain.Driver) map[string]domain.Driver {
	all := maps.Clone(own)
	maps.Copy(all, m.drivers)
	return all
}

// Of a guest that nothing is known of the host waits to know: it starts nothing meanwhile, and does not end, which
// would take the other roles of its node along.
func TestHost_waitsUntilItKnowsItsGuests(t *testing.T) {
	m := newMachine(t)
	m.drivers = map[string]domain.Driver{"b": &unreadable{}}
	require.NoError(t, os.MkdirAll(DomainDir(m.run, "web1"), 0o700))
	m.boot()
	m.attach("root")
	for range 200 { // nobody who brings an assignment waits
		m.host.Assign(peer.Assignment{Revision: 1, Registered: true})
	}
	engines, _ := m.host.Status()
	require.Empty(t, engines)
	m.stopHost()
}

// A host that has not found yet what runs on it says so: that it names no engine and no guest means nothing.
func TestHost_saysThatItLooksYet(t *testing.T) {
	m := newMachine(t)
	m.drivers = map[string]domain.Driver{"b": &unreadable{}}
	require.NoError(t, os.MkdirAll(DomainDir(m.run, "web1"), 0o700))
	m.boot()
	for range 200 {
		m.host.Assign(peer.Assignment{Revision: 1, Registered: true})
	}
	require.True(t, m.host.Looking())
	m.stopHost()
	require.NoError(t, os.RemoveAll(DomainDir(m.run, "web1")))
	m.boot()
	require.Eventually(t, func() bool { return !m.host.Looking() }, patience, 5*time.Millisecond)
}
