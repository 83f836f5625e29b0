package control

import (
	"time"

	"github.com/holdfast-storage/holdfast/volume"
)

// NodeHealth is what a node says of itself, besides its roles. Zero fields are not known.
type NodeHealth struct {
	Build               string
	CertFrom, CertUntil time.Time     // the life of its certificate
	CertFault           string        // what is wrong with the file of it, so that an older one is in use
	ClockLeader         volume.NodeID // whose clock its own was held against
	ClockOffset         time.Duration // by which its clock is ahead of that one's
	ClockBound          time.Duration // how far off ClockOffset may be
	ClockStep           time.Duration // by which somebody last set it
	ClockStepAge        time.Duration // how long ago that was
}

// DiskFact is what a storage node says of the disk below a store.
type DiskFact struct {
	Device        string
	FailedChecks  uint64        // that ended with an I/O error, since the daemon's start
	KernelErrors  uint64        // that the kernel counted since then
	Read, Usual   time.Duration // median of the last check reads, and what they took before; zero = not known
	SmartFaults   []string      // what the drive says of itself, the worst first
	SmartFailing  bool          // it should be replaced now
	SmartError    string        // why SMART could not be read although there is some
	SmartNone     string        // why there is none
	SmartModel    string
	TemperatureC  int
	WearPercent   int
	DeviceUnknown string // why the device is not known
}
