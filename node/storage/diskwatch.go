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
	device disk.Device // the last one that was found
	none   error       // why no device is known now; nil if one is

	latency disk.Latency // of the check reads
	failed  uint64       // check reads that ended with an I/O error
	kernel  uint64       // errors that the kernel has counted since the store was found on the device
	seen    uint64       // what it had counted when it was looked at last
	counts  bool         // the kernel counts them

	smart    disk.Smart // as it was read last
	smartAt  time.Time  // when that was; zero if it never was
	smartErr error      // why it could not be read the last time; nil if it was
}

// found notes which device a store is on. Another one begins with no past. A look-up that fails says nothing of the
// disk: what was counted of it stays.
func (w *diskWatch) found(d disk.Device, err error) {
	w.none = err
	switch {
	case err != nil:
	case d.Name != w.device.Name:
		*w = diskWatch{device: d}
	default:
		w.device = d // the same one, which may have been plugged in elsewhere
	}
}

// look reads what the kernel counts. It touches no disk. What had been counted before the first look is no news, and
// the count of a disk that was plugged in anew begins at zero.
func (w *diskWatch) look() {
	n, ok := w.device.Errors()
	if !ok || w.none != nil {
		return
	}
	switch {
	case !w.counts:
		w.counts = true
	case n < w.seen:
		w.kernel += n
	default:
		w.kernel += n - w.seen
	}
	w.seen = n
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
	case disk.IsNone(w.smartErr):
		s.SmartNone = w.smartErr.Error()
	case w.smartErr != nil:
		s.SmartError = w.smartErr.Error()
	case w.smartAt.IsZero():
		s.SmartNone = "it was not asked for yet"
	}
	if s.SmartNone == "" && !w.smartAt.IsZero() { // what it said last is the best that is known
		faults, failing := w.smart.Faults()
		s.Smart = &peer.SmartStatus{Model: w.smart.Model, Failing: failing, Faults: faults,
			TemperatureC: w.smart.TemperatureC, WearPercent: w.smart.WearPercent, PowerOnHours: w.smart.PowerOnHours,
			At: w.smartAt.Round(0)}
	}
	return s
}

// asked notes what an attempt to read SMART gave.
func (w *diskWatch) asked(smart disk.Smart, err error, now time.Time) {
	if w.smartErr = err; err == nil {
		w.smart, w.smartAt = smart, now
	}
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
			smart, err := m.smartctl.Read(ctx, d)
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				m.log.Debug("SMART", "device", d.Name, "error", err)
			}
			m.mu.Lock()
			for _, s := range m.stores {
				if s.disk.none == nil && s.disk.device.Name == d.Name {
					s.disk.asked(smart, err, time.Now())
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
