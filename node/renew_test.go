package node

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A renewal comes when it is due, at once if that is past, and is tried again the oftener the less time is
// left. No wait is so long that a clock that was set meanwhile goes unnoticed.
func TestRenewalDue(t *testing.T) {
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	at := func(d time.Duration) time.Time { return now.Add(d) }
	for name, x := range map[string]struct {
		end, due time.Time
		failed   bool
		want     time.Duration
	}{
		"soon":                          {at(time.Hour), at(time.Minute), false, time.Minute},
		"in weeks":                      {at(90 * 24 * time.Hour), at(60 * 24 * time.Hour), false, renewPauseMax},
		"due now":                       {at(time.Hour), now, false, 0},
		"long due":                      {at(time.Hour), at(-time.Hour), false, 0},
		"over":                          {at(-time.Hour), at(-2 * time.Hour), false, 0},
		"failed, weeks are left":        {at(30 * 24 * time.Hour), at(-time.Minute), true, renewPauseMax},
		"failed, an hour is left":       {at(time.Hour), at(-time.Minute), true, 6 * time.Minute},
		"failed, a second is left":      {at(time.Second), at(-time.Minute), true, renewPauseMin},
		"failed, and over":              {at(-time.Hour), at(-2 * time.Hour), true, renewPauseOver},
		"failed, the clock was set far": {at(-1e6 * time.Hour), at(-2e6 * time.Hour), true, renewPauseOver},
	} {
		require.Equal(t, x.want, renewalDue(x.end, x.due, now, x.failed), name)
	}
}
