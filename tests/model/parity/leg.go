package parity

// rec returns what the log says of a write, as the node sees it.
func (g *leg) rec(w int) record {
	for i := int(g.tails) - 1; i >= 0; i-- {
		if g.tail[i].write() == w {
			if g.tail[i].record() == gone {
				return none
			}
			return g.tail[i].record()
		}
	}
	return g.log[w]
}

// put appends a record.
func (m *machine) put(g *leg, w int, r record) {
	if r == staged {
		for i := range g.order {
			if g.order[i] == uint8(w) {
				break
			}
			if g.order[i] == 0 {
				g.order[i] = uint8(w)
				break
			}
		}
	}
	g.tail[g.tails] = newEntry(w, r)
	g.tails++
	if m.Sync {
		g.syncLog()
	}
}

// fold makes an entry durable.
func (g *leg) fold(e entry) {
	r := e.record()
	if r == gone {
		r = none
	}
	g.log[e.write()] = r
}

func (g *leg) syncLog() {
	for i := range int(g.tails) {
		g.fold(g.tail[i])
	}
	g.tail, g.tails = [maxTail]entry{}, 0
	g.tidy()
}

// tidy forgets after-images and places of records that are nowhere.
func (g *leg) tidy() {
	kept := 0
	for _, w := range g.order {
		if w != 0 && (g.rec(int(w)) != none || g.log[w] != none) {
			g.order[kept] = w
			kept++
		}
	}
	for i := kept; i < len(g.order); i++ {
		g.order[i] = 0
	}
	for w := 1; w <= MaxWrites; w++ {
		if g.rec(w) != committed && g.log[w] != committed {
			g.image[w] = 0
		}
	}
}

// forgetLog drops all records, durably.
func (g *leg) forgetLog() {
	g.log, g.image, g.order = [MaxWrites + 1]record{}, [MaxWrites + 1]tuple{}, [MaxWrites]uint8{}
	g.tail, g.tails = [maxTail]entry{}, 0
}

// base is the block with every committed write in it.
func (g *leg) base() tuple {
	v := g.home
	for _, w := range g.order {
		if w != 0 && g.rec(int(w)) == committed {
			v = g.image[w]
		}
	}
	return v
}

// setHome writes the home block, in the page cache.
func (g *leg) setHome(v tuple) {
	g.home = v
	at := 0
	for at < int(g.hists) && g.hist[at] < v {
		at++
	}
	if at < int(g.hists) && g.hist[at] == v {
		return
	}
	if int(g.hists) == maxHist {
		panic("a block had more values than the state has room for")
	}
	copy(g.hist[at+1:g.hists+1], g.hist[at:g.hists])
	g.hist[at] = v
	g.hists++
}

// syncHome makes the home block durable.
func (g *leg) syncHome() { g.hist, g.hists = [maxHist]tuple{0: g.home}, 1 }

func (g *leg) homeDurable() bool { return g.hists == 1 && g.hist[0] == g.home }

// mask is which symbols a leg's block is of.
func (m *machine) mask(l int) tuple {
	if l < m.Data {
		return only(l)
	}
	return 1<<(symbolBits*m.Data) - 1
}

// news is the symbols that a write stores.
func (m *machine) news(s *state, w int) (t tuple) {
	for d := range m.Data {
		if s.writes[w].target.has(d) {
			t |= symbol(w, d)
		}
	}
	return t
}

// full reports whether a write is of the whole stripe: then its records carry after-images on every leg.
func (m *machine) full(s *state, w int) bool { return s.writes[w].target.count() == m.Data }

// merge is block v of leg l with a write in it.
func (m *machine) merge(s *state, l int, v tuple, w int) tuple {
	if l < m.Data || m.full(s, w) {
		return m.news(s, w) & m.mask(l)
	}
	return v ^ s.writes[w].delta
}

// content is what leg l shows to its host: the block, with committed and staged writes over it.
func (m *machine) content(s *state, l int) tuple {
	g := &s.legs[l]
	v := g.base()
	for _, w := range g.order {
		if w != 0 && g.rec(int(w)) == staged {
			v = m.merge(s, l, v, int(w))
		}
	}
	return v
}

// touched are the legs that a write changes.
func (m *machine) touched(target legSet) legSet { return target | m.allLegs()&^m.dataLegs() }

// decode compares every way to decode the stripe from a set. ok is false if two of them differ, or if the set
// is not enough.
func (m *machine) decode(s *state, set legSet) (t tuple, ok bool) {
	var have tuple
	for l := range m.Data + m.Parity {
		if !set.has(l) {
			continue
		}
		c, mask := m.content(s, l), m.mask(l)
		if have&mask&(t^c) != 0 {
			return 0, false
		}
		t, have = t|c, have|mask
	}
	for d := range m.Data {
		if have&only(d) == 0 || !whole(t.at(d)) {
			return 0, false
		}
	}
	return t, true
}
