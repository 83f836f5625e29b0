package volume

import (
	"fmt"
	"strings"
	"time"
)

// The bounds of a Limit that is one. Below the least a guest whose queue is full waits for so long that it takes its
// disk for dead: most give a request up after 30 seconds.
const (
	LimitIOPSMin      = 10
	LimitIOPSMax      = 1_000_000_000
	LimitBandwidthMin = 1 << 20
	LimitBandwidthMax = 1 << 40
	LimitBurstMin     = 100 * time.Millisecond
	LimitBurstMax     = time.Hour
)

// LimitBurst is the burst of a limit that names none.
const LimitBurst = time.Second

// Limit is how fast the guest of a volume may read and write it, both together. Copies, scrubs and rebuilds are not
// the guest's.
type Limit struct {
	IOPS      int64         `json:"iops,omitempty"`      // requests a second; zero is no limit
	Bandwidth int64         `json:"bandwidth,omitempty"` // bytes a second; zero is no limit
	Burst     time.Duration `json:"burst,omitempty"`     // for how long either may be saved up; zero is LimitBurst
}

// None reports whether nothing is limited.
func (l Limit) None() bool { return l.IOPS == 0 && l.Bandwidth == 0 }

// BurstTime returns the burst that counts.
func (l Limit) BurstTime() time.Duration {
	if l.Burst == 0 {
		return LimitBurst
	}
	return l.Burst
}

// Check returns why a volume cannot have this limit, nil if it can.
func (l Limit) Check() error {
	switch {
	case l.IOPS != 0 && (l.IOPS < LimitIOPSMin || l.IOPS > LimitIOPSMax):
		return fmt.Errorf("a limit of %d requests a second: it is %d to %d, 0 is none", l.IOPS, LimitIOPSMin,
			LimitIOPSMax)
	case l.Bandwidth != 0 && (l.Bandwidth < LimitBandwidthMin || l.Bandwidth > LimitBandwidthMax):
		return fmt.Errorf("a limit of %d bytes a second: it is %s to %s, 0 is none", l.Bandwidth,
			FormatSize(LimitBandwidthMin), FormatSize(LimitBandwidthMax))
	case l.Burst != 0 && (l.Burst < LimitBurstMin || l.Burst > LimitBurstMax):
		return fmt.Errorf("a burst of %v: it is %v to %v, 0 is the default of %v", l.Burst, LimitBurstMin,
			LimitBurstMax, LimitBurst)
	}
	return nil
}

// String prints a limit as people read it.
func (l Limit) String() string {
	if l.None() {
		return "none"
	}
	var parts []string
	if l.IOPS != 0 {
		parts = append(parts, fmt.Sprintf("%d requests a second", l.IOPS))
	}
	if l.Bandwidth != 0 {
		parts = append(parts, FormatSize(l.Bandwidth)+" a second")
	}
	return fmt.Sprintf("%s, burst %v", strings.Join(parts, ", "), l.BurstTime())
}
