package parity

// permutation renames the data legs, with the symbols that they hold, and the legs of parity. Both are
// interchangeable among themselves, so states that differ by a renaming alone are one.
type permutation struct {
	leg    [MaxLegs]int
	set    [1 << MaxLegs]legSet
	tuples [1 << (symbolBits * MaxData)]tuple
}

// permutations returns every renaming, the one that changes nothing first.
func permutations(data, parity int) []permutation {
	var all []permutation
	for _, d := range orders(data) {
		for _, p := range orders(parity) {
			var n permutation
			for l := range n.leg {
				n.leg[l] = l
			}
			copy(n.leg[:], d)
			for i, to := range p {
				n.leg[data+i] = data + to
			}
			for s := range n.set {
				for l, to := range n.leg {
					if legSet(s).has(l) {
						n.set[s] |= one(to)
					}
				}
			}
			for t := range n.tuples {
				for i, to := range d {
					n.tuples[t] |= tuple(tuple(t).at(i)) << (symbolBits * to)
				}
			}
			all = append(all, n)
		}
	}
	return all
}

// orders returns all orders of n things, the natural one first.
func orders(n int) [][]int {
	if n == 0 {
		return [][]int{nil}
	}
	var all [][]int
	for _, rest := range orders(n - 1) {
		for at := n - 1; at >= 0; at-- {
			o := append(append(append([]int{}, rest[:at]...), n-1), rest[at:]...)
			all = append(all, o)
		}
	}
	return all
}

// Renamed returns the i-th renaming of a state.
func (m *machine) Renamed(s *state, i int) (state, bool) {
	if i >= len(m.perms) {
		return state{}, false
	}
	return m.perms[i].apply(s, m.Data), true
}

// apply returns the state in which leg l has become leg p.leg[l].
func (p *permutation) apply(s *state, data int) state {
	n := *s
	for _, set := range []*legSet{&n.isr, &n.fenced, &n.lossy} {
		*set = p.set[*set]
	}
	for w := range n.writes {
		W := &n.writes[w]
		W.target, W.q, W.got, W.wire = p.set[W.target], p.set[W.q], p.set[W.got], p.set[W.wire]
		W.past, W.delta = p.set[W.past], p.tuples[W.delta]
	}
	for e := range n.hosts {
		h := &n.hosts[e]
		h.set, h.flushed, h.view = p.set[h.set], p.set[h.flushed], p.tuples[h.view]
		if h.join != 0 {
			h.join = uint8(p.leg[h.join-1]) + 1
		}
	}
	for l := range s.legs {
		p.block(&n.legs[p.leg[l]], &s.legs[l])
	}
	for d := range data {
		n.explained[p.leg[d]] = s.explained[d]
	}
	return n
}

// block is a leg with its tuples renamed. The values that its medium may hold are in order again.
func (p *permutation) block(n, g *leg) {
	*n = *g
	n.hist, n.hists = [maxHist]tuple{}, 0
	for i := range int(g.hists) {
		n.setHome(p.tuples[g.hist[i]])
	}
	n.home = p.tuples[g.home]
	for w := range n.image {
		n.image[w] = p.tuples[g.image[w]]
	}
}
