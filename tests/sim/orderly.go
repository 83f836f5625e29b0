package sim

import "time"

// endProcess ends a node's process, of a set of parity now and then in an orderly way, and starts it again later.
func (w *world) endProcess(n *node, within time.Duration) {
	again := func() { w.after(w.pick(within), n.start) }
	if w.set != nil && w.chance(3) {
		n.close(again)
		return
	}
	n.crash()
	again()
}

// close ends a node's process as a leg is closed (leg.Leg.Close): its sessions are killed, what is under way comes to
// its end, then the journal is synced, and a last head says that nothing follows. ended is called after that, or at
// once where there is no journal to end; never if the process dies before.
func (n *node) close(ended func()) {
	l := n.leg
	if !n.on || n.closing || l == nil || l.journal == nil || l.core.Failed() != nil {
		n.crash()
		ended()
		return
	}
	n.w.logf("%s: the process is to end", n.name)
	n.closing = true
	l.core.Stop()
	l.do()
	l.endJournal(func(err error) {
		n.w.logf("%s: leg %s is closed: %v", n.name, l.id.Short(), err)
		n.w.media.Closed++
		l.failed = l.failed || err != nil
		n.crash()
		ended()
	})
}

// endJournal waits for what is under way, and ends the journal.
func (l *storedLeg) endJournal(done func(error)) {
	j := l.journal
	end := j.core.Tail()
	switch {
	case l.core.Inflight() > 0 || j.busy || j.core.WholeTo() < end:
		l.n.disk(time.Millisecond, func() { l.endJournal(done) })
	case j.core.Proof().Durable < end:
		j.sync(func(err error) {
			if err != nil {
				done(err)
				return
			}
			l.endJournal(done)
		})
	default:
		j.setHead(j.core.Closed(), false, done)
	}
}
