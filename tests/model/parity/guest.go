package parity

import "github.com/holdfast-storage/holdfast/tests/model/disk"

// owns reports whether host h has a session with leg l that it may use.
func owns(s *state, h, l int) bool {
	g := &s.legs[l]
	return (int(g.fence) == h || g.open) && !g.off
}

// live are the legs of a host's set that it has a session with.
func (m *machine) live(s *state, h int) (set legSet) {
	for l := range m.legs() {
		if s.hosts[h].set.has(l) && owns(s, h, l) {
			set |= one(l)
		}
	}
	return set
}

// flying are the symbols that host h has writes in flight of.
func flying(s *state, h int) (target legSet) {
	for w := 1; w < int(s.next); w++ {
		if W := &s.writes[w]; W.flying && int(W.host) == h {
			target |= W.target
		}
	}
	return target
}

// issue begins a write. A superseded host begins nothing: it could have done so before the takeover.
func (m *machine) issue(s *state, h int, x *steps) {
	if int(s.epoch) != h || int(s.next) > m.Writes {
		return
	}
	busy := m.locked(s, h)
	for d := range m.Data {
		m.issueOf(s, h, one(d), busy, x)
	}
	if m.Full {
		m.issueOf(s, h, m.dataLegs(), busy, x)
	}
}

// locked are the symbols whose lock host h holds: until every leg that gets the write has staged it, also one
// that joins, on which a later write could overtake it else.
func (m *machine) locked(s *state, h int) legSet {
	target := flying(s, h)
	for w := 1; w < int(s.next) && !m.breaks(LockToAck); w++ {
		if W := &s.writes[w]; int(W.host) == h && W.wire&s.hosts[h].receivers() != 0 {
			target |= W.target
		}
	}
	return target
}

func (m *machine) issueOf(s0 *state, h int, target, busy legSet, x *steps) {
	locked := busy != 0
	if m.Concurrent {
		locked = busy&target != 0 // each chunk has a lock of its own
	}
	if locked && !m.breaks(NoChunkLock) {
		return
	}
	s := *s0
	H, w := &s.hosts[h], int(s.next)
	s.next++
	W := &s.writes[w]
	*W = write{host: uint8(h), target: target, flying: true}
	W.q = m.touched(target) & H.receivers()
	W.wire = W.q
	for d := range m.Data {
		if target.has(d) {
			W.delta |= (H.view ^ symbol(w, d)) & only(d)
		}
	}
	x.Add(&s, "h%d WRITE %d of chunks %03b, Q=%05b", h, w, int(target), int(W.q))
}

// ack answers the guest once every leg of Q that acks need has staged the write.
func (m *machine) ack(s0 *state, w int, x *steps) {
	W := &s0.writes[w]
	if !W.flying {
		return
	}
	H := &s0.hosts[W.host]
	need := W.q & H.ackers()
	if m.breaks(LoseStaged) && need&m.dataLegs() != 0 {
		need &= m.dataLegs()
	}
	if need&^W.got != 0 {
		return
	}
	s := *s0
	for d := range m.Data {
		if W.target.has(d) {
			m.saw(&s, d, disk.SawAck, uint8(w))
			s.hosts[W.host].view = s.hosts[W.host].view&^only(d) | symbol(w, d)
		}
	}
	s.writes[w].flying = false
	x.Add(&s, "h%d ACK %d", int(W.host), w)
}

// deliver stages a write on a leg.
func (m *machine) deliver(s0 *state, w int, x *steps) {
	W := &s0.writes[w]
	for l := range m.legs() {
		if !W.wire.has(l) || !owns(s0, int(W.host), l) {
			continue
		}
		s := *s0
		g := &s.legs[l]
		if m.breaks(InPlace) {
			g.setHome(m.merge(&s, l, g.home, w))
		} else {
			m.put(g, w, staged)
		}
		s.writes[w].wire &^= one(l)
		s.writes[w].got |= one(l)
		x.Add(&s, "leg%d stages %d of h%d", l, w, int(W.host))
	}
}

// flush is a flush of the guest: the log is synced on every leg that acks need; home is not.
func (m *machine) flush(s0 *state, h int, x *steps) {
	H := &s0.hosts[h]
	if int(s0.epoch) == h && !H.flush && int(s0.flushes) < m.Flushes {
		s := *s0
		s.flushes++
		s.hosts[h].flush, s.hosts[h].flushed = true, 0
		x.Add(&s, "h%d FLUSH", h)
	}
	if !H.flush {
		return
	}
	for l := range m.legs() {
		if H.ackers().has(l) && !H.flushed.has(l) && owns(s0, h, l) {
			s := *s0
			s.legs[l].syncLog()
			s.hosts[h].flushed |= one(l)
			x.Add(&s, "leg%d answers the flush of h%d", l, h)
		}
	}
	if H.ackers()&^H.flushed == 0 || m.breaks(FlushEarly) && (H.ackers()&H.flushed).count() >= m.Data {
		s := *s0
		m.seen(&s, disk.SawFlush, uint8(h))
		s.hosts[h].flush, s.hosts[h].flushed = false, 0
		x.Add(&s, "h%d FLUSH answered", h)
	}
}

// read reads each symbol: from its own leg while no write of it is in flight; decoded from the others only while
// none of the whole stripe is, for what is staged on one leg may be missing on another.
func (m *machine) read(s0 *state, h int, x *steps) {
	if int(s0.epoch) != h {
		return
	}
	live, busy := m.live(s0, h), flying(s0, h)
	t, ok := m.decode(s0, live)
	for d := range m.Data {
		decodes := busy == 0 || m.breaks(DecodeFlying)
		switch {
		case busy.has(d):
			continue
		case decodes && live.count() >= m.Data:
			s := *s0
			if s.garbage = !ok; ok {
				m.saw(&s, d, disk.SawRead, valueOf(t.at(d)))
			}
			x.Add(&s, "h%d READ %d decoded from %05b: %d", h, d, int(live), int(valueOf(t.at(d))))
		case !decodes && live.has(d):
			s := *s0
			c := m.content(s0, d).at(d)
			m.saw(&s, d, disk.SawRead, valueOf(c))
			x.Add(&s, "h%d READ %d: %d", h, d, int(valueOf(c)))
		}
	}
}
