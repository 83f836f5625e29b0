package engine

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/holdfast-storage/holdfast/mirror"
)

// bootClock is CLOCK_BOOTTIME. Go's own monotonic clock stands still while the machine is
// suspended, and a host that wakes up must not take old confirmations for new ones (protocol §1.6).
type bootClock struct{}

var _ mirror.Clock = bootClock{}

// Now returns the time since boot.
func (bootClock) Now() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		// Linux has had the clock since 2.6.39, and the arguments are constants.
		panic("engine: CLOCK_BOOTTIME: " + err.Error())
	}
	return time.Duration(t.Nano())
}
