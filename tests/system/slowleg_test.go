package system

import (
	"context"
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/volume"
)

// TestSlowLeg_stallsTheGuestOnce makes one leg answer only every two seconds, by stopping its node and
// letting it run for a moment, over and over: nothing ever fails there, it is only slow. The guest
// waits for it once, then the leg is left out. How long is printed; the bound here is a generous one,
// since the machine that runs this may be slow itself. The exact one (4 s) is held in virtual time by
// the mirror's own tests (protocol §5 row 42).
func TestSlowLeg_stallsTheGuestOnce(t *testing.T) {
	const (
		latency  = 2 * time.Second
		moment   = 50 * time.Millisecond
		watched  = 30 * time.Second
		stall    = 500 * time.Millisecond // what counts as one
		stallMax = 8 * time.Second        // of all of them
	)
	c := up(t, 4)
	c.ok("volume", "create", "disk", "--size", fmt.Sprintf("%dM", guestDiskMiB), "--layout", "mirror=2",
		"--legs-on", "n1,n2")
	d := dial(t, c.attach("disk", "n4"))
	pid := c.follower("n1", "n2")
	require.NoError(t, d.Write(t.Context(), make([]byte, volume.BlockBytes), 0, 0))

	ctx, stop := context.WithTimeout(t.Context(), watched)
	defer stop()
	slow := make(chan error, 1)
	go func() { slow <- dutyCycle(ctx, pid, latency, moment) }()
	stalls, total := 0, time.Duration(0)
	for i := int64(0); ctx.Err() == nil; i++ {
		if took := writeOnce(t, d, i%1024); took >= stall {
			stalls++
			total += took
			t.Logf("%s: stall of %.2f s", time.Now().UTC().Format(time.TimeOnly), took.Seconds())
		}
	}
	require.NoError(t, <-slow)
	t.Logf("a leg at %s latency: %d stalls, %.2f s in all", latency, stalls, total.Seconds())
	require.Less(t, total, stallMax)
	require.NotZero(t, stalls, "the leg was never waited for: nothing was slow")
	c.waitInSync("disk", 2)
	require.NoError(t, d.Close())
}

// follower returns the process of the first of these nodes whose daemon does not lead: an election is
// another matter.
func (c *cluster) follower(among ...string) int {
	c.t.Helper()
	for _, n := range c.nodes() {
		if slices.Contains(among, n.Name) && !n.Leader && n.PID != 0 {
			return n.PID
		}
	}
	c.t.Fatalf("none of %v is a follower", among)
	return 0
}

// writeOnce writes and flushes one block and returns how long the guest waited.
func writeOnce(t *testing.T, d block.Device, index int64) time.Duration {
	t.Helper()
	p := make([]byte, volume.BlockBytes)
	entry(p, uint64(index)+1, index*volume.BlockBytes)
	began := time.Now()
	require.NoError(t, d.Write(t.Context(), p, index*volume.BlockBytes, 0))
	if index%16 == 0 {
		require.NoError(t, d.Flush(t.Context()))
	}
	return time.Since(began)
}

// dutyCycle stops a process for so long and lets it run for a moment, until ctx ends; then it runs.
func dutyCycle(ctx context.Context, pid int, stopped, moment time.Duration) error {
	for ctx.Err() == nil {
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			return err
		}
		select {
		case <-time.After(stopped):
		case <-ctx.Done():
		}
		if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
			return err
		}
		select {
		case <-time.After(moment):
		case <-ctx.Done():
		}
	}
	return nil
}
