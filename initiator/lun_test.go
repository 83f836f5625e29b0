package initiator_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/block/blocktest"
	"github.com/holdfast-storage/holdfast/initiator"
	"github.com/holdfast-storage/holdfast/scsi"
	"github.com/holdfast-storage/holdfast/target"
)

// A remote device is a device like any other.
func TestLUN_suite(t *testing.T) {
	for name, test := range map[string]struct {
		blockBytes int64
		change     func(*initiator.LUNOptions)
	}{
		"512-byte blocks":  {512, nil},
		"4096-byte blocks": {4096, func(o *initiator.LUNOptions) { o.Session.QueueDepth = 1 }},
		"digests": {512, func(o *initiator.LUNOptions) {
			o.Session.HeaderDigest, o.Session.DataDigest = true, true
		}},
	} {
		t.Run(name, func(t *testing.T) {
			blocktest.Run(t, func(t *testing.T) block.Device {
				return newPortal(t, newDisk(t, newMemory(t, test.blockBytes), nil)).open(test.change)
			})
		})
	}
}

func TestLUN_CHAP(t *testing.T) {
	p := newPortal(t, newDisk(t, newMemory(t, 512), nil))
	p.creds = target.Credentials{User: "u", Secret: "one secret of many",
		MutualUser: "t", MutualSecret: "another secret then"}
	chap := initiator.CHAP{User: "u", Secret: p.creds.Secret, MutualUser: "t", MutualSecret: p.creds.MutualSecret}
	lun := p.open(func(o *initiator.LUNOptions) { o.Session.CHAP = chap })
	require.NoError(t, lun.Close())

	for _, wrong := range []initiator.CHAP{
		{}, {User: "u", Secret: "not the one it was"}, {User: "v", Secret: chap.Secret},
		{User: "u", Secret: chap.Secret, MutualUser: "t", MutualSecret: "not what it proves"},
	} {
		o := initiator.LUNOptions{Session: p.sessionOptions(), Dial: p.dial}
		o.Session.CHAP = wrong
		_, err := initiator.OpenLUN(t.Context(), o)
		require.ErrorIs(t, err, block.ErrFailed)
		require.NotErrorIs(t, err, block.ErrFenced)
	}
}

func TestLUN_limits(t *testing.T) {
	mem := newMemory(t, 4096)
	p := newPortal(t, newDisk(t, says{mem, func(l *block.Limits) { l.Volatile = true }},
		func(o *scsi.Options) { o.MaxTransferBytes = 64 << 10 }))
	lun := p.open(nil)
	defer lun.Close()
	require.Equal(t, block.Limits{SizeBytes: 4 << 20, BlockBytes: 4096, MaxBytes: 64 << 10,
		CanUnmap: true, Volatile: true}, lun.Limits())

	read := newPortal(t, newDisk(t, says{mem, func(l *block.Limits) { l.ReadOnly = true }}, nil)).open(nil)
	defer read.Close()
	require.True(t, read.Limits().ReadOnly)
	require.False(t, read.Limits().CanUnmap)
	require.ErrorIs(t, read.Write(t.Context(), make([]byte, 4096), 0, 0), block.ErrReadOnly)
}

// says is a device that says something else of itself.
type says struct {
	block.Device
	change func(*block.Limits)
}

func (d says) Limits() block.Limits {
	l := d.Device.Limits()
	d.change(&l)
	return l
}

// Every error of the device means the same at this end of the wire.
func TestLUN_errorsOfTheDevice(t *testing.T) {
	faulty := blocktest.NewFaulty(newMemory(t, 512))
	lun := newPortal(t, newDisk(t, faulty, nil)).open(nil)
	defer lun.Close()
	for _, err := range []error{block.ErrFenced, block.ErrFailed, block.ErrMedium, block.ErrNoSpace,
		block.ErrReadOnly, block.ErrOutOfRange, block.ErrUnsupported, block.ErrUnreachable} {
		arm := faulty.Arm(blocktest.Fault{Err: err})
		require.ErrorIs(t, lun.Read(t.Context(), make([]byte, 512), 0), err)
		require.ErrorIs(t, lun.Write(t.Context(), make([]byte, 512), 0, block.FUA), err)
		require.ErrorIs(t, lun.Flush(t.Context()), err)
		require.ErrorIs(t, lun.Zero(t.Context(), block.Range{Len: 512}, 0), err)
		arm.Switch(false)
		require.Equal(t, 4, arm.Struck())
	}
	require.NoError(t, lun.Read(t.Context(), make([]byte, 512), 0), "none of them ends the LUN")
}

// Connections break all the time; every request is done all the same, and is done right.
func TestLUN_goesOnAfterLostSessions(t *testing.T) {
	p := newPortal(t, newDisk(t, newMemory(t, 512), nil))
	lun := p.open(func(o *initiator.LUNOptions) { o.BackoffMax = 2 * time.Millisecond })
	var work sync.WaitGroup
	for worker := range 4 {
		work.Go(func() {
			own := int64(worker) << 20
			for i := range 20 {
				data := bytes.Repeat([]byte{byte(1 + worker + 4*i)}, 128<<10)
				if err := lun.Write(context.Background(), data, own, 0); err != nil {
					t.Errorf("worker %d: write %d: %v", worker, i, err)
					return
				}
				got := make([]byte, len(data))
				if err := lun.Read(context.Background(), got, own); err != nil || !bytes.Equal(got, data) {
					t.Errorf("worker %d: read %d: %v, equal %v", worker, i, err, bytes.Equal(got, data))
					return
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { work.Wait(); close(done) }()
	for tick := time.NewTicker(10 * time.Millisecond); ; {
		select {
		case <-tick.C:
			p.cut()
			continue
		case <-done:
			tick.Stop()
		}
		break
	}
	require.NoError(t, lun.Close())
	p.with(func() {
		require.Greater(t, p.logins, 2, "connections were cut")
		require.Len(t, p.isids, 1, "every login reinstates the same session")
	})
}

// gated is a device whose writes wait until they are let go.
type gated struct {
	block.Device
	entered chan struct{}
	release chan struct{}
}

func (d *gated) Write(ctx context.Context, p []byte, off int64, f block.Flags) error {
	d.entered <- struct{}{}
	<-d.release
	return d.Device.Write(ctx, p, off, f)
}

func newGated(t *testing.T) *gated {
	return &gated{Device: newMemory(t, 512), entered: make(chan struct{}, 16), release: make(chan struct{})}
}

func TestLUN_fencedAtRelogin(t *testing.T) {
	device := newGated(t)
	p := newPortal(t, newDisk(t, device, nil))
	lun := p.open(nil)
	results := make(chan error, 1)
	go func() { results <- lun.Write(context.Background(), make([]byte, 512), 0, 0) }()
	<-device.entered
	p.with(func() {
		p.refusal = &target.Refusal{Class: 2, Detail: 2, Reason: "newer epoch", TextKeys: [][2]string{{epochKey, "8"}}}
	})
	p.cut()
	close(device.release)
	require.ErrorIs(t, <-results, block.ErrFenced)
	require.ErrorIs(t, lun.Read(t.Context(), make([]byte, 512), 0), block.ErrFenced)
	p.with(func() { p.refusal = nil })
	require.ErrorIs(t, lun.Flush(t.Context()), block.ErrFenced, "fenced is for good")
	require.NoError(t, lun.Close())
}

// A login that is refused for another reason is tried again, and says nothing of a fence.
func TestLUN_refusedForAWhile(t *testing.T) {
	p := newPortal(t, newDisk(t, newMemory(t, 512), nil))
	lun := p.open(func(o *initiator.LUNOptions) { o.RequestTimeout = 150 * time.Millisecond })
	defer lun.Close()
	p.with(func() { p.refusal = &target.Refusal{Class: 3, Detail: 1, Reason: "not now"} })
	p.cut()
	err := lun.Read(t.Context(), make([]byte, 512), 0)
	require.ErrorIs(t, err, block.ErrUnreachable)
	require.NotErrorIs(t, err, block.ErrFenced)
	p.with(func() { p.refusal = nil })
	require.Eventually(t, func() bool { return lun.Read(t.Context(), make([]byte, 512), 0) == nil },
		10*time.Second, time.Millisecond)
}

func TestLUN_requestTimeout(t *testing.T) {
	device := newGated(t)
	p := newPortal(t, newDisk(t, device, nil))
	lun := p.open(func(o *initiator.LUNOptions) { o.RequestTimeout = 100 * time.Millisecond })
	start := time.Now()
	// The target has it and does not answer: the session must end first, to let go of the data.
	err := lun.Write(context.Background(), make([]byte, 512), 0, 0)
	require.ErrorIs(t, err, block.ErrUnreachable)
	require.ErrorContains(t, err, "no answer within 100ms")
	require.GreaterOrEqual(t, time.Since(start), 100*time.Millisecond)
	close(device.release)

	p.with(func() { p.closed = true })
	p.cut()
	require.ErrorIs(t, lun.Flush(context.Background()), block.ErrUnreachable)
	p.with(func() { p.closed = false })
	require.Eventually(t, func() bool { return lun.Flush(t.Context()) == nil }, 10*time.Second, time.Millisecond)
	require.NoError(t, lun.Close())
}

// What is behind an address may have been exchanged while nobody looked.
func TestLUN_anotherUnitAnswers(t *testing.T) {
	for name, other := range map[string]func(t *testing.T) scsi.LogicalUnit{
		"another serial": func(t *testing.T) scsi.LogicalUnit {
			return newDisk(t, newMemory(t, 512), func(o *scsi.Options) { o.Serial = "serial-2" })
		},
		"another size": func(t *testing.T) scsi.LogicalUnit {
			return newDisk(t, says{newMemory(t, 512), func(l *block.Limits) { l.SizeBytes /= 2 }}, nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPortal(t, newDisk(t, newMemory(t, 512), nil))
			lun := p.open(nil)
			defer lun.Close()
			p.with(func() { p.unit = other(t) })
			p.cut()
			require.Eventually(t, func() bool {
				return errors.Is(lun.Write(t.Context(), make([]byte, 512), 0, 0), block.ErrFailed)
			}, 10*time.Second, time.Millisecond)
		})
	}
}

func TestLUN_closeEndsWhatIsInFlight(t *testing.T) {
	device := newGated(t)
	lun := newPortal(t, newDisk(t, device, nil)).open(nil)
	results := make(chan error, 1)
	go func() { results <- lun.Write(context.Background(), make([]byte, 512), 0, 0) }()
	<-device.entered
	closed := make(chan error, 1)
	go func() { closed <- lun.Close() }()
	require.Eventually(t, func() bool { return errors.Is(lun.Flush(t.Context()), block.ErrClosed) },
		10*time.Second, time.Millisecond)
	close(device.release)
	require.NoError(t, <-closed)
	// It was answered before the session let go of it, or was not: nothing else.
	if err := <-results; err != nil {
		require.ErrorIs(t, err, block.ErrClosed)
	}
	require.NoError(t, lun.Close())
}

func TestOpenLUN_fails(t *testing.T) {
	p := newPortal(t, scsi.NoLUN{})
	_, err := initiator.OpenLUN(t.Context(), initiator.LUNOptions{Session: p.sessionOptions(), Dial: p.dial})
	require.ErrorIs(t, err, block.ErrFailed)
	require.ErrorContains(t, err, "LOGICAL UNIT NOT SUPPORTED")

	p.with(func() { p.closed = true })
	_, err = initiator.OpenLUN(t.Context(), initiator.LUNOptions{Session: p.sessionOptions(), Dial: p.dial})
	require.ErrorIs(t, err, block.ErrUnreachable)

	_, err = initiator.OpenLUN(t.Context(), initiator.LUNOptions{BackoffMin: time.Hour,
		Session: initiator.Options{OnDown: func(error) {}}})
	for _, part := range []string{"dial is missing", "OnDown", "back-off 1h0m0s", "target name"} {
		require.ErrorContains(t, err, part)
	}
	require.NotContains(t, fmt.Sprint(err), "secret")
}
