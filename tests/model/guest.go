package model

import "github.com/holdfast-storage/holdfast/tests/model/disk"

// guest: the guest of host h writes and reads.
func (m *machine) guest(s0 *state, h int, x *steps) {
	H := &s0.hosts[h]
	drained := H.owing&H.joining == 0 || m.breaks(NoWODrain) // one write per block and leg at a time
	if H.serving && H.write == 0 && int(s0.nextWrite) <= m.Writes && drained {
		s := *s0
		w := s.nextWrite
		s.nextWrite++
		s.hosts[h].owing, s.hosts[h].write, s.hosts[h].answered = H.joining, w, 0
		for l := range m.Legs {
			if (H.ack | H.joining).has(l) && H.session.has(l) {
				s.wire[h][l] |= just(w)
			}
		}
		x.Add(&s, "h%d WRITE %d", h, int(w))
	}
	if H.write != 0 && H.ack&^H.answered == 0 && (H.removing == 0 || m.breaks(AckEarly)) {
		s := *s0
		m.observe(&s, disk.SawAck, H.write)
		s.hosts[h].write, s.hosts[h].answered = 0, 0
		x.Add(&s, "h%d ACK %d", h, int(H.write))
	}
	if m.breaks(EpochReuse) && H.write != 0 {
		s := *s0
		s.hosts[h].write, s.hosts[h].answered = 0, 0
		x.Add(&s, "h%d engine restarts in its epoch", h)
	}
	m.guestRead(s0, h, x)
}

// guestRead: a read is served by one leg of read_set, once no write of the block is in flight, and
// completes only while every leg of ack_set has confirmed within T_read.
func (m *machine) guestRead(s0 *state, h int, x *steps) {
	H := &s0.hosts[h]
	if !H.serving || !H.fresh || H.write != 0 && !m.breaks(ReadDuringW) {
		return
	}
	from := H.read &^ H.lost
	if m.breaks(ReadUncommit) {
		from |= H.ack &^ H.lost
	}
	if !m.breaks(ReadSuspect) {
		from &^= H.removing // reads stopped before the removal was asked for
	}
	for l := range m.Legs {
		if from.has(l) && m.serves(s0, h, l) {
			s := *s0
			m.observe(&s, disk.SawRead, s.legs[l].value)
			x.Add(&s, "h%d READ leg%d -> %d", h, l, int(s.legs[l].value))
		}
	}
}

// guestFlush: a flush is answered when every leg of ack_set has answered it (protocol-flush C.2).
func (m *machine) guestFlush(s0 *state, h int, x *steps) {
	H := &s0.hosts[h]
	if m.Class == ClassSync {
		return
	}
	if H.serving && !H.flush && int(s0.flushes) < m.Flushes {
		s := *s0
		s.flushes++
		s.hosts[h].flush = true
		x.Add(&s, "h%d FLUSH", h)
	}
	if !H.flush {
		return
	}
	for l := range m.Legs {
		if (H.ack &^ H.flushed).has(l) && m.serves(s0, h, l) {
			s := *s0
			s.legs[l].flush()
			s.hosts[h].flushed |= one(l)
			x.Add(&s, "leg%d flushes for h%d", l, h)
		}
	}
	if H.removing == 0 && H.ack&^H.flushed == 0 || m.breaks(FlushEarly) && H.flushed != 0 {
		s := *s0
		m.observe(&s, disk.SawFlush, uint8(h))
		s.hosts[h].flush, s.hosts[h].flushed = false, 0
		x.Add(&s, "h%d FLUSH done", h)
	}
}

// relogin of the same epoch: a connection was lost, a process or an operating system restarted, or a
// login was duplicated. The older session dies, and writes without an answer are sent again. A leg
// that lost un-flushed content is used no more (protocol-flush C.3).
func (m *machine) relogin(s0 *state, h int, x *steps) {
	H := &s0.hosts[h]
	for l := range m.Legs {
		if !H.ack.has(l) || H.lost.has(l) {
			continue
		}
		down := !H.session.has(l)
		if !down && (H.write == 0 || H.answered.has(l)) {
			continue // it would change nothing
		}
		fence := int(s0.legs[l].fence)
		if fence != h && !(m.breaks(OldLogin) && fence > h) {
			continue // refused: the host is fenced
		}
		s := *s0
		if !m.breaks(NoKillSess) {
			s.wire[h][l] = 0
		}
		if down && s.legs[l].lossy && !m.breaks(BlindRelogin) {
			s.hosts[h].lost |= one(l)
			x.Add(&s, "h%d relogs in to leg%d: it lost its cache", h, l)
			continue
		}
		m.fence(&s, h, l)
		if H.write != 0 && !H.answered.has(l) {
			s.wire[h][l] |= just(H.write)
		}
		x.Add(&s, "h%d relogs in to leg%d", h, l)
	}
}
