package scsi

import "slices"

const (
	// maxRegistrations bounds the nexuses that register with one unit, and so what PERSISTENT RESERVE IN
	// answers and what is kept of them.
	maxRegistrations = 128
	// noKey is the reservation key of nobody.
	noKey = 0
)

// registration is a nexus that has registered a reservation key.
type registration struct {
	nexus    Nexus
	key      uint64 // never noKey
	allPorts bool   // it registered for every target port; there is one
}

// reservations are the registrations and the reservation of one unit. A value is never changed once it is
// published: whoever changes it works on a copy, so that commands look at it without a lock.
//
// Invariants, held by check:
//   - No nexus has two registrations, and no key is noKey.
//   - A persistent reservation has a holder that is registered; of a type for all registrants, at least
//     one nexus is registered.
//   - RESERVE (6) and registrations exclude each other.
type reservations struct {
	generation uint32 // PRGENERATION
	persist    bool   // APTPL: it outlives a loss of power
	registered []registration

	kind   ReservationType // zero: there is no persistent reservation
	holder Nexus           // of a type that is not for all registrants

	simple *Nexus // who holds the unit by RESERVE (6)
}

func (s *reservations) clone() *reservations {
	c := *s
	c.registered = slices.Clone(s.registered)
	return &c
}

// check says which invariant is broken, "" if none.
func (s *reservations) check() string {
	for i, r := range s.registered {
		switch {
		case r.key == noKey:
			return "a registration without a key"
		case s.find(r.nexus) != i:
			return "two registrations of one nexus"
		}
	}
	switch {
	case s.kind != 0 && !s.kind.known():
		return "a reservation of a type that there is not"
	case s.kind != 0 && len(s.registered) == 0:
		return "a reservation without a registration"
	case s.kind != 0 && !s.kind.allRegistrants() && s.find(s.holder) < 0:
		return "a holder that is not registered"
	case s.simple != nil && len(s.registered) > 0:
		return "RESERVE beside registrations"
	}
	return ""
}

// find returns the index of a nexus's registration, -1 if it has none.
func (s *reservations) find(n Nexus) int {
	return slices.IndexFunc(s.registered, func(r registration) bool { return r.nexus == n })
}

// holds reports whether a nexus holds the persistent reservation.
func (s *reservations) holds(n Nexus) bool {
	switch {
	case s.kind == 0:
		return false
	case s.kind.allRegistrants():
		return s.find(n) >= 0
	}
	return s.holder == n
}

// restricts returns what the reservation means to a nexus.
func (s *reservations) restricts(n Nexus) restriction {
	switch {
	case s.simple != nil && *s.simple != n:
		return keptFromAll
	case s.kind == 0, s.holds(n), s.kind.forRegistrants() && s.find(n) >= 0:
		return unrestricted
	}
	return s.kind.restriction()
}

// empty reports whether there is nothing to tell or to keep.
func (s *reservations) empty() bool {
	return len(s.registered) == 0 && s.simple == nil
}
