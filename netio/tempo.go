package netio

import "time"

// quickTime is how long a connection may be silent between two messages that come in quick succession.
const quickTime = 50 * time.Millisecond

// tempo tells whether messages come in quick succession, which is when waiting for the next one in the kernel pays. A
// lone message, as the sign of life of a quiet connection, is not followed by such a wait: for all of its waitTime the
// runtime's monitor would look every 20 µs what the thread does, which is most of what wakes an idle engine.
type tempo struct {
	quick bool
	last  time.Time // when the poller told of the last message, or a wait after one ended in vain
}

// flows notes a message that was there at once, or came within a wait.
func (t *tempo) flows() { t.quick = true }

// rings notes a message that the poller told of.
func (t *tempo) rings(now time.Time) {
	t.quick = now.Sub(t.last) < quickTime
	t.last = now
}

// rests notes that nothing came within a wait. What the poller tells of next says whether it goes on.
func (t *tempo) rests(now time.Time) {
	t.quick = false
	t.last = now
}
