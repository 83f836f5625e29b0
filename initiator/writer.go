package initiator

import (
	"time"

	"github.com/holdfast-storage/holdfast/iscsi"
)

// order is something that the target asked for and the writer has to send.
type order struct {
	itt    uint32 // data-out of this task; ReservedTag: the answer to a ping
	ttt    uint32
	lun    uint64
	offset uint32 // bytes
	length uint32 // bytes
}

// parcel is one PDU or burst that the writer is about to encode.
type parcel struct {
	task  *Task // nil for the answer to a ping
	order order // data-out, if not first
	first bool  // the command, ping or logout itself
	reads bool  // data of the task is read: it is counted in the task's busy
	cmdSN iscsi.Serial
}

// load is what the writer takes out of the queues at a time.
type load struct {
	parcels   []parcel
	orders    []order
	expStatSN iscsi.Serial
}

const (
	// loadBytes bounds the data of a load, so that a burst of writes does not delay what follows.
	loadBytes = 1 << 20
	// pinBytes is from which length on data is written from where it lies instead of being copied
	// next to its header.
	pinBytes = 8 << 10
)

// writeLoop sends what is in the queues until the session dies. What was submitted while it wrote
// goes out together with the next write.
func (s *Session) writeLoop() {
	defer s.workers.Done()
	var l load
	for {
		if !s.collect(&l) {
			select {
			case <-s.wake:
				continue
			case <-s.dying:
				return
			}
		}
		for i := range l.parcels {
			s.encode(&l.parcels[i], l.expStatSN)
		}
		_, err := s.batch.WriteTo(s.conn)
		s.batch.Reset()
		s.release(&l)
		if err != nil {
			s.Abort(err)
			return
		}
	}
}

// collect fills the load with what may be sent now; false if there is nothing.
func (s *Session) collect(l *load) bool {
	l.parcels = l.parcels[:0]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cause != nil {
		return false
	}
	l.expStatSN = s.window.expStatSN
	s.orders, l.orders = l.orders[:0], s.orders
	for _, o := range l.orders {
		if o.itt == iscsi.ReservedTag {
			l.parcels = append(l.parcels, parcel{order: o, cmdSN: s.window.cmdSN})
		} else if t := s.tasks.find(o.itt); t != nil && !t.answered {
			t.busy, t.sent = t.busy+1, t.sent+int(o.length)
			l.parcels = append(l.parcels, parcel{task: t, order: o, reads: true})
		}
	}
	if s.urgent.first == nil && s.waiting.first == nil {
		return len(l.parcels) > 0
	}
	now := time.Now()
	for s.urgent.first != nil && s.tasks.urgents() < maxUrgent {
		t := s.urgent.pop()
		s.tasks.add(t, now)
		l.parcels = append(l.parcels, parcel{task: t, first: true, cmdSN: s.window.cmdSN})
	}
	for bytes := 0; bytes < loadBytes && s.waiting.first != nil && s.window.open(s.tasks.commands); {
		t := s.waiting.pop()
		s.tasks.add(t, now)
		t.sent = unsolicitedLen(&s.params, len(t.DataOut))
		t.asked = t.sent
		if t.sent > 0 {
			t.busy = 1
		}
		bytes += t.sent
		l.parcels = append(l.parcels, parcel{task: t, first: true, reads: t.sent > 0, cmdSN: s.window.cmdSN})
		s.window.cmdSN = s.window.cmdSN.Next()
	}
	return len(l.parcels) > 0
}

// release says that the tasks' data is no longer read, and completes those that were answered
// meanwhile.
func (s *Session) release(l *load) {
	var over taskQueue
	s.mu.Lock()
	for i := range l.parcels {
		// A task whose data was not read may be over and in use again by now.
		if t := l.parcels[i].task; t != nil && l.parcels[i].reads {
			t.busy--
			if t.busy == 0 && t.answered {
				s.tasks.remove(t)
				over.push(t)
			}
		}
	}
	s.mu.Unlock()
	clear(l.parcels)
	for t := over.pop(); t != nil; t = over.pop() {
		t.Done(t)
	}
}
