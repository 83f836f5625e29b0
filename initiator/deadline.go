package initiator

import "time"

// deadline is one timer for all that is outstanding. It is armed while anything is, and when it
// fires its owner looks how old the oldest is: so it costs a task nothing but a look at the clock.
// Its owner calls it with its lock held.
type deadline struct {
	limit time.Duration
	timer *time.Timer
	armed bool
}

// start makes the timer, which calls fired from a goroutine of its own.
func (d *deadline) start(limit time.Duration, fired func()) {
	d.limit = limit
	d.timer = time.AfterFunc(limit, fired)
	d.timer.Stop()
}

// arm makes sure that the timer runs.
func (d *deadline) arm() {
	if !d.armed {
		d.armed = true
		d.timer.Reset(d.limit)
	}
}

// expired is asked when the timer fired, with the time since when the oldest has been waiting, zero
// if nothing is. If it has time left the timer runs on for as long as that.
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
