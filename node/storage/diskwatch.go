package storage

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/node/storage/disk"
)

// diskWatch is what is known of the disk below a store. Manager.mu guards it.
type diskWatch struct {
	device disk.Device
	none   error // why no device is known; nil if one is

	latency    disk.Latency // of the check reads
	failed     uint64       // check reads and look-ups that ended with an I/O error
	kernel     uint64       // errors that the kernel has counted since the store was found on the device
	kernelBase uint64       // what it had counted by then
	counts     bool         // the kernel counts them

	smart    disk.Smart
	smartErr error
	smartAt  time.Time // zero before it was asked for
}

// found notes which device a store is on. Another one begins with no past.
func (w *diskWatch) found(d disk.Device, err error) {
	if w.none = err; err != nil || d.Name != w.device.Name {
		*w = diskWatch{device: d, none: err}
		if err == nil {
			w.kernelBase, w.counts = d.Errors()
		}
	}
}

// look reads what the kernel counts. It touches no disk.
func (w *diskWatch) look() {
	if n, ok := w.device.Errors(); ok && w.none == nil {
		w.kernel, w.counts = n-min(n, w.kernelBase), true
	}
}

// note takes in a check of a leg.
func (w *diskWatch) note(read time.Duration, err error) {
	w.latency.Note(read)
	if isIOError(err) {
		w.failed++
	}
}

// isIOError reports whether the disk failed, and not what is written on it.
func isIOError(err error) bool {
	for _, code := range []syscall.Errno{syscall.EIO, syscall.EREMOTEIO, syscall.ENXIO, syscall.ENODEV} {
		if errors.Is(err, code) {
			return true
		}
	}
	return false
}

// status is what a heartbeat says of the disk.
func (w *diskWatch) status() *peer.DiskStatus {
	s := &peer.DiskStatus{
		Device: w.device.Name, FailedChecks: w.failed, KernelErrors: w.kernel, KernelCounts: w.counts,
		ReadMicros: w.latency.Now().Microseconds(), UsualMicros: w.latency.Usual().Microseconds(),
	}
	if w.none != nil {
		s.None = w.none.Error()
		return s
	}
	switch {
	case !w.device.Physical:
		s.SmartNone = fmt.Sprintf("%s is a virtual device", w.device.Name)
	case w.smartAt.IsZero():
		s.SmartNone = "it was not asked for yet"
	case disk.IsNone(w.smartErr):
		s.SmartNone = w.smartErr.Error()
	case w.smartErr != nil:
		s.SmartError = w.smartErr.Error()
	default:
		faults, failing := w.smart.Faults()
		s.Smart = &peer.SmartStatus{Model: w.smart.Model, Failing: failing, Faults: faults,
			TemperatureC: w.smart.TemperatureC, WearPercent: w.smart.WearPercent, PowerOnHours: w.smart.PowerOnHours,
			At: w.smartAt.Round(0)}
	}
	return s
}

// smartLoop asks the drives below the stores for SMART, rarely and one after the other, until ctx ends.
func (m *Manager) smartLoop(ctx context.Context) {
	timer := time.NewTimer(m.options.SmartAfter)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		asked := map[string]bool{}
		for _, d := range m.devices() {
			if asked[d.Name] || ctx.Err() != nil {
				continue
			}
			asked[d.Name] = true
			smart, err := disk.ReadSmart(ctx, d, m.options.Smartctl)
			if err != nil {
				m.log.Debug("SMART", "device", d.Name, "error", err)
			}
			m.mu.Lock()
			for _, s := range m.stores {
				if s.disk.none == nil && s.disk.device.Name == d.Name {
					s.disk.smart, s.disk.smartErr, s.disk.smartAt = smart, err, time.Now()
				}
			}
			m.mu.Unlock()
		}
		timer.Reset(m.options.SmartEvery)
	}
}

// devices returns the drives below the stores that may have SMART.
func (m *Manager) devices() []disk.Device {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []disk.Device
	for _, s := range m.stores {
		if s.opened != nil && s.disk.none == nil && s.disk.device.Physical {
			all = append(all, s.disk.device)
		}
	}
	return all
}
