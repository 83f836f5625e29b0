package scsi

import "slices"

// refusal is why an order is not carried out; zero is consent.
type refusal struct {
	status Status
	sense  senseCode // with CHECK CONDITION
}

func refusedFor(s senseCode) refusal { return refusal{CheckCondition, s} }

var reservationConflict = refusal{status: ReservationConflict}

// reserveChange is what an order leads to. It belongs to whoever carries it out.
type reserveChange struct {
	next *reservations
	tell []reserveNotice
	// ended are the nexuses that PREEMPT AND ABORT took the registration from: their commands end.
	ended []Nexus
	// allow are the nexuses that do not prevent the removal of the medium any more.
	allow []Nexus
}

// reserveNotice is a unit attention for a nexus.
type reserveNotice struct {
	nexus Nexus
	what  attention
}

// carryOut applies an order of a nexus (SPC-4 §5.12). It changes nothing but the copy that it returns.
func (s *reservations) carryOut(by Nexus, o *reserveOrder) (*reserveChange, refusal) {
	if s.simple != nil {
		return nil, reservationConflict
	}
	c := &reserveChange{next: s.clone()}
	var no refusal
	switch o.action {
	case saRegister, saRegisterAndIgnore:
		no = c.register(by, o)
	case saRegisterAndMove:
		no = c.move(by, o)
	default:
		at := s.find(by)
		if at < 0 || s.registered[at].key != o.key {
			return nil, reservationConflict
		}
		switch o.action {
		case saReserve:
			no = c.reserve(by, o)
		case saRelease:
			no = c.release(by, o)
		case saClear:
			c.clear(by)
		case saPreempt, saPreemptAndAbort:
			no = c.preempt(by, o)
		default:
			no = refusedFor(senseInvalidFieldInCDB)
		}
	}
	if no != (refusal{}) {
		return nil, no
	}
	if o.action != saReserve && o.action != saRelease {
		c.next.generation++
	}
	if o.action == saPreemptAndAbort {
		c.allow = c.ended
	} else {
		c.ended = nil
	}
	return c, refusal{}
}

// register is REGISTER and REGISTER AND IGNORE EXISTING KEY (SPC-4 §5.12.7).
func (c *reserveChange) register(by Nexus, o *reserveOrder) refusal {
	s := c.next
	at := s.find(by)
	if o.action == saRegister {
		have := uint64(noKey)
		if at >= 0 {
			have = s.registered[at].key
		}
		if o.key != have {
			return reservationConflict
		}
	}
	if at < 0 && o.newKey == noKey {
		return refusal{} // it is not registered, as it asks for
	}
	if o.withOthers && at >= 0 {
		return refusedFor(senseInvalidFieldInList)
	}
	switch {
	case o.newKey == noKey:
		c.unregister(by)
	case at >= 0:
		s.registered[at].key, s.registered[at].allPorts = o.newKey, o.allPorts
	default:
		if no := c.add(by, o); no != (refusal{}) {
			return no
		}
		for _, n := range o.others {
			if n == by {
				continue
			}
			if s.find(n) >= 0 {
				return refusedFor(senseInvalidFieldInList)
			}
			if no := c.add(n, o); no != (refusal{}) {
				return no
			}
		}
	}
	s.persist = o.persist
	return refusal{}
}

func (c *reserveChange) add(n Nexus, o *reserveOrder) refusal {
	if len(c.next.registered) >= maxRegistrations {
		return refusedFor(senseRegistrationResources)
	}
	c.next.registered = append(c.next.registered, registration{n, o.newKey, o.allPorts})
	return refusal{}
}

// unregister ends a registration at its owner's wish. A reservation ends with its last holder.
func (c *reserveChange) unregister(n Nexus) {
	s := c.next
	held := s.holds(n)
	s.registered = slices.Delete(s.registered, s.find(n), s.find(n)+1)
	if !held || s.kind.allRegistrants() && len(s.registered) > 0 {
		return
	}
	if s.kind.forRegistrants() {
		c.tellRegistrants(n, attentionReleased)
	}
	s.kind, s.holder = 0, Nexus{}
}

// move is REGISTER AND MOVE (SPC-4 §5.12.8).
func (c *reserveChange) move(by Nexus, o *reserveOrder) refusal {
	s := c.next
	at := s.find(by)
	switch {
	case at < 0 || s.registered[at].key != o.key:
		return reservationConflict
	case s.kind == 0:
		return refusedFor(senseInvalidFieldInCDB)
	case s.kind.allRegistrants() || !s.holds(by):
		return reservationConflict
	case o.newKey == noKey || o.target.port != thePort || o.target.nexus == by:
		return refusedFor(senseInvalidFieldInList)
	}
	if to := s.find(o.target.nexus); to >= 0 {
		s.registered[to].key = o.newKey
	} else if no := c.add(o.target.nexus, o); no != (refusal{}) {
		return no
	}
	s.holder = o.target.nexus
	if o.target.unregister {
		c.unregister(by)
	}
	s.persist = o.persist
	return refusal{}
}

// reserve is RESERVE (SPC-4 §5.12.9).
func (c *reserveChange) reserve(by Nexus, o *reserveOrder) refusal {
	s := c.next
	switch {
	case o.scope != 0 || !o.kind.known():
		return refusedFor(senseInvalidFieldInCDB)
	case s.kind == 0:
		s.kind, s.holder = o.kind, holderOf(o.kind, by)
		return refusal{}
	case s.kind == o.kind && s.holds(by):
		return refusal{} // as it is already
	}
	return reservationConflict
}

// holderOf returns what stands as holder of a reservation that a nexus makes.
func holderOf(kind ReservationType, n Nexus) Nexus {
	if kind.allRegistrants() {
		return Nexus{}
	}
	return n
}

// release is RELEASE (SPC-4 §5.12.11.2).
func (c *reserveChange) release(by Nexus, o *reserveOrder) refusal {
	s := c.next
	switch {
	case !s.holds(by):
		return refusal{} // it holds nothing, as it asks for
	case o.scope != 0 || o.kind != s.kind:
		return refusedFor(senseInvalidRelease)
	}
	if s.kind.forRegistrants() {
		c.tellRegistrants(by, attentionReleased)
	}
	s.kind, s.holder = 0, Nexus{}
	return refusal{}
}

// clear is CLEAR (SPC-4 §5.12.11.6).
func (c *reserveChange) clear(by Nexus) {
	s := c.next
	c.tellRegistrants(by, attentionPreempted)
	for _, r := range s.registered {
		c.allow = append(c.allow, r.nexus)
	}
	s.registered, s.kind, s.holder = nil, 0, Nexus{}
}

// preempt is PREEMPT and PREEMPT AND ABORT (SPC-4 §5.12.11.4 and 5). The reservation itself is preempted
// if the key is its holder's, or if it is for all registrants and no key is named; otherwise only
// registrations are.
func (c *reserveChange) preempt(by Nexus, o *reserveOrder) refusal {
	s := c.next
	takesOver := false
	switch {
	case s.kind == 0:
	case s.kind.allRegistrants():
		takesOver = o.newKey == noKey
	default:
		takesOver = s.registered[s.find(s.holder)].key == o.newKey
	}
	switch {
	case takesOver && (o.scope != 0 || !o.kind.known()):
		return refusedFor(senseInvalidFieldInCDB)
	case !takesOver && o.newKey == noKey:
		return refusedFor(senseInvalidFieldInList)
	}
	everybody := takesOver && o.newKey == noKey
	removed := false
	s.registered = slices.DeleteFunc(s.registered, func(r registration) bool {
		if !everybody && r.key != o.newKey || takesOver && r.nexus == by {
			return false
		}
		removed = true
		if r.nexus != by {
			c.tell = append(c.tell, reserveNotice{r.nexus, attentionRegistrations})
			c.ended = append(c.ended, r.nexus)
		}
		return true
	})
	switch {
	case takesOver:
		if s.kind != o.kind {
			c.tellRegistrants(by, attentionReleased)
		}
		s.kind, s.holder = o.kind, holderOf(o.kind, by)
	case !removed:
		return reservationConflict
	case s.kind.allRegistrants() && len(s.registered) == 0:
		s.kind = 0
	}
	return refusal{}
}

// tellRegistrants gives a unit attention to every nexus that is registered now, but to one.
func (c *reserveChange) tellRegistrants(but Nexus, what attention) {
	for _, r := range c.next.registered {
		if r.nexus != but {
			c.tell = append(c.tell, reserveNotice{r.nexus, what})
		}
	}
}
