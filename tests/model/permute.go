package model

// permutation renames the legs. Legs are interchangeable, so states that differ by a renaming alone
// are one.
type permutation struct {
	leg [MaxLegs]int
	set [1 << MaxLegs]legSet // the image of each set
}

// permutations returns every renaming of the first legs, the one that changes nothing first.
func permutations(legs int) []permutation {
	var all []permutation
	var extend func(prefix []int)
	extend = func(prefix []int) {
		if len(prefix) == legs {
			all = append(all, newPermutation(prefix))
			return
		}
		for l := range legs {
			used := false
			for _, p := range prefix {
				used = used || p == l
			}
			if !used {
				extend(append(prefix[:len(prefix):len(prefix)], l))
			}
		}
	}
	extend(nil)
	return all
}

func newPermutation(to []int) permutation {
	p := permutation{leg: [MaxLegs]int{0, 1, 2}}
	copy(p.leg[:], to)
	for s := range p.set {
		for l := range MaxLegs {
			if legSet(s).has(l) {
				p.set[s] |= one(p.leg[l])
			}
		}
	}
	return p
}

// apply returns the state in which leg l has become leg p.leg[l].
func (p *permutation) apply(s *state) state {
	n := *s
	p.coordinator(&n.raft)
	p.coordinator(&n.saved)
	for l := range MaxLegs {
		to := p.leg[l]
		n.legs[to] = s.legs[l]
		n.legs[to].isr = p.set[s.legs[l].isr]
	}
	for e := range n.hosts {
		h := &n.hosts[e]
		if h.phase == phaseUnused {
			continue
		}
		for _, set := range []*legSet{
			&h.seen, &h.seenLossy, &h.ack, &h.read, &h.joining, &h.owing, &h.copied, &h.session, &h.lost,
			&h.answered, &h.flushed, &h.removing, &h.adding, &h.dup, &h.knownISR, &h.confirmed,
		} {
			*set = p.set[*set]
		}
		for l := range MaxLegs {
			n.wire[e][p.leg[l]] = s.wire[e][l]
		}
	}
	return n
}

func (p *permutation) coordinator(r *coordinator) {
	r.isr, r.fenced, r.lossy, r.granted = p.set[r.isr], p.set[r.fenced], p.set[r.lossy], p.set[r.granted]
	last, joined := r.last, r.joined
	for l := range MaxLegs {
		r.last[p.leg[l]], r.joined[p.leg[l]] = last[l], joined[l]
	}
}
