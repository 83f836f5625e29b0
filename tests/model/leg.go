package model

// admits reports whether leg l lets a command of epoch h through its gate.
func (m *machine) admits(s *state, h, l int) bool {
	f := int(s.legs[l].fence)
	return f == h || m.breaks(NoFence) && f > h || m.breaks(Aba) && f > h && sameMachine(f, h)
}

// sameMachine: where identity is the machine, there are two of them, which attach by turns.
func sameMachine(a, b int) bool { return (a-b)%2 == 0 }

// serves reports whether leg l serves host h, in a session that began in the leg's present boot.
func (m *machine) serves(s *state, h, l int) bool {
	return s.hosts[h].session.has(l) && m.admits(s, h, l)
}

// store puts a value into the page cache of leg l. Mark and stamp are durable before that
// (protocol-flush C.1). A write with mark false is the copy of a joining leg, or a broken rule.
func (m *machine) store(s *state, l int, v uint8, mark bool) {
	g := &s.legs[l]
	g.value = v
	g.disk |= just(v)
	if m.Class == ClassSync {
		g.disk = just(v)
	}
	g.mark = g.mark || mark
	g.stamp = g.cfg
	if !m.breaks(LateMark) {
		g.diskMark = g.mark
	}
	if !m.breaks(LateStamp) {
		g.diskStamp = g.stamp
	}
}

// flush makes data, marks and stamps durable (SYNCHRONIZE CACHE).
func (g *leg) flush() { g.disk, g.diskMark, g.diskStamp = just(g.value), g.mark, g.stamp }

// flushed reports whether a power cut would leave what a read sees now.
func (g *leg) flushed() bool { return g.disk == just(g.value) }

// setConfig is CONFIG{cfgver,isr} of host h on leg l: one durable record that stamps marked regions
// and writes open_boot. That ends the evidence of a reboot: the leg is in sync by decision, or about
// to be copied.
func (m *machine) setConfig(s *state, h, l int) {
	g, H := &s.legs[l], &s.hosts[h]
	g.cfg, g.isr = H.knownCfg, H.knownISR
	if g.mark && !m.breaks(NoRestamp) {
		g.stamp, g.diskStamp = g.cfg, g.cfg
	}
	g.lossy, g.gone = false, false
}

// fence is a login of epoch h at leg l. Before it completes the gate is closed, older sessions are
// dead, the label is durable and in-flight commands have drained (protocol-flush B.2).
func (m *machine) fence(s *state, h, l int) {
	s.legs[l].fence = uint8(h)
	for e := 1; e <= m.Epochs; e++ {
		if e == h || m.breaks(NoFence) || m.breaks(Aba) && h > e && sameMachine(h, e) {
			continue
		}
		s.hosts[e].session &^= one(l)
		if !m.breaks(NoDrain) || e > h {
			s.wire[e][l] = 0
		}
	}
	s.hosts[h].session |= one(l)
}

// deliver hands a leg a write that is on the wire, or the leg refuses it.
func (m *machine) deliver(s0 *state, h int, x *steps) {
	for l := range m.Legs {
		for w := uint8(1); w < s0.nextWrite; w++ {
			if s0.wire[h][l]&just(w) == 0 {
				continue
			}
			undrained := m.breaks(NoDrain) && int(s0.legs[l].fence) > h
			if !m.admits(s0, h, l) && !undrained {
				continue
			}
			s := *s0
			s.wire[h][l] &^= just(w)
			m.store(&s, l, w, true)
			// A lost answer needs no step of its own: an answer that is never used is the same.
			if H := &s.hosts[h]; H.phase == phaseActive && !undrained {
				H.owing &^= one(l)
				if H.write == w {
					H.answered |= one(l)
				}
			}
			x.Add(&s, "leg%d applies %d of h%d", l, int(w), h)
		}
	}
}
