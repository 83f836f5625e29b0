package scsi

import "fmt"

// ReservationType is the type of a persistent reservation (SPC-4 §6.15.4).
type ReservationType byte

// The types of SPC-4. Registrants are the nexuses that have registered a key.
const (
	WriteExclusive                 ReservationType = 1 // only the holder writes
	ExclusiveAccess                ReservationType = 3 // only the holder reads and writes
	WriteExclusiveRegistrantsOnly  ReservationType = 5 // only registrants write, one of them is the holder
	ExclusiveAccessRegistrantsOnly ReservationType = 6 // only registrants read and write, one is the holder
	WriteExclusiveAllRegistrants   ReservationType = 7 // only registrants write, each is a holder
	ExclusiveAccessAllRegistrants  ReservationType = 8 // only registrants read and write, each is a holder
)

// String returns the type as SPC-4 spells it.
func (t ReservationType) String() string {
	switch t {
	case WriteExclusive:
		return "write exclusive"
	case ExclusiveAccess:
		return "exclusive access"
	case WriteExclusiveRegistrantsOnly:
		return "write exclusive, registrants only"
	case ExclusiveAccessRegistrantsOnly:
		return "exclusive access, registrants only"
	case WriteExclusiveAllRegistrants:
		return "write exclusive, all registrants"
	case ExclusiveAccessAllRegistrants:
		return "exclusive access, all registrants"
	}
	return fmt.Sprintf("reservation type %#x", byte(t))
}

// known reports whether SPC-4 has the type.
func (t ReservationType) known() bool {
	switch t {
	case WriteExclusive, ExclusiveAccess, WriteExclusiveRegistrantsOnly, ExclusiveAccessRegistrantsOnly,
		WriteExclusiveAllRegistrants, ExclusiveAccessAllRegistrants:
		return true
	}
	return false
}

// allRegistrants reports whether every registrant holds such a reservation.
func (t ReservationType) allRegistrants() bool {
	return t == WriteExclusiveAllRegistrants || t == ExclusiveAccessAllRegistrants
}

// forRegistrants reports whether every registrant has access under such a reservation.
func (t ReservationType) forRegistrants() bool {
	return t.allRegistrants() || t == WriteExclusiveRegistrantsOnly || t == ExclusiveAccessRegistrantsOnly
}

// restriction returns what such a reservation means to those it keeps out.
func (t ReservationType) restriction() restriction {
	switch t {
	case ExclusiveAccess, ExclusiveAccessRegistrantsOnly, ExclusiveAccessAllRegistrants:
		return keptFromAccess
	}
	return keptFromWriting
}
