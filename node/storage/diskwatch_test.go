package storage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/node/metrics/metricstest"
	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/node/storage/disk"
)

const patience = 20 * time.Second

// onDisk makes the node's stores lie on a disk sda of a machine with SMART, as far as the manager can see. It returns
// the file in which the kernel counts errors.
func (n *node) onDisk(smart string) (ioerrors string) {
	n.t.Helper()
	sys := n.t.TempDir()
	var st unix.Stat_t
	require.NoError(n.t, unix.Stat(n.dir, &st))
	if unix.Major(uint64(st.Dev)) == 0 {
		n.t.Skip("the file system of the test lies on no device")
	}
	device := filepath.Join(sys, "devices", "sda")
	require.NoError(n.t, os.MkdirAll(filepath.Join(device, "device"), 0o755))
	require.NoError(n.t, os.MkdirAll(filepath.Join(sys, "dev", "block"), 0o755))
	require.NoError(n.t, os.Symlink(device, filepath.Join(sys, "dev", "block",
		fmt.Sprintf("%d:%d", unix.Major(uint64(st.Dev)), unix.Minor(uint64(st.Dev))))))
	ioerrors = filepath.Join(device, "device", "ioerr_cnt")
	require.NoError(n.t, os.WriteFile(ioerrors, []byte("0x5\n"), 0o600))
	program := filepath.Join(sys, "smartctl")
	sample, err := filepath.Abs(filepath.Join("disk", "testdata", smart))
	require.NoError(n.t, err)
	require.NoError(n.t, os.WriteFile(program, []byte("#!/bin/sh\nexec cat "+sample+"\n"), 0o755))
	n.options.Sysfs, n.options.Smartctl = sys, program
	n.options.SmartAfter, n.options.SmartEvery = time.Millisecond, 10*time.Millisecond
	return ioerrors
}

// run lets the manager run until the test ends.
func (n *node) run() {
	ctx, cancel := context.WithCancel(n.t.Context())
	done := make(chan struct{})
	go func() { n.manager.Run(ctx); close(done) }()
	n.t.Cleanup(func() { cancel(); <-done })
}

func (n *node) diskStatus() peer.DiskStatus {
	if d := n.manager.Status()[0].Disk; d != nil {
		return *d
	}
	return peer.DiskStatus{}
}

func TestDisk_isWatched(t *testing.T) {
	n := newNode(t)
	ioerrors := n.onDisk("nvme_dying.json")
	n.restart()
	o := n.provisioned()
	n.run()
	require.Eventually(t, func() bool { return n.diskStatus().Smart != nil }, patience, time.Millisecond)
	d := n.diskStatus()
	require.Equal(t, "sda", d.Device)
	require.True(t, d.Smart.Failing)
	require.Contains(t, d.Smart.Faults, "it takes no writes any more")
	require.True(t, d.KernelCounts)
	require.Zero(t, d.KernelErrors, "what was before the daemon is not its news")
	require.NoError(t, os.WriteFile(ioerrors, []byte("0x8\n"), 0o600))
	require.Eventually(t, func() bool { return n.diskStatus().KernelErrors == 3 }, patience, time.Millisecond)

	registry := metricstest.Registry(t, n.manager.Collectors()...)
	metricstest.Golden(t, registry)
	require.NoError(t, testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP holdfast_storage_store_usable 1 if the store can be used and answers.
# TYPE holdfast_storage_store_usable gauge
holdfast_storage_store_usable{store="disk0"} 1
# HELP holdfast_storage_leg_condition 1 for the condition of the leg.
# TYPE holdfast_storage_leg_condition gauge
holdfast_storage_leg_condition{condition="ok",leg="`+o.Leg.String()+`",store="disk0"} 1
# HELP holdfast_storage_disk_errors_total I/O errors, of checks and as the kernel counts them.
# TYPE holdfast_storage_disk_errors_total counter
holdfast_storage_disk_errors_total{device="sda",seen_by="check",store="disk0"} 0
holdfast_storage_disk_errors_total{device="sda",seen_by="kernel",store="disk0"} 3
# HELP holdfast_storage_disk_smart_status 0 well, 1 worn, 2 failing. Absent without SMART.
# TYPE holdfast_storage_disk_smart_status gauge
holdfast_storage_disk_smart_status{device="sda",store="disk0"} 2
`), "holdfast_storage_store_usable", "holdfast_storage_leg_condition", "holdfast_storage_disk_errors_total",
		"holdfast_storage_disk_smart_status"))
}

func TestDisk_thereIsOneOrAReason(t *testing.T) {
	n := newNode(t)
	n.provisioned()
	n.run()
	require.Eventually(t, func() bool {
		d := n.diskStatus()
		return d.None != "" || d.SmartNone != ""
	}, patience, time.Millisecond)
}

func TestDiskWatch_countsIOErrorsAlone(t *testing.T) {
	var w diskWatch
	w.note(time.Millisecond, nil)
	w.note(0, fmt.Errorf("leg x: %w", syscall.EIO))
	w.note(0, &os.PathError{Op: "read", Path: "data", Err: syscall.ENXIO})
	w.note(0, errors.New("the label is corrupt"))
	w.note(0, block.ErrClosed)
	require.EqualValues(t, 2, w.status().FailedChecks)
	require.EqualValues(t, 1000, w.status().ReadMicros)
}

// TestDiskWatch_aLookUpThatFailsForgetsNothing: what was counted of a disk belongs to it until another one is there.
func TestDiskWatch_aLookUpThatFailsForgetsNothing(t *testing.T) {
	sys := t.TempDir()
	var st unix.Stat_t
	require.NoError(t, unix.Stat(sys, &st))
	number := fmt.Sprintf("%d:%d", unix.Major(uint64(st.Dev)), unix.Minor(uint64(st.Dev)))
	if unix.Major(uint64(st.Dev)) == 0 {
		t.Skip("the file system of the test lies on no device")
	}
	link := filepath.Join(sys, "dev", "block", number)
	require.NoError(t, os.MkdirAll(filepath.Dir(link), 0o755))
	plug := func(name string, errors int) {
		require.NoError(t, os.MkdirAll(filepath.Join(sys, name, "device"), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(sys, name, "device", "ioerr_cnt"),
			fmt.Appendf(nil, "%#x\n", errors), 0o600))
		_ = os.Remove(link)
		require.NoError(t, os.Symlink(filepath.Join(sys, name), link))
	}
	var w diskWatch
	check := func() *peer.DiskStatus {
		w.found(disk.Find(sys, sys))
		w.look()
		return w.status()
	}
	plug("sda", 5)
	require.Zero(t, check().KernelErrors, "what was before is no news")
	plug("sda", 8)
	w.note(time.Millisecond, syscall.EIO)
	w.asked(disk.Smart{Passed: true, Model: "old"}, nil, time.Now())
	require.EqualValues(t, 3, check().KernelErrors)

	require.NoError(t, os.Remove(link)) // udev works on it, or the bus was reset
	away := check()
	require.NotEmpty(t, away.None)
	require.EqualValues(t, 3, away.KernelErrors)
	require.EqualValues(t, 1, away.FailedChecks)
	require.EqualValues(t, 1000, away.ReadMicros)
	plug("sda", 9)
	back := check()
	require.Empty(t, back.None)
	require.EqualValues(t, 4, back.KernelErrors, "and what it counted meanwhile is news")
	require.EqualValues(t, 1, back.FailedChecks)
	plug("sda", 2)
	require.EqualValues(t, 6, check().KernelErrors, "plugged in anew: its count began at zero")

	plug("sdb", 7)
	other := check()
	require.Equal(t, "sdb", other.Device)
	require.Zero(t, other.KernelErrors)
	require.Zero(t, other.FailedChecks)
	require.Nil(t, other.Smart)
}

// TestDiskWatch_smartThatIsNotReadAnyMore: what the drive said last stays known, and that it says nothing now, too.
func TestDiskWatch_smartThatIsNotReadAnyMore(t *testing.T) {
	w := diskWatch{device: disk.Device{Name: "sda", Physical: true}}
	require.Contains(t, w.status().SmartNone, "not asked")
	w.asked(disk.Smart{}, errors.New("smartctl does not answer"), time.Now())
	require.Equal(t, "smartctl does not answer", w.status().SmartError)
	require.Nil(t, w.status().Smart)
	then := time.Now()
	w.asked(disk.Smart{Pending: 8}, nil, then)
	require.Empty(t, w.status().SmartError)
	w.asked(disk.Smart{}, errors.New("smartctl does not answer"), then.Add(time.Hour))
	s := w.status()
	require.Equal(t, "smartctl does not answer", s.SmartError)
	require.NotNil(t, s.Smart)
	require.True(t, s.Smart.Failing)
	require.Equal(t, then.Round(0), s.Smart.At)
}
