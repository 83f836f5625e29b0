package target

import (
	"cmp"
	"slices"

	"github.com/holdfast-storage/holdfast/scsi"
)

// maxLUN is the largest number of the flat space addressing method.
const maxLUN = 1<<14 - 1

// encodeLUN returns the LUN field of a logical unit number, at most maxLUN (SAM-5 §4.7): peripheral
// device addressing up to 255, flat space addressing above.
func encodeLUN(number uint64) uint64 {
	if number < 256 {
		return number << 48
	}
	return 1<<62 | number<<48
}

// units are the logical units of a session by the LUN field of a PDU. A unit below 256 is found
// under both addressing methods, since initiators choose either.
type units struct {
	byField  map[uint64]unit
	fields   []uint64    // for REPORT LUNS, ascending
	counters []*counters // of each unit once, ascending by number
}

// unit is a logical unit as one session sees it.
type unit struct {
	scsi.LogicalUnit
	counters *counters // nil: none are kept
}

func newUnits(luns map[uint64]scsi.LogicalUnit) units {
	u := units{byField: make(map[uint64]unit, 2*len(luns))}
	for number, lu := range luns {
		if number > maxLUN || lu == nil {
			continue
		}
		n := &counters{number: number}
		u.byField[encodeLUN(number)] = unit{lu, n}
		u.byField[1<<62|number<<48] = unit{lu, n}
		u.fields = append(u.fields, encodeLUN(number))
		u.counters = append(u.counters, n)
	}
	slices.Sort(u.fields)
	slices.SortFunc(u.counters, func(a, b *counters) int { return cmp.Compare(a.number, b.number) })
	return u
}

// find returns the unit that answers for a LUN field: one that says so if there is none.
func (u *units) find(field uint64) unit {
	if found, ok := u.byField[field]; ok {
		return found
	}
	return unit{LogicalUnit: scsi.NoLUN{}}
}

// eachWatcher calls f with every unit that wants to know of nexuses and resets, once.
func (u *units) eachWatcher(f func(scsi.Watcher)) {
	for _, field := range u.fields {
		if w, ok := u.byField[field].LogicalUnit.(scsi.Watcher); ok {
			f(w)
		}
	}
}

// has reports whether the LUN field names a unit of this target.
func (u *units) has(field uint64) bool {
	_, ok := u.byField[field]
	return ok
}

// sameLUN reports whether two LUN fields name the same unit.
func sameLUN(a, b uint64) bool { return a&^(1<<62) == b&^(1<<62) }
