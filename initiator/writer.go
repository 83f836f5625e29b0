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

// inlineLoads is how many loads whoever submits sends himself, before he leaves what others go on submitting to
// the writer.
const inlineLoads = 4

// kick sends what is in the queues, as far as it goes without waiting: by whoever submits, since to wake another
// goroutine costs more. What the socket has no room for, the writer goes on with. While somebody sends, others leave
// what they submit to him.
func (s *Session) kick() {
	s.mu.Lock()
	if s.sending || s.cause != nil || !s.anythingToSend() {
		s.mu.Unlock()
		return
	}
	// The reader has not ended, for that sets cause first, so nobody has stopped waiting for workers.
	s.workers.Add(1)
	s.sending = true
	s.mu.Unlock()
	defer s.workers.Done()
	for range inlineLoads {
		if !s.collect(&s.load) {
			return
		}
		s.encodeLoad()
		done, err := s.sender.Start(s.batch.Vectors())
		if err == nil && !done {
			break
		}
		if !s.sent(err) {
			return
		}
	}
	s.wake <- struct{}{}
}

// writeLoop goes on with what somebody else began to send, and waits for the socket. It has the load, the batch and
// the sender from the token in wake on, until collect finds nothing more.
func (s *Session) writeLoop() {
	defer s.workers.Done()
	for {
		select {
		case <-s.wake:
		case <-s.dying:
			return
		}
		if s.batch.Len() > 0 && !s.sent(s.sender.Finish()) {
			return
		}
		for s.collect(&s.load) {
			s.encodeLoad()
			done, err := s.sender.Start(s.batch.Vectors())
			if err == nil && !done {
				err = s.sender.Finish()
			}
			if !s.sent(err) {
				return
			}
		}
	}
}

func (s *Session) encodeLoad() {
	for i := range s.load.parcels {
		s.encode(&s.load.parcels[i], s.load.expStatSN)
	}
}

// sent lets go of a load, and reports whether more can be sent.
func (s *Session) sent(err error) bool {
	s.batch.Reset()
	s.release(&s.load)
	if err != nil {
		s.Abort(err)
	}
	return err == nil
}

// anythingToSend reports whether collect could find something. It is called with mu held.
func (s *Session) anythingToSend() bool {
	return len(s.orders) > 0 || s.urgent.first != nil || s.waiting.first != nil
}

// collect fills the load with what may be sent now. With nothing it reports false, and whoever comes next sends.
func (s *Session) collect(l *load) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sending = s.cause == nil && s.fill(l)
	return s.sending
}

// fill is collect with mu held.
func (s *Session) fill(l *load) bool {
	l.parcels = l.parcels[:0]
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
