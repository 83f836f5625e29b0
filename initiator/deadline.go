package initiator

import "time"

// deadline is the one timer of a session. It is armed while a task is outstanding, and when it
// fires it looks how old the oldest is: so it costs a task nothing but a look at the clock.
type deadline struct {
	limit time.Duration
	timer *time.Timer
	armed bool
}

// arm notes when the task was submitted and makes sure that the timer runs.
func (d *deadline) arm(t *Task) {
	t.since = time.Now()
	if !d.armed {
		d.armed = true
		d.timer.Reset(d.limit)
	}
}

// expired is asked when the timer fired. If the oldest task has time left the timer runs on for as
// long as that.
func (d *deadline) expired(now, oldest time.Time) bool {
	d.armed = false
	if oldest.IsZero() {
		return false
	}
	left := d.limit - now.Sub(oldest)
	if left <= 0 {
		return true
	}
	d.armed = true
	d.timer.Reset(left)
	return false
}

func (d *deadline) disarm() { d.timer.Stop() }
