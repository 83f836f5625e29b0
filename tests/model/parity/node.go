package parity

// used reports whether a leg is in sync, or joins: what happens to others does not matter.
func (m *machine) used(s *state, l int) bool {
	H := &s.hosts[s.epoch]
	return s.isr.has(l) || H.stage != notJoining && int(H.join) == l+1
}

// node is write-back of the page cache.
func (m *machine) node(s0 *state, l int, x *steps) {
	g := &s0.legs[l]
	if !m.used(s0, l) {
		return
	}
	if g.tails > 0 {
		s := *s0
		s.legs[l].syncLog()
		x.Add(&s, "leg%d: its log is durable", l)
	}
	if v := g.base(); v != g.home && m.mayWriteHome(g, l) {
		s := *s0
		s.legs[l].setHome(v)
		x.Add(&s, "leg%d: home is written: %09b", l, int(v))
	}
	if !g.homeDurable() {
		s := *s0
		s.legs[l].syncHome()
		x.Add(&s, "leg%d: home is durable", l)
	}
}

// mayWriteHome: a delta may be merged once only, so on a leg of parity the after-image is durable before.
func (m *machine) mayWriteHome(g *leg, l int) bool {
	if l < m.Data || m.breaks(MergeLate) {
		return true
	}
	for w := 1; w <= MaxWrites; w++ {
		if g.rec(w) == committed && g.log[w] != committed {
			return false
		}
	}
	return true
}

// cut is a power cut of a leg: the log loses a suffix of what was not synced, and the medium holds any value that
// home had since its last sync.
func (m *machine) cut(s0 *state, l int, x *steps) {
	g := &s0.legs[l]
	if int(s0.cuts) >= m.Cuts || !m.used(s0, l) {
		return
	}
	risky := m.risky(g)
	for keep := range 1 << g.tails {
		if keep&(keep+1) != 0 && !m.breaks(LogHoles) {
			continue
		}
		for i := range int(g.hists) {
			s := *s0
			s.cuts++
			m.afterCut(&s, l, keep, g.hist[i], risky)
			x.Add(&s, "POWER CUT of leg%d: records %b of %d stay, the medium has %09b, lossy %d", l, keep,
				int(g.tails), int(g.hist[i]), count(risky))
		}
	}
}

// risky reports whether a power cut now may lose what somebody was told.
func (m *machine) risky(g *leg) bool {
	if !m.Fine {
		return g.tails > 0
	}
	for i := range int(g.tails) {
		r := g.tail[i].record()
		if r == staged || r == gone && g.log[g.tail[i].write()] == staged {
			return true
		}
	}
	return false
}

func (m *machine) afterCut(s *state, l, keep int, medium tuple, risky bool) {
	g := &s.legs[l]
	tail, tails := g.tail, int(g.tails)
	g.tail, g.tails = [maxTail]entry{}, 0
	for i := range tails {
		if keep&(1<<i) != 0 {
			g.fold(tail[i])
		}
	}
	g.tidy()
	g.home = medium
	g.syncHome()
	g.setHome(g.base()) // the log is replayed
	H := &s.hosts[s.epoch]
	if H.stage != notJoining && int(H.join) == l+1 && !m.breaks(JoinReboot) {
		g.off = true // a leg that joins begins anew, whatever it lost
	}
	if !risky || m.breaks(LateMark) {
		return
	}
	g.lossy, g.lost = true, true
	if !m.breaks(BlindRelogin) {
		g.off = true
	}
}

func count(yes bool) int {
	if yes {
		return 1
	}
	return 0
}
