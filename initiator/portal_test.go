package initiator_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/block/memdev"
	"github.com/holdfast-storage/holdfast/initiator"
	"github.com/holdfast-storage/holdfast/iscsi"
	"github.com/holdfast-storage/holdfast/scsi"
	"github.com/holdfast-storage/holdfast/target"
)

const (
	targetName    = "iqn.2026-11.com.example:disk"
	initiatorName = "iqn.2026-11.com.example:host"
	epochKey      = "X-io.example.epoch"
)

// portal is our own target with one logical unit, with handles for what a test does to it.
type portal struct {
	t     *testing.T
	addr  string
	creds target.Credentials

	mu      sync.Mutex
	unit    scsi.LogicalUnit
	refusal *target.Refusal // of the next logins
	logins  int
	isids   map[iscsi.ISID]bool
	conns   []net.Conn // the initiator's ends
	closed  bool       // no connection gets through
}

func newPortal(t *testing.T, unit scsi.LogicalUnit) *portal {
	t.Helper()
	p := &portal{t: t, unit: unit, isids: map[iscsi.ISID]bool{}}
	server, err := target.New(target.Options{Admission: p})
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p.addr = l.Addr().String()
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		require.NoError(t, server.Shutdown(ctx))
		<-served
	})
	return p
}

// Credentials implements target.Admission.
func (p *portal) Credentials(context.Context, target.Attempt) (target.Credentials, error) {
	return p.creds, nil
}

// Admit implements target.Admission.
func (p *portal) Admit(_ context.Context, a target.Attempt, _ target.SessionControl) (target.Grant, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refusal != nil {
		return target.Grant{}, p.refusal
	}
	p.logins++
	p.isids[a.ISID] = true
	return target.Grant{LUNs: map[uint64]scsi.LogicalUnit{0: p.unit}}, nil
}

// Targets implements target.Admission.
func (p *portal) Targets(string) []string { return nil }

// with runs a change of the portal's fields.
func (p *portal) with(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

// dial is the LUN's Dial.
func (p *portal) dial(ctx context.Context) (net.Conn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errors.New("connection refused by the test")
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", p.addr)
	if err == nil {
		p.conns = append(p.conns, conn)
	}
	return conn, err
}

// cut breaks all connections that were dialled so far.
func (p *portal) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.conns = nil
}

func (p *portal) sessionOptions() initiator.Options {
	return initiator.Options{
		TargetName: targetName, InitiatorName: initiatorName, ISID: iscsi.ISID{0x80, 0, 0, 0, 0, 3},
		Fenced: func(keys []iscsi.KeyValue) bool {
			for _, k := range keys {
				if k.Key == epochKey {
					return true
				}
			}
			return false
		},
	}
}

func (p *portal) open(change func(*initiator.LUNOptions)) *initiator.LUN {
	p.t.Helper()
	o := initiator.LUNOptions{Session: p.sessionOptions(), Dial: p.dial, BackoffMin: time.Millisecond}
	if change != nil {
		change(&o)
	}
	lun, err := initiator.OpenLUN(p.t.Context(), o)
	require.NoError(p.t, err)
	return lun
}

// login makes a plain session.
func (p *portal) login() *initiator.Session {
	p.t.Helper()
	conn, err := p.dial(p.t.Context())
	require.NoError(p.t, err)
	s, err := initiator.Login(p.t.Context(), conn, p.sessionOptions())
	require.NoError(p.t, err)
	p.t.Cleanup(s.Close)
	return s
}

func newMemory(t *testing.T, blockBytes int64) *memdev.Device {
	t.Helper()
	d, err := memdev.New(memdev.Options{SizeBytes: 4 << 20, BlockBytes: blockBytes})
	require.NoError(t, err)
	return d
}

func newDisk(t *testing.T, d block.Device, change func(*scsi.Options)) *scsi.Disk {
	t.Helper()
	o := scsi.Options{Serial: "serial-1", NAA: scsi.LocalNAA([]byte("1"))}
	if change != nil {
		change(&o)
	}
	disk, err := scsi.New(d, o)
	require.NoError(t, err)
	return disk
}
